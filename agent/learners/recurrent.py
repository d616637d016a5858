"""Recurrent black boxes (Hochreiter, Younger & Conwell 2001): learning is what the network does.

A recurrent network reads the labelled examples in order; what it has learned is its hidden state.

    h_i = cell(h_i-1, [f(x_i), label_i])                            the examples
    out = head(f(x), h_i)                                           a query after i of them

The paper feeds label i beside input i + 1 and has one network for both roles; here an example is
read whole, and a head answers from the hidden state (as Santoro et al. 2016 do with one-hot labels,
which fix the number of classes). For classes there is one hidden state a class instead, all with
the same weights: each reads every example, by one weight if it is its own and by another if not. So
weights trained at 5 ways serve 20; a class not met yet is a stranger, whose state has read all that
came as another's, and a new class starts from there. What the head says is added to the log of the
classes' shares so far; numbers are in units of those so far.

Shapes: T tasks, B rows, K = B + 1, E embedding, S hidden states (C classes and the stranger, or 1),
H hidden units, G gates.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.cells import CELLS, Cell
from agent.nets.slots import grown, own
from agent.nets.window import rows


@dataclass(frozen=True, slots=True)
class RecurrentOptions:
    """A network that reads.

    Args:
        body: the network that embeds rows.
        hidden: units of the recurrent layer (for classes, of each class's).
        head: units of the layer that joins hidden state and query.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    hidden: int = 64
    head: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.hidden, self.head) < 1:
            raise ValueError("hidden and head must be 1 or more")


class Recurrent(Causal):
    """A recurrent network whose hidden state is all that a task has taught.

    >>> learner = Recurrent(Spec(features=1, classes=0), RecurrentOptions())
    >>> x, y = torch.linspace(-1, 1, 8).view(1, 8, 1), torch.linspace(-1, 1, 8).view(1, 8)
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> tuple(state["hidden"].shape), bool(state["hidden"].abs().max() < 1)
    ((1, 64, 1), True)
    """

    kind: ClassVar[str] = "lstm"

    def __init__(self, spec: Spec, options: RecurrentOptions) -> None:
        super().__init__(spec)
        columns = spec.outputs if spec.regression else 1
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            size = self.body.size
            reads = size + self.read if spec.regression else 2 * size
            self.cell: Cell = CELLS[self.kind](reads, options.hidden)
            unit = 2 * spec.outputs if spec.regression else 0
            self.look = nn.Linear(size + unit, options.head)
            self.recall = nn.Linear(options.hidden, options.head, bias=False)
            self.say = nn.Linear(options.head, columns)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """Hidden states of zero; one more than classes."""
        slots = 1 if self.spec.regression else self.spec.classes + 1
        zero = self.say.weight.new_zeros(tasks, self.cell.hidden, slots)
        return {name: zero.clone() for name in self.cell.leaves}

    @override
    def hear(self, state: State, told: Told) -> tuple[Tensor, dict[str, Tensor]]:
        """Read the examples one by one; the trace is the hidden state after each, shape TKSH."""
        parts = {name: state[name].mT for name in self.cell.leaves}
        if self.spec.regression:
            drive = self.cell.drive(told.e_TBE, told.label_TBL.unsqueeze(2))
        else:
            drive = self.cell.drive_of(told.e_TBE, own(told.y_TB, parts["hidden"].shape[1]))
        hidden = [parts["hidden"]]
        seen = told.run.told.view(*told.run.told.shape, 1, 1)
        for at in range(told.e_TBE.shape[1]):
            moved = self.cell.step(drive[:, at], parts)
            parts = {n: torch.where(seen[:, at], leaf, parts[n]) for n, leaf in moved.items()}
            hidden.append(parts["hidden"])
        return torch.stack(hidden, 1), {name: leaf.mT for name, leaf in parts.items()}

    @override
    def ask(self, trace: Tensor, asked: Asked) -> Tensor:
        """Join each query with the hidden state it finds."""
        look = self.look(torch.cat([asked.e_TBE, asked.unit], 2))
        found = rows(self.recall(trace), asked.at_TB)
        out: Tensor = self.say(torch.relu(found + look.unsqueeze(2)))
        if self.spec.regression:
            return out.squeeze(2)
        return out[:, :, :-1, 0] + asked.share_TBC

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class starts as the stranger stands."""
        wide = {name: grown(state[name], classes) for name in self.cell.leaves}
        return {**super().widen(state, classes), **wide}


class GatedRecurrent(Recurrent):
    """The same with gated recurrent units (Cho et al. 2014)."""

    kind = "gru"


@register(
    "lstm", RecurrentOptions, family="black box", outer="episodes",
    paper="Hochreiter, Younger & Conwell 2001, Learning to Learn Using Gradient Descent",
)  # fmt: skip
def _lstm(spec: Spec, options: RecurrentOptions) -> Learner:
    return Recurrent(spec, options)


@register(
    "gru", RecurrentOptions, family="black box", outer="episodes",
    paper="Hochreiter et al. 2001, with the units of Cho et al. 2014",
)  # fmt: skip
def _gru(spec: Spec, options: RecurrentOptions) -> Learner:
    return GatedRecurrent(spec, options)
