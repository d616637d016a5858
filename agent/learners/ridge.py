"""Ridge regression by recursive least squares, at several paces of forgetting.

With rows x (a one is appended) and labels y, one voice per factor λ (Gauss 1821; Plackett 1950;
Haykin 2002, Adaptive filter theory, ch. 9: exponentially weighted recursive least squares):

    P ← λ^n P + Σ_i λ^(rows after i) x_i x_i',   S ← λ^n S + Σ_i λ^(rows after i) x_i y_i',
    W = (P + r I)^-1 S

The prior r is added when W is solved for, so it is never forgotten; for numbers it is multiplied by
the part of their variance that is left over, as the posterior mean of Bayesian linear regression
has it (Lindley & Smith 1972). Classes are regressed by their indicators; the scores x W and the
classes' frequencies are turned into probabilities by `agent.nets.calibration`. Numbers: the mean is
x W, and the scale comes from the errors lately made. The sums of numbers are kept about their own
mean, so that large numbers lose no digits. Answers stand still inside a block. Rows of more than
`most` quantities are first projected at random (Johnson & Lindenstrauss 1984).

Shapes: T tasks, B rows, F features, D regressors (with the one), V voices, O outputs (C classes, or
1), K = 2 scalars of calibration.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, register
from agent.nets import all_seen, hot, pad_last
from agent.nets.calibration import Calibration, log_frequency, smoothed
from agent.nets.fading import Fading

FAR = 10.0  # deviations: where a quantity is cut
JITTER = 1e-5  # of each regressor's own square
LITTLE = 0.01  # the least part of the variance of numbers that counts as noise
SELDOM = 4  # blocks from one solution to the next, where rows are wide
EAGER = 32  # blocks at the start that are all solved for
ERRORS = 0.999  # of the scale of numbers: the slowest forgetting, per label
WILD = 100.0  # of the variance: where a squared error is cut


@dataclass(frozen=True, slots=True)
class RidgeOptions:
    """Paces of forgetting, and the prior.

    Args:
        forget: λ of each voice, per label; 1 forgets nothing.
        prior: r, in rows: how strongly weights are held to zero.
        most: D - 1 at the most: rows that are wider are projected to so many quantities.
        wide: D from which on the weights are solved for in every fourth block only.
        seed: of the generator that draws the projection.
    """

    forget: tuple[float, ...] = (1.0, 0.995)
    prior: float = 20.0
    most: int = 128
    wide: int = 49
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.forget or not all(0 < one <= 1 for one in self.forget):
            raise ValueError(f"forget is {self.forget}; give factors above 0, 1 at most")
        if self.prior <= 0:
            raise ValueError(f"prior is {self.prior}; give more than 0")
        if self.most < 1:
            raise ValueError(f"most is {self.most}; give 1 or more")


class Ridge(Exact):
    """One voice a factor; it reads the quantities alone."""

    def __init__(self, spec: Spec, options: RidgeOptions | None = None) -> None:
        self.spec, self.options = spec, options or RidgeOptions()
        self._names = tuple(f"ridge {keep:g}" for keep in self.options.forget)
        self._sees, self._map = spec.sees(), _projection(spec.quantities, self.options)
        self._width = min(spec.quantities, self.options.most) + 1
        self._fading = Fading(self.options.forget)
        self._errors = Fading([min(keep, ERRORS) for keep in self.options.forget])
        self._calibration = Calibration((4.0, 0.4), (2.0, 0.3), keep=0.998)
        ridge = torch.full((self._width,), self.options.prior)
        ridge[-1] *= 0.01  # the constant is nearly free
        self._ridge_D = ridge

    @property
    def voices(self) -> tuple[str, ...]:
        """One a factor."""
        return self._names

    def begin(self, tasks: int) -> State:
        """No rows: weights of zero."""
        voices, width = len(self._names), self._width
        state = {
            "gram": torch.zeros(tasks, voices, width, width),
            "cross": torch.zeros(tasks, voices, width, self.spec.classes or 1),
            "weight": torch.zeros(tasks, voices, width, self.spec.classes or 1),
            "blocks": torch.zeros(tasks, 1, dtype=torch.int64),
        }
        if not self.spec.regression:
            return state | self._calibration.begin(tasks, voices)
        zero = torch.zeros(tasks, voices)
        about = ("origin", "middle", "square", "error", "mass")
        return state | {name: zero.clone() for name in about}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer with the weights as they stand."""
        return self._answer(state, self._design(x_TBF)).said

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer with the weights as they stand."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer with the weights as they stand, then learn the rows together."""
        seen_TB, row = all_seen(y_TB, seen_TB), self._design(x_TBF)
        answer = self._answer(state, row)
        if not bool(seen_TB.any()):
            return answer.said, state
        after = {**state, "blocks": state["blocks"] + seen_TB.any(1, keepdim=True)}
        if isinstance(answer.said, Numbers):
            origin = torch.where(state["blocks"] > 0, state["origin"], _first(y_TB, seen_TB))
            away_TVB = y_TB.unsqueeze(1) - origin.unsqueeze(2)
            after |= self._missed(state, answer.said, y_TB, seen_TB)
            after |= self._summed(state, row, away_TVB.unsqueeze(3), seen_TB)
            after |= self._centred(after, origin, away_TVB, seen_TB)
        else:
            after |= self._calibration.learned(
                state, answer.phi_TBVKC, answer.logp_TBVC, answer.known_TVC, y_TB, seen_TB
            )
            labels = hot(y_TB, state["cross"].shape[3]).unsqueeze(1)
            after |= self._summed(state, row, labels, seen_TB)
        return answer.said, after | self._solved(after, seen_TB)

    def widen(self, state: State, classes: int) -> State:
        """New classes start at weights of zero."""
        wide = {name: pad_last(state[name], classes) for name in ("cross", "weight")}
        return {**state, **wide}

    def _design(self, x_TBF: Tensor) -> Tensor:
        """Regressors: the quantities, or their projection, and a one; shape TBD."""
        row = self.spec.shown(self._sees, x_TBF).clamp(-FAR, FAR)
        if self._map is not None:
            row = row @ self._map.to(row.device)
        return torch.nn.functional.pad(row, (0, 1), value=1.0)

    def _answer(self, state: State, row_TBD: Tensor) -> "_Answer":
        """What is said, and for classes what it was made of."""
        out_TVBO = row_TBD.unsqueeze(1) @ state["weight"]
        tasks, voices, rows, _ = out_TVBO.shape
        even = out_TVBO.new_full((tasks, rows, voices), -math.log(voices))
        if self.spec.regression:
            mean = out_TVBO[..., 0].mT + state["middle"].unsqueeze(1)
            scale = self._variance(state).sqrt().unsqueeze(1).expand_as(mean)
            return _Answer(Numbers(even, mean, scale), even, even, even)
        count_TVC = state["cross"][:, :, -1]
        often = log_frequency(count_TVC).unsqueeze(2).expand_as(out_TVBO)
        phi, known = torch.stack([out_TVBO, often], 2).permute(0, 3, 1, 2, 4), count_TVC > 0
        logp = self._calibration.logp(state["theta"], phi, known)
        return _Answer(Classes(even, smoothed(logp)), phi, logp, known)

    def _summed(
        self, state: State, row_TBD: Tensor, target_TVBO: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """The sums P and S after the block."""
        weight_TVB, whole_TV = self._fading(seen_TB)
        faded = row_TBD.mT.unsqueeze(1) * weight_TVB.unsqueeze(2)
        whole = whole_TV[..., None, None]
        return {
            "gram": torch.addcmul(faded @ row_TBD.unsqueeze(1), state["gram"], whole),
            "cross": torch.addcmul(faded @ target_TVBO, state["cross"], whole),
        }

    def _centred(
        self, after: State, origin_TV: Tensor, away_TVB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Move the numbers' origin to their mean: S - δ P e, where e picks the constant."""
        weight_TVB, whole_TV = self._fading(seen_TB)
        square = after["square"] * whole_TV + (weight_TVB * away_TVB.square()).sum(2)
        mass = after["gram"][..., -1, -1]
        shift = after["cross"][..., -1, 0] / mass.clamp(min=1e-9) * seen_TB.any(1, keepdim=True)
        return {
            "cross": after["cross"] - shift[..., None, None] * after["gram"][..., -1:],
            "origin": origin_TV + shift,
            "square": (square - shift.square() * mass).clamp(min=0),
        }

    def _missed(
        self, state: State, said: Numbers, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """The errors of answers, once there was something to answer from."""
        told_TB = seen_TB & (state["blocks"] > 0)
        weight_TVB, whole_TV = self._errors(told_TB)
        most = torch.where(state["mass"] > 0, WILD * self._variance(state), math.inf)
        miss = (y_TB.unsqueeze(1) - said.mean_TBV.mT).square().minimum(most.unsqueeze(2))
        return {
            "error": state["error"] * whole_TV + (weight_TVB * miss).sum(2),
            "mass": state["mass"] * whole_TV + weight_TVB.sum(2),
        }

    def _variance(self, state: State) -> Tensor:
        """Of the answers' errors, with one label's worth of the numbers' own; shape TV."""
        count = state["gram"][..., -1, -1]
        own = torch.where(count > 1, state["square"] / count.clamp(min=1), 1 + state["origin"] ** 2)
        floor = 1e-12 * (1 + state["origin"] ** 2)
        return (state["error"] + own) / (state["mass"] + 1) + floor

    def _noise(self, state: State) -> Tensor:
        """What part of the variance of numbers is left over, shape TV."""
        count = state["gram"][..., -1, -1]
        own = state["square"] / count.clamp(min=1) + 1e-12 * (1 + state["origin"] ** 2)
        return (self._variance(state) / own).clamp(LITTLE, 1)

    def _solved(self, after: State, seen_TB: Tensor) -> dict[str, Tensor]:
        """Weights for these sums; where they are not due, or the factor fails, the old ones."""
        due_T1 = seen_TB.any(1, keepdim=True)
        if self._width >= self.options.wide:
            due_T1 = due_T1 & ((after["blocks"] < EAGER) | (after["blocks"] % SELDOM == 0))
            if not bool(due_T1.any()):
                return {}
        prior = self._ridge_D.to(seen_TB.device)
        if self.spec.regression:
            prior = prior * self._noise(after).unsqueeze(2)
        steep = after["gram"].clone()
        steep.diagonal(dim1=2, dim2=3).mul_(1 + JITTER).add_(prior)
        lower, failed = torch.linalg.cholesky_ex(steep)
        weight = torch.cholesky_solve(after["cross"], lower)
        due_TV = due_T1 & (failed == 0) & weight.flatten(2).isfinite().all(2)
        moved = {"weight": torch.where(due_TV[..., None, None], weight, after["weight"])}
        if self.spec.regression:
            moved["middle"] = torch.where(due_TV, after["origin"], after["middle"])
        return moved


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is said; of classes, the log-probabilities, what they came of and who is known."""

    said: Said
    phi_TBVKC: Tensor
    logp_TBVC: Tensor
    known_TVC: Tensor


def _first(y_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """The first seen label of each task, shape T1."""
    return y_TB.gather(1, seen_TB.int().argmax(1, keepdim=True))


def _projection(quantities: int, options: RidgeOptions) -> Tensor | None:
    """A random map of rows that are too wide, lengths kept on average; else none."""
    if quantities <= options.most:
        return None
    draw = torch.Generator().manual_seed(options.seed)
    return torch.randn(quantities, options.most, generator=draw) / math.sqrt(options.most)


@register(
    "ridge",
    RidgeOptions,
    family="stream",
    paper="Plackett 1950, Some theorems in least squares: recursive, forgetting",
    goals=SINGLE,
)
def _ridge(spec: Spec, options: RidgeOptions) -> Ridge:
    return Ridge(spec, options)
