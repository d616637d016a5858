"""SNAIL (Mishra et al. 2018): temporal convolutions gather, attention picks, in turns.

A sequence of labelled examples and, last, the query without its label goes through attention, a
temporal convolution block (dilations 1, 2, 4, ... until it spans the window), attention, another
such block, and attention (section 3.2, figure 3; widths are options). Causal: each place sees those
up to it.

State: a window of the last `slots` examples, as the body embedded them; the sequence is read anew
for each call, and inside a call of `predict_then_learn` it stands still. Classes: one-hot labels
would fix their number, so the sequence is read once a class, with the same weights, each label
saying whether it is that class (the query's says neither); logits are added to the log of the
classes' shares so far. Numbers: what the network says is added to a vote of the numbers remembered,
by one more attention, between the first channels.

Shapes: T tasks, B queries, N examples, E embedding, S classes (or 1), D channels, L label.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.slots import own
from agent.nets.temporal import Block, Dense, Look
from agent.nets.window import attend, held_after, live, slid


@dataclass(frozen=True, slots=True)
class SnailOptions:
    """A network over a sequence.

    Args:
        body: the network that embeds rows.
        width: of the sequence's first channels, and of attention.
        filters: that each convolution adds.
        slots: examples that are remembered.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    width: int = 16
    filters: int = 16
    slots: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.filters, self.slots) < 1:
            raise ValueError("width, filters and slots must be 1 or more")


class Trace(NamedTuple):
    """The sequence without the query: embeddings, labels, numbers, which places are filled."""

    e_TNE: Tensor
    label_TNL: Tensor
    y_TNO: Tensor
    filled_TN: Tensor


class Snail(Causal):
    """Temporal convolutions and attention over the latest labelled examples.

    >>> learner = Snail(Spec(features=2, classes=2), SnailOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().exp().sum(2).allclose(torch.ones(1, 2))
    True
    """

    def __init__(self, spec: Spec, options: SnailOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            unit = 2 * spec.outputs if spec.regression else 0
            self.token = nn.Linear(self.body.size + unit, options.width)
            self.label = nn.Linear(self.read, options.width, bias=False)
            self.blocks = nn.ModuleList(_blocks(options))
            size = options.width + sum(_adds(options))
            self.say = nn.Linear(size, spec.outputs if spec.regression else 1)
        self.temperature = nn.Parameter(torch.tensor(2.3))
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """No examples."""
        zero, slots = self.say.weight.new_zeros, self.options.slots
        label = zero(tasks, slots, self.read)
        if not self.spec.regression:
            label = zero(tasks, slots, dtype=torch.int64)
        held = zero(tasks, 1, dtype=torch.int64)
        e = zero(tasks, slots, self.body.size)
        return {"e": e, "label": label, "y": zero(tasks, slots, self.spec.outputs), "held": held}

    @override
    def hear(self, state: State, told: Told) -> tuple[Trace, dict[str, Tensor]]:
        """Put the examples into the window; the trace is the window as it was."""
        width = live(state["held"])
        late = slice(self.options.slots - width, None)
        place = torch.arange(width, device=told.e_TBE.device)
        filled = place >= width - state["held"]
        label = told.label_TBL if self.spec.regression else told.y_TB
        y = told.y_TB if told.y_TB.ndim > 2 else told.y_TB.unsqueeze(2)  # noqa: PLR2004 - outputs
        after = {
            "y": slid(state["y"], y.to(state["y"].dtype), told.run),
            "e": slid(state["e"], told.e_TBE, told.run),
            "label": slid(state["label"], label, told.run),
            "held": held_after(state["held"], told.run, self.options.slots),
        }
        return Trace(
            state["e"][:, late], state["label"][:, late], state["y"][:, late], filled
        ), after

    @override
    def ask(self, trace: Trace, asked: Asked) -> Tensor:
        """Read the sequence, once a class, with each row at its end."""
        slots = 1 if self.spec.regression else asked.share_TBC.shape[2]
        label = trace.label_TNL.unsqueeze(1)
        if not self.spec.regression:
            label = own(trace.label_TNL, slots).transpose(1, 2).to(asked.e_TBE.dtype)
        filled = trace.filled_TN.repeat_interleave(slots, 0)
        first = self._tokens(trace.e_TNE, trace.e_TNE.new_zeros(1), slots)
        line = torch.where(filled.unsqueeze(2), first + self.label(label).flatten(0, 1), 0.0)
        query = ask = self._tokens(asked.e_TBE, asked.unit, slots)
        for block in self.blocks:
            line, query = block(line, query, filled)
        out: Tensor = self.say(query)
        if self.spec.regression:
            return out + self._vote(trace, asked, first, ask)
        logits: Tensor = out.squeeze(2).unflatten(0, (-1, slots))
        return logits.mT + asked.share_TBC

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer every row from the window as it stands, then put them into it."""
        return self.predict(state, x_TBF), self.learn(state, x_TBF, y_TB, seen_TB)

    def _vote(self, trace: Trace, asked: Asked, first: Tensor, ask: Tensor) -> Tensor:
        """Numbers remembered, by how near the first channels are, in units of those so far."""
        unit = nn.functional.normalize
        near = unit(ask, dim=2) @ unit(first, dim=2).mT
        seen = trace.filled_TN.unsqueeze(1).expand_as(near)
        mean = attend(near * self.temperature.exp(), seen) @ trace.y_TNO
        apart = (mean - asked.middle_TBO) / asked.deviation_TBO
        return torch.where(seen.any(2, keepdim=True), apart, 0.0)

    def _tokens(self, e_TBE: Tensor, unit_TBL: Tensor, slots: int) -> Tensor:
        """First channels of rows without their labels, once a class."""
        if unit_TBL.ndim == 1:
            unit_TBL = unit_TBL.expand(*e_TBE.shape[:2], self.token.in_features - e_TBE.shape[2])
        token: Tensor = nn.functional.layer_norm(
            self.token(torch.cat([e_TBE, unit_TBL], 2)), (self.options.width,)
        )
        return token.repeat_interleave(slots, 0)


def _adds(options: SnailOptions) -> list[int]:
    """Channels that each block adds, in their order."""
    spans = max(1, (options.slots - 1).bit_length())
    look, gather = [options.width], [options.filters] * spans
    return look + gather + look + gather + look


def _blocks(options: SnailOptions) -> list[Block]:
    """Attention, convolutions, attention, convolutions, attention."""
    adds = _adds(options)
    spans = (len(adds) - 3) // 2
    looks = {0, 1 + spans, 2 + 2 * spans}
    blocks: list[Block] = []
    size = options.width
    dilation = 1
    for at, more in enumerate(adds):
        if at in looks:
            blocks.append(Look(size, more))
            dilation = 1
        else:
            blocks.append(Dense(size, more, dilation))
            dilation *= 2
        size += more
    return blocks


@register(
    "snail", SnailOptions, family="black box", outer="episodes",
    paper="Mishra et al. 2018, A Simple Neural Attentive Meta-Learner",
)  # fmt: skip
def _snail(spec: Spec, options: SnailOptions) -> Learner:
    return Snail(spec, options)
