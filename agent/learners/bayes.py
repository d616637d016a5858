"""Gaussian naive Bayes with forgetting, its likelihood tempered online.

Of each class, forgetful counts n_c, sums and sums of squares of every quantity; one voice a factor
λ. Classes of few rows are held to what all classes share (a normal inverse gamma prior as in
Gelman et al. 2013, Bayesian data analysis, § 3.3, with its centre at the rows of all classes):

    m_c = (n_c mean_c + k m) / (n_c + k),   v_c = (squares about mean_c + a v) / (n_c + a)
    log p(x | c) = Σ_f log N(x_f; m_cf, v_cf (1 + 1 / (n_c + k)))

Quantities are hardly ever independent, so the sum says too much: `agent.nets.calibration` learns
how much of it, over √F at the start, and of the classes' frequency to believe. Answers stand still
inside a block.

Shapes: T tasks, B rows, F quantities, V voices, C classes, K = 2 scalars of calibration.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Said, Spec, State
from agent.learners.registry import register
from agent.nets import all_seen, hot, pad_last
from agent.nets.calibration import Calibration, log_frequency, smoothed
from agent.nets.fading import Fading

FAR = 5.0  # deviations: where a quantity is cut
DEEP = -30.0  # of a score, below the best: where it is cut


@dataclass(frozen=True, slots=True)
class BayesOptions:
    """Paces of forgetting, and the prior.

    Args:
        forget: λ of each voice, per label; 1 forgets nothing.
        centre: k, in rows: how strongly means are held to that of all classes.
        width: a, in rows: how strongly variances are held to those inside all classes.
        least: the smallest variance, as a part of the quantity's own.
    """

    forget: tuple[float, ...] = (0.9995, 0.99)
    centre: float = 2.0
    width: float = 30.0
    least: float = 0.02

    def __post_init__(self) -> None:
        if not self.forget or not all(0 < one <= 1 for one in self.forget):
            raise ValueError(f"forget is {self.forget}; give factors above 0, 1 at most")
        for name in ("centre", "width", "least"):
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"{name} is {value}; give more than 0")


class Bayes(Exact):
    """One voice a factor; it reads the quantities alone."""

    def __init__(self, spec: Spec, options: BayesOptions | None = None) -> None:
        self.spec, self.options = spec, options or BayesOptions()
        self._names = tuple(f"bayes {keep:g}" for keep in self.options.forget)
        self._sees = spec.sees()
        self._fading = Fading(self.options.forget)
        self._calibration = Calibration((0.7, 0.8), (0.3, 0.2))

    @property
    def voices(self) -> tuple[str, ...]:
        """One a factor."""
        return self._names

    def begin(self, tasks: int) -> State:
        """No rows."""
        voices, width = len(self._names), self._sees.features
        sums = torch.zeros(tasks, voices, 2 * width + 1, self.spec.classes)
        return {"sums": sums, **self._calibration.begin(tasks, voices)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer with the sums as they stand."""
        return self._answer(state, self._moments(x_TBF))[0]

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer with the sums as they stand."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer with the sums as they stand, then add the rows to them."""
        seen_TB, row = all_seen(y_TB, seen_TB), self._moments(x_TBF)
        said, phi, logp = self._answer(state, row)
        if not bool(seen_TB.any()):
            return said, state
        sums, known = state["sums"], state["sums"][:, :, -1] > 0
        learned = self._calibration.learned(state, phi, logp, known, y_TB, seen_TB)
        weight_TVB, whole_TV = self._fading(seen_TB)
        label_TVBC = hot(y_TB, sums.shape[3]).unsqueeze(1) * weight_TVB.unsqueeze(3)
        added = row.mT.unsqueeze(1) @ label_TVBC
        return said, {**state, **learned, "sums": sums * whole_TV[..., None, None] + added}

    def widen(self, state: State, classes: int) -> State:
        """New classes have no rows."""
        return {**state, "sums": pad_last(state["sums"], classes)}

    def _moments(self, x_TBF: Tensor) -> Tensor:
        """Quantities, their squares and a one; shape T B (2F+1)."""
        row = self.spec.shown(self._sees, x_TBF).clamp(-FAR, FAR)
        return torch.nn.functional.pad(torch.cat([row, row * row], 2), (0, 1), value=1.0)

    def _answer(self, state: State, row_TBE: Tensor) -> tuple[Classes, Tensor, Tensor]:
        """What is said, what it was made of (TBVKC), and the log-probabilities before smoothing."""
        count_TVC = state["sums"][:, :, -1]
        score = (row_TBE.unsqueeze(1) @ self._weights(state)).transpose(1, 2)
        score = (score - score.amax(3, keepdim=True)).clamp(min=DEEP)
        often = log_frequency(count_TVC).unsqueeze(1).expand_as(score)
        phi = torch.stack([score, often], 3)
        logp = self._calibration.logp(state["theta"], phi, count_TVC > 0)
        even = torch.full_like(logp[..., 0], -math.log(len(self._names)))
        return Classes(even, smoothed(logp)), phi, logp

    def _weights(self, state: State) -> Tensor:
        """Of quantities, squares and one in log p(x | c) / √F, shape T V (2F+1) C."""
        mean, variance = self._posterior(state["sums"])
        sharp = variance.reciprocal()
        whole = -0.5 * (mean * mean * sharp + variance.log()).sum(2, keepdim=True)
        each = torch.cat([mean * sharp, -0.5 * sharp, whole], 2)
        return each / math.sqrt(max(self._sees.features, 1))

    def _posterior(self, sums_TVEC: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each quantity in each class, each of shape TVFC."""
        one, width = self.options, self._sees.features
        total, square, count = sums_TVEC.split([width, width, 1], 2)
        rows = count.sum(3, keepdim=True).clamp(min=1e-9)
        middle = total.sum(3, keepdim=True) / rows
        spread = (square.sum(3, keepdim=True) / rows - middle * middle).clamp(min=0)
        within = (square - total * total / count.clamp(min=1e-9)).clamp(min=0)
        shared = within.sum(3, keepdim=True) / rows
        mean = (total + one.centre * middle) / (count + one.centre)
        variance = (within + one.width * shared) / (count + one.width)
        variance = variance.maximum(one.least * spread + 1e-3)
        return mean, variance * (1 + 1 / (count + one.centre))


@register(
    "bayes",
    BayesOptions,
    family="stream",
    paper="Gaussian naive Bayes that forgets; Guo et al. 2017, its temperature",
    goals=("classes",),
)
def _bayes(spec: Spec, options: BayesOptions) -> Bayes:
    return Bayes(spec, options)
