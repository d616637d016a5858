"""A Transformer that learns in context (Müller et al. 2022, prior-fitted networks).

    p(y | x, D) ~ q(y | x, D), one pass; trained on -log q          equation 2

Labelled examples are tokens; a query reads the examples before it, nobody reads a query. In the
paper all examples see one another; here an example sees only those before it (and itself), so what
was computed of it stays valid: keys and values are cached in the state, a window of the last
`slots`, and an event costs one token, however long the stream. A layer reaches `slots` examples
back from each example it reads, so examples that fell out live on in those that read them.

Labels: numbers are read squashed. Classes are read without naming them: attention among examples is
told of which pairs the labels are equal (`CachedLayer.same`), and the answer is a vote of examples
by a last attention, so that any number of classes can be served. Numbers are answered by the same
vote, plus what a head adds.

Shapes: T tasks, B rows, W slots, K places, E embedding, D width, C classes, O outputs.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets import hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.layers import CachedLayer
from agent.nets.window import attend, held_after, live, slid, visible

FLOOR = 1e-3  # share of the vote that every known class has


@dataclass(frozen=True, slots=True)
class TransformerOptions:
    """A network that reads a window of examples.

    Args:
        body: the network that embeds rows.
        width: of a token.
        layers: how many.
        heads: of attention in each; they divide the width.
        slots: examples that are remembered.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    width: int = 32
    layers: int = 2
    heads: int = 2
    slots: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads, self.slots) < 1:
            raise ValueError("width, layers, heads and slots must be 1 or more")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")


class Trace(NamedTuple):
    """What is remembered at each place of the line, and how far it is filled."""

    kept: tuple[Tensor, ...]
    """Keys beside values, one a layer; last the keys of the vote."""
    y_TK: Tensor
    held_T1: Tensor
    width: int


class Transformer(Causal):
    """A Transformer over the latest labelled examples, with a cache.

    >>> learner = Transformer(Spec(features=2, classes=2), TransformerOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().exp().sum(2).allclose(torch.ones(1, 2))
    True
    """

    def __init__(self, spec: Spec, options: TransformerOptions) -> None:
        super().__init__(spec)
        self.options = options
        width = options.width
        unit = 2 * spec.outputs if spec.regression else 0
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            self.token = nn.Linear(self.body.size + unit, width)
            self.label = nn.Linear(unit, width) if unit else None
            self.depth = [CachedLayer(width, options.heads) for _ in range(options.layers)]
            self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
            self.say = nn.Linear(width, spec.outputs) if unit else None
        if self.say is not None:
            nn.init.zeros_(self.say.weight)
            nn.init.zeros_(self.say.bias)
        self.layers = nn.ModuleList(self.depth)
        self.temperature = nn.Parameter(torch.tensor(2.3))

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """An empty cache."""
        zero, options = self.temperature.new_zeros, self.options
        wide = (2 * options.layers + 1) * options.width
        y = zero(tasks, options.slots, dtype=torch.int64)
        if self.spec.regression:
            y = zero(tasks, options.slots, self.spec.outputs)
        held = zero(tasks, 1, dtype=torch.int64)
        return {"cache": zero(tasks, options.slots, wide), "y": y, "held": held}

    @override
    def hear(self, state: State, told: Told) -> tuple[Trace, dict[str, Tensor]]:
        """Give each example its token, layer by layer; each sees itself and those before."""
        width, rows = live(state["held"]), told.e_TBE.shape[1]
        old = state["cache"][:, self.options.slots - width :].split(self._widths, 2)
        y = told.y_TB
        if self.spec.regression and self.spec.outputs == 1:
            y = y.unsqueeze(2)
        y_line = torch.cat([state["y"][:, self.options.slots - width :], y], 1)
        at = torch.arange(1, rows + 1, device=y.device).expand(y.shape[0], -1)
        seen = visible(state["held"], self.options.slots, width, at, rows)
        same = None if self.spec.regression else y.unsqueeze(2) == y_line.unsqueeze(1)
        h_TBD, kept = self._token(told.e_TBE, told.unit, told.label_TBL), []
        for layer, past in zip(self.depth, old[:-1], strict=True):
            kept.append(torch.cat([past, layer.keys(h_TBD)], 1))
            h_TBD = layer.read(h_TBD, kept[-1], seen, same)
        kept.append(torch.cat([old[-1], self._unit(h_TBD)], 1))
        fresh = torch.cat([line[:, width:] for line in kept], 2)
        after = {
            "cache": slid(state["cache"], fresh, told.run),
            "y": slid(state["y"], y, told.run),
            "held": held_after(state["held"], told.run, self.options.slots),
        }
        return Trace(tuple(kept), y_line, state["held"], width), after

    @override
    def ask(self, trace: Trace, asked: Asked) -> Tensor:
        """Let each query read the examples before it, then take their vote."""
        told = trace.y_TK.shape[1] - trace.width
        seen = visible(trace.held_T1, self.options.slots, trace.width, asked.at_TB, told)
        h_TBD = self._token(asked.e_TBE, asked.unit, None)
        for layer, kept in zip(self.depth, trace.kept[:-1], strict=True):
            h_TBD = layer.read(h_TBD, kept, seen)
        near = self._unit(h_TBD) @ trace.kept[-1].mT * self.temperature.exp()
        weight = attend(near, seen)
        if self.say is None:
            vote = weight @ hot(trace.y_TK, asked.share_TBC.shape[2]).to(weight.dtype)
            return (vote + FLOOR).log()
        apart = (weight @ trace.y_TK - asked.middle_TBO) / asked.deviation_TBO
        added: Tensor = self.say(h_TBD)
        return added + torch.where(seen.any(2, keepdim=True), apart, 0.0)

    @property
    def _widths(self) -> list[int]:
        return [2 * self.options.width] * self.options.layers + [self.options.width]

    def _token(self, e_TBE: Tensor, unit_TBL: Tensor, label_TBL: Tensor | None) -> Tensor:
        token: Tensor = self.token(torch.cat([e_TBE, unit_TBL], 2))
        if self.label is None or label_TBL is None:
            return token
        with_label: Tensor = token + self.label(label_TBL)
        return with_label

    def _unit(self, h_TBD: Tensor) -> Tensor:
        return nn.functional.normalize(self.last(h_TBD), dim=2)


@register(
    "transformer", TransformerOptions, family="black box", outer="episodes",
    paper="Müller et al. 2022, Transformers Can Do Bayesian Inference",
)  # fmt: skip
def _transformer(spec: Spec, options: TransformerOptions) -> Learner:
    return Transformer(spec, options)
