"""Differentiable plasticity (Miconi, Clune & Stanley 2018): weights that hold a Hebbian trace.

    out_j = sum_i (w_ij + a_ij Hebb_ij) x_i                         equation 1
    Hebb_ij <- (1 - e) Hebb_ij + e x_i y_j                          equation 2, "decay"
    Hebb_ij <- Hebb_ij + e y_j (x_i - y_j Hebb_ij)                  equation 3, "oja"

w (fixed), a (how plastic each weight is) and e (the rate) are found by meta-training; the trace is
all that a task moves. Only the last layer is plastic, as in the paper's Omniglot network; while an
example is shown, y is its label. Each class has the same w and a, so any number can be served (w
then says nothing, and is left out). For numbers y is the label in units of the numbers so far,
squashed, and x has a constant; Oja's step is bounded by what there is to forget.

Shapes: T tasks, B rows, K = B + 1, E embedding and constant, C classes, O outputs, V = C or O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets import hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.inner import like
from agent.nets.window import rows


@dataclass(frozen=True, slots=True)
class HebbianOptions:
    """The network under the plastic layer, and its rule.

    Args:
        body: the network that embeds rows.
        rule: "oja" (forgets only what is written anew), or "decay".
        rate: e at the start; it is learned.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    rule: Literal["oja", "decay"] = "oja"
    rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ValueError("rate must lie between 0 and 1")


class Hebbian(Causal):
    """A last layer whose weights are plastic.

    >>> learner = Hebbian(Spec(features=2, classes=2), HebbianOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: HebbianOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
        self.size = self.body.size + 1
        columns = spec.outputs if spec.regression else 1
        self.plastic = nn.Parameter(torch.ones(self.size, columns))
        self.weight = nn.Parameter(torch.zeros(self.size, columns)) if spec.regression else None
        start = torch.tensor(options.rate)
        self.rate = nn.Parameter(torch.log(start) - torch.log1p(-start))
        self.gain = nn.Parameter(torch.tensor(0.0 if spec.regression else 3.0))

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """No trace."""
        return {"trace": self.rate.new_zeros(tasks, self.size, self.spec.width)}

    @override
    def hear(self, state: State, told: Told) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Equation 2 or 3, example by example, and what stands after each."""
        x_TBE, y_TBV = self.inputs(told.e_TBE), self.labels(told, state["trace"])
        hebb, after, every = state["trace"], [state["trace"]], bool(told.run.told.all())
        rate = self.rate.sigmoid()
        for at in range(x_TBE.shape[1]):
            y = y_TBV[:, at].unsqueeze(1)
            lost = rate if self.options.rule == "decay" else (rate * y * y).clamp(max=1)
            moved = (1 - lost) * hebb + rate * x_TBE[:, at].unsqueeze(2) * y
            hebb = moved if every else torch.where(like(told.run.told[:, at], hebb), moved, hebb)
            after.append(hebb)
        return after, {"trace": hebb}

    @override
    def ask(self, trace: list[Tensor], asked: Asked) -> Tensor:
        """Equation 1."""
        hebb = rows(torch.stack(trace, 1), asked.at_TB) if trace[1:] else trace[0].unsqueeze(1)
        x_TBE = self.inputs(asked.e_TBE)
        out = ((self.plastic * hebb) * x_TBE.unsqueeze(3)).sum(2) * self.gain.exp()
        if self.weight is None:
            return out
        return out + x_TBE @ self.weight

    def inputs(self, e_TBE: Tensor) -> Tensor:
        """The layer's input: of length 1, with a constant among it."""
        even = nn.functional.layer_norm(e_TBE, (e_TBE.shape[2],))
        return nn.functional.normalize(nn.functional.pad(even, (0, 1), value=1.0), dim=2)

    def labels(self, told: Told, like: Tensor) -> Tensor:
        """The layer's output while an example is shown, shape TBV."""
        if not self.spec.regression:
            return hot(told.y_TB, like.shape[-1]).to(like.dtype)
        return told.label_TBL[..., self.spec.outputs :]

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no trace."""
        return {**super().by_class(), "trace": 0.0}


@register(
    "hebbian", HebbianOptions, family="continual", outer="episodes",
    paper="Miconi, Clune & Stanley 2018, Differentiable Plasticity",
)  # fmt: skip
def _hebbian(spec: Spec, options: HebbianOptions) -> Learner:
    return Hebbian(spec, options)
