"""Matching networks (Vinyals et al. 2016): a vote of the support, weighed by cosine similarity.

    p(y | x) = sum_i a(x, x_i) y_i                                      equation 1
    a(x, x_i) proportional to exp(c(f(x), g(x_i))), c the cosine        section 2.1.1

`matching` embeds each row by itself (f = g = the body). `matching-fce` adds full-context embeddings
(section 2.1.2 and appendix A): g reads the support as it stands by a bidirectional LSTM, f looks at
it several times by an LSTM with attention, starting from the body's embedding.

State: a window of the last `slots` embedded examples and their labels. From the paper differ: the
cosine is divided by a learned temperature (else a vote among many is nearly even), and a number is
answered as a class is, by the weighed mean of the numbers remembered (Nadaraya 1964).

Shapes: T tasks, B rows, W slots, K places seen, E embedding, C classes, O outputs.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets import hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.context import FullContext
from agent.nets.window import attend, held_after, live, slid, visible

FLOOR = 1e-3  # share of the vote that every known class has


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """The embedding and the memory of examples.

    Args:
        body: the network that embeds.
        slots: how many of the latest examples vote.
        looks: how many times a query looks at the support (full context only).
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    slots: int = 128
    looks: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.slots < 1 or self.looks < 1:
            raise ValueError("slots and looks must be 1 or more")


class Trace(NamedTuple):
    """Keys and labels on a line, and what a row needs to know which of them it sees."""

    key_TKE: Tensor
    y_TK: Tensor
    held_T1: Tensor
    width: int


class Matching(Causal):
    """A vote of the latest examples, weighed by the cosine of learned embeddings.

    >>> import torch
    >>> learner = Matching(Spec(features=2, classes=2), MatchingOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: MatchingOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
        self.size = self.body.size
        self.temperature = nn.Parameter(torch.tensor(2.3))

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """No examples."""
        zero, slots = self.temperature.new_zeros, self.options.slots
        y = zero(tasks, slots, self.spec.outputs)
        held = zero(tasks, 1, dtype=torch.int64)
        if not self.spec.regression:
            y = zero(tasks, slots, dtype=torch.int64)
        return {"key": zero(tasks, slots, self.size), "y": y, "held": held}

    @override
    def hear(self, state: State, told: Told) -> tuple[Trace, dict[str, Tensor]]:
        """Put the examples on the line, and into the window."""
        y = told.y_TB
        if self.spec.regression and self.spec.outputs == 1:
            y = y.unsqueeze(2)
        width = live(state["held"])
        line = [
            torch.cat([state[name][:, state[name].shape[1] - width :], fresh], 1)
            for name, fresh in (("key", told.e_TBE), ("y", y))
        ]
        after = {
            "key": slid(state["key"], told.e_TBE, told.run),
            "y": slid(state["y"], y, told.run),
            "held": held_after(state["held"], told.run, self.options.slots),
        }
        return Trace(line[0], line[1], state["held"], width), after

    @override
    def ask(self, trace: Trace, asked: Asked) -> Tensor:
        """Equation 1."""
        told = trace.key_TKE.shape[1] - trace.width
        seen = visible(trace.held_T1, self.options.slots, trace.width, asked.at_TB, told)
        weight = attend(self.near(trace, asked.e_TBE), seen)
        if self.spec.regression:
            apart = (weight @ trace.y_TK - asked.middle_TBO) / asked.deviation_TBO
            return torch.where(seen.any(2, keepdim=True), apart, 0.0)
        share = weight @ hot(trace.y_TK, asked.share_TBC.shape[2]).to(weight.dtype)
        return (share + FLOOR).log()

    def near(self, trace: Trace, e_TBE: Tensor) -> Tensor:
        """Cosine by temperature, shape TBK."""
        return self.cosine(e_TBE, trace.key_TKE)

    def cosine(self, f_TBE: Tensor, g_TKE: Tensor) -> Tensor:
        """Give c by temperature, of which a is the softmax."""
        unit = nn.functional.normalize
        return unit(f_TBE, dim=2) @ unit(g_TKE, dim=2).mT * self.temperature.exp()


class MatchingFullContext(Matching):
    """The same with full-context embeddings; inside a block the support stands still."""

    def __init__(self, spec: Spec, options: MatchingOptions) -> None:
        super().__init__(spec, options)
        with seeded(options.seed + 1):
            self.context = FullContext(self.size, options.looks)

    @override
    def near(self, trace: Trace, e_TBE: Tensor) -> Tensor:
        """Cosine of the embeddings as they stand in their context."""
        return self.cosine(*self.context(e_TBE, trace.key_TKE, trace.held_T1))

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer every row from the support as it stands, then put them into it."""
        return self.predict(state, x_TBF), self.learn(state, x_TBF, y_TB, seen_TB)


@register(
    "matching", MatchingOptions, family="metric", outer="episodes",
    paper="Vinyals et al. 2016, Matching Networks for One Shot Learning",
)  # fmt: skip
def _matching(spec: Spec, options: MatchingOptions) -> Learner:
    return Matching(spec, options)


@register(
    "matching-fce", MatchingOptions, family="metric", outer="episodes",
    paper="Vinyals et al. 2016, section 2.1.2: full-context embeddings",
)  # fmt: skip
def _full_context(spec: Spec, options: MatchingOptions) -> Learner:
    return MatchingFullContext(spec, options)
