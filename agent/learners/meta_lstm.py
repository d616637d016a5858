"""The Meta-Learner LSTM (Ravi & Larochelle 2017): a recurrent rule, the same for every weight.

    w' = f * (w - w0) + w0 - i * grad L           equation 2, with f, i in (0, 1)
    i = sigmoid(W_I [lstm(grad, L), w - w0, i before] + b_I)      equations 3 and 4, f likewise

Each weight has its own memory (the hidden state of a small LSTM, and its last i and f) in the
state; parameters of the rule are shared by all weights, so it does not know how many classes there
are. Gradient and loss are read as logarithm and sign (appendix of the paper), as constants: the
outer gradient goes through the gates only. Where the paper decays weights to zero, here they decay
to the learned start: on a stream the rule runs for ever.

Shapes: T tasks, N weights of a task, H hidden units.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Gradient, GradientOptions
from agent.learners.registry import register
from agent.nets import part, prefixed
from agent.nets.body import seeded
from agent.nets.inner import like, sound

P = 10.0  # of the paper's appendix: gradients below exp(-P) are read as they are, enlarged
GATES = 2  # how much comes in, how much is kept


@dataclass(frozen=True, slots=True)
class MetaLstmOptions(GradientOptions):
    """As `GradientOptions`, with the rule's memory.

    Args:
        rate: what the input gate begins at.
        keep: what the forget gate begins at.
        hidden: units of the LSTM.
    """

    rate: float = 0.02
    keep: float = 0.9999
    hidden: int = 8

    @override
    def __post_init__(self) -> None:
        super(MetaLstmOptions, self).__post_init__()
        if not 0 < self.rate < 1 or not 0 < self.keep < 1 or self.hidden < 1:
            raise ValueError("rate and keep must lie between 0 and 1, hidden be 1 or more")


class MetaLstm(Gradient):
    """Fast weights moved by a learned recurrent rule.

    >>> from agent.learners.base import Spec
    >>> learner = MetaLstm(Spec(features=1, classes=0), MetaLstmOptions(hidden=4))
    >>> learner.begin(tasks=2)["rule.head"].shape      # 4 hidden, 4 cells, 2 gates
    torch.Size([2, 10, 40, 1])
    """

    second_order = False

    def __init__(self, spec: Spec, options: MetaLstmOptions) -> None:
        super().__init__(spec, options)
        self._hidden = options.hidden
        with seeded(options.seed):
            self.cell = nn.LSTMCell(4, options.hidden)
            self.gates = nn.Linear(options.hidden + 1 + GATES, GATES)
        nn.init.zeros_(self.gates.weight)  # at first the rule is plain descent
        first = torch.tensor([options.rate, options.keep])
        self.gates.bias.data = (first / (1 - first)).log()

    @override
    def begin(self, tasks: int) -> State:
        """The learned start and an empty memory."""
        state = super().begin(tasks)
        room = 2 * self._hidden + GATES
        memory = {
            name: leaf.new_zeros(tasks, room, *leaf.shape[1:])
            for name, leaf in part("fast", state).items()
        }
        return {**state, **prefixed("rule", memory)}

    @override
    def by_class(self) -> Mapping[str, float]:
        """The memory for a new class's column is empty."""
        return {"rule.head": 0.0, "rule.bias": 0.0}

    @override
    def step(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
        """One step of the rule."""
        fast = part("fast", state)
        with torch.no_grad():
            known = state.get("known", state["count"])
            loss_T = self.loss(fast, x_TBF, y_TB, seen_TB, known)
        grads = self.gradient(state, x_TBF, y_TB, seen_TB)
        after: dict[str, Tensor] = {}
        for name, grad in grads.items():
            after |= self.rule(name, fast[name], state[f"rule.{name}"], grad, loss_T)
        return sound(after, state, seen_TB.any(1))

    def rule(
        self, name: str, weight: Tensor, memory: Tensor, grad: Tensor, loss_T: Tensor
    ) -> dict[str, Tensor]:
        """Equations 2 to 4 for the weights of one part; memory in, memory out."""
        grad = grad.detach()
        read = torch.stack((*signed_log(grad), *signed_log(like(loss_T, grad).expand_as(grad))), -1)
        moved = (weight - self.start[name]).unsqueeze(-1)
        hidden, cell, before = (
            memory.movedim(1, -1).flatten(0, -2).split((self._hidden, self._hidden, GATES), 1)
        )
        hidden, cell = self.cell(read.flatten(0, -2), (hidden, cell))
        inputs = torch.cat((hidden, moved.flatten(0, -2).tanh(), before), 1)
        gates = self.gates(inputs)
        come, keep = gates.view(*weight.shape, GATES).sigmoid().unbind(-1)
        new = torch.cat((hidden, cell, (gates - self.gates.bias).tanh()), 1)
        return {
            f"fast.{name}": self.start[name] + keep * moved.squeeze(-1) - come * grad,
            f"rule.{name}": new.view(*weight.shape, -1).movedim(-1, 1),
        }


def signed_log(value: Tensor) -> tuple[Tensor, Tensor]:
    """Give a number of any size as two near one: (log |v| / P, sign), or (-1, e^P v) if tiny."""
    tiny = value.abs() < math.exp(-P)
    size = torch.where(tiny, -1.0, value.abs().clamp(min=math.exp(-P)).log() / P)
    return size, torch.where(tiny, math.exp(P) * value, value.sign())


@register(
    "meta-lstm", MetaLstmOptions, family="model-based", outer="episodes",
    paper="Ravi & Larochelle 2017, Optimization as a Model for Few-Shot Learning",
)  # fmt: skip
def _meta_lstm(spec: Spec, options: MetaLstmOptions) -> Learner:
    return MetaLstm(spec, options)
