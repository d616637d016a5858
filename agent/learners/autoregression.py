"""Numbers by the numbers before them: random walk with drift, autoregressions of order 1 and 2.

With the change t = y - y_1 since the last label y_1, and u = (y_1, y_1 - y_2), forgetful least
squares of t on nothing, on u_1, on u (Box & Jenkins 1970, Time series analysis), about the means:

    y = y_1 + t̄ n / (n + h) + β (u - ū),   β = (C_uu + h / n diag C_uu)^-1 C_ut

with C the forgetful covariances of n labels and h held to no change at all, whatever the unit. The
numbers that a row goes on from are exact at every row; β, the means and the errors stand still
inside a block. Dated rows: one that was asked d labels ago sees only the labels before those d.

Shapes: T tasks, B rows, W slots, 3 voices.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Exact, Numbers, Said, Spec, State
from agent.learners.registry import register
from agent.nets import all_seen
from agent.nets.fading import Fading
from agent.nets.lags import Line, lateness, line_of
from agent.nets.window import held_after, slid

ERRORS = 0.995  # of the scale: forgetting, per label
WILD = 100.0  # of the variance: where a squared error is cut


@dataclass(frozen=True, slots=True)
class AutoregressionOptions:
    """How far back.

    Args:
        memory: 1 / (1 - λ), in labels.
        slots: W, the labels that are kept where rows are dated.
        held: h, labels' worth of belief in no change at all.
    """

    memory: float = 1000.0
    slots: int = 1024
    held: float = 4.0

    def __post_init__(self) -> None:
        for name, least in (("memory", 2), ("slots", 2), ("held", 0.01)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} is {value}; give {least} or more")


class Autoregression(Exact):
    """Three voices: the last number with the mean change, and regressions of order 1 and 2."""

    voices = ("change", "autoregression 1", "autoregression 2")

    def __init__(self, spec: Spec, options: AutoregressionOptions | None = None) -> None:
        self.spec, self.options = spec, options or AutoregressionOptions()
        self._slots = self.options.slots if spec.dated else 2
        self._fading = Fading([1 - 1 / self.options.memory])
        self._errors = Fading([ERRORS])

    def begin(self, tasks: int) -> State:
        """Nothing seen."""
        zero = torch.zeros(tasks, 3, dtype=torch.float64)
        return {
            "label": torch.zeros(tasks, self._slots, dtype=torch.float64),
            "held": torch.zeros(tasks, 1, dtype=torch.int64),
            "origin": zero[:, :1].clone(),
            "moment": torch.zeros(tasks, 4, 4, dtype=torch.float64),
            "error": zero,
            "mass": zero.clone(),
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer from what is kept."""
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        return self._answer(state, x_TBF, y_TB, torch.zeros_like(y_TB, dtype=torch.bool))[0]

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """The last numbers are exact at every row."""
        return self._answer(state, x_TBF, y_TB, all_seen(y_TB, seen_TB))[0]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """The last numbers are exact at every row; the coefficients move once, at the end."""
        seen_TB = all_seen(y_TB, seen_TB)
        said, line, mean = self._answer(state, x_TBF, y_TB, seen_TB)
        if not bool(seen_TB.any()):
            return said, state
        y = y_TB.double()
        first = y.gather(1, seen_TB.int().argmax(1, keepdim=True))
        fresh = (state["held"] == 0) & seen_TB.any(1, keepdim=True)
        after = {
            **state,
            "label": slid(state["label"], line.label_TK[:, self._slots :], line.run),
            "held": held_after(state["held"], line.run, self._slots),
            "origin": torch.where(fresh, first, state["origin"]),
        }
        last, there = line.before(2)
        after |= self._summed(after, y, last, seen_TB & there[..., 1])
        return said, after | self._missed(state, (y.unsqueeze(2) - mean), seen_TB & there[..., 0])

    def widen(self, state: State, classes: int) -> State:
        """Numbers have no classes."""
        del classes
        return state

    def _answer(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Numbers, Line, Tensor]:
        """What is said, the line, and the means in double precision."""
        late = lateness(self.spec.dated, x_TBF, self._slots)
        line = line_of(state["label"], state["held"], y_TB, seen_TB, late)
        last, there = line.before(2)
        newest, known = last[..., :1], there[..., :1]
        middle, slope = self._coefficients(state)
        away = torch.stack([last[..., 0] - state["origin"], last[..., 0] - last[..., 1]], 2)
        away = torch.where(there, away - middle[:, None, :2], 0.0)
        mean = newest + middle[:, None, 2:] + away @ slope
        mean = torch.where(known, mean, state["origin"].unsqueeze(2))
        guess = (newest * known).abs() + 1
        own = torch.where(state["mass"] > 0, state["error"] / state["mass"].clamp(min=1e-9), 0.0)
        variance = torch.where((state["mass"] > 0).unsqueeze(1), own.unsqueeze(1), guess**2)
        scale = (variance + 1e-12 * guess**2).sqrt().float()
        even = torch.full_like(scale, -math.log(3))
        return Numbers(even, mean.float(), scale), line, mean

    def _coefficients(self, state: State) -> tuple[Tensor, Tensor]:
        """Middle of (u, t), shape T3, and the slopes of every voice, shape T23."""
        moment, held = state["moment"], self.options.held
        count = moment[:, :1, 0].clamp(min=1e-9)
        middle = moment[:, 0, 1:] / count
        spread = moment[:, 1:, 1:] / count.unsqueeze(2) - middle[:, :, None] * middle[:, None]
        raised = spread.diagonal(dim1=1, dim2=2)[:, :2].clamp(min=0) * (1 + held / count)
        one, two = (raised + 1e-12 * (1 + state["origin"] ** 2)).unbind(1)
        cross, first, second = spread[:, 0, 1], spread[:, 0, 2], spread[:, 1, 2]
        whole = one * two - cross * cross
        none = torch.zeros_like(one)
        both = (two * first - cross * second) / whole, (one * second - cross * first) / whole
        slope = torch.stack([none, first / one, both[0], none, none, both[1]], 1).view(-1, 2, 3)
        believed = torch.cat([middle[:, :2], middle[:, 2:] * count / (count + held)], 1)
        return believed, slope

    def _summed(
        self, state: State, y_TB: Tensor, last_TB2: Tensor, told_TB: Tensor
    ) -> dict[str, Tensor]:
        """Moments of (1, u, t) after the block."""
        newest, older = last_TB2.unbind(2)
        parts = [torch.ones_like(y_TB), newest - state["origin"], newest - older, y_TB - newest]
        row = torch.stack(parts, 2)
        weight_T1B, whole_T1 = self._fading(told_TB)
        added = (row * weight_T1B.mT).mT @ row
        return {"moment": state["moment"] * whole_T1.unsqueeze(2) + added}

    def _missed(self, state: State, miss_TB3: Tensor, told_TB: Tensor) -> dict[str, Tensor]:
        """Squared errors after the block."""
        weight_T1B, whole_T1 = self._errors(told_TB)
        most = WILD * state["error"] / state["mass"].clamp(min=1e-9)
        most = torch.where(most > 0, most, math.inf).unsqueeze(1)
        total = (miss_TB3.square().minimum(most) * weight_T1B.mT).sum(1)
        return {
            "error": state["error"] * whole_T1 + total,
            "mass": state["mass"] * whole_T1 + weight_T1B.sum(2),
        }


@register(
    "autoregression",
    AutoregressionOptions,
    family="stream",
    paper="Box & Jenkins 1970, Time series analysis: the last two labels, forgetting",
    goals=("number",),
)
def _autoregression(spec: Spec, options: AutoregressionOptions) -> Autoregression:
    return Autoregression(spec, options)
