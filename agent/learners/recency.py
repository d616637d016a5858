"""Label recency: the forgetful frequencies of the labels, whatever the features say.

On autocorrelated streams "the same as just now" is hard to beat, so it sits at the table as an
expert. One voice a horizon h: p ← p + (e_y - p) / h, i.e. an exponentially weighted frequency.

Where rows are dated (`Spec.dated`), one whose question was asked d labels ago is answered from what
stood then: a trail holds what stood before each of the last labels. So a late label is set against
what was really said.

Shapes: T tasks, B rows, V voices (horizons), C classes, W labels in the trail, Z numbers of a
voice: its mass, its sums, and for numbers its error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, NoOptions, register
from agent.nets import all_seen, before, hot, pad_last, smooth
from agent.nets.exact import power
from agent.nets.trail import Past

HORIZONS = (1.0, 5.0, 30.0)
MEMO = 8  # shapes of blocks whose weights are kept at hand
TRAIL = 1024  # labels
MOST = 2**18  # numbers in a trail: with hundreds of classes it is shorter


class Recency(Exact):
    """Forgetful label frequencies (classes) or forgetful mean and error (numbers).

    Args:
        spec: what is asked for.
        horizons: effective memory of each voice, in labels; 1 repeats the last label.
    """

    def __init__(self, spec: Spec, horizons: Sequence[float] = HORIZONS) -> None:
        self.spec = spec
        self._keep_V = torch.tensor([1 - 1 / h for h in horizons])
        self._memo: dict[tuple[int, int, torch.device], _Reach] = {}  # speed only
        self._names = tuple(f"recency {h:g}" for h in horizons)

    @property
    def voices(self) -> tuple[str, ...]:
        """One a horizon."""
        return self._names

    def begin(self, tasks: int) -> State:
        """Nothing seen: weights of zero."""
        width = max(self.spec.classes, 1)
        voices = len(self._names)
        state = {
            "sum": torch.zeros(tasks, voices, width),
            "mass": torch.zeros(tasks, voices, 1),
            "error": torch.zeros(tasks, voices, 1),
        }
        if self.spec.dated:
            numbers = width + (2 if self.spec.regression else 1)
            state["trail"] = torch.zeros(tasks, _long(voices * numbers), voices, numbers)
        return state

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """The same for every row asked now."""
        seen_TB = torch.zeros(x_TBF.shape[:2], dtype=torch.bool, device=x_TBF.device)
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[0]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact at every row: a weighted sum of the labels before it, as one matrix product."""
        seen_TB = all_seen(y_TB, seen_TB)
        every = bool(seen_TB.all())
        past = Past.of(x_TBF, seen_TB, TRAIL, every=every) if self.spec.dated else None
        say = self._say_numbers if self.spec.regression else self._say_classes
        return say(state, self._reach(seen_TB, every=every), y_TB, past)

    def widen(self, state: State, classes: int) -> State:
        """New classes have been seen never."""
        wide = {**state, "sum": pad_last(state["sum"], classes)}
        if self.spec.dated:
            long = _long(len(self._names) * (classes + 1))
            wide["trail"] = pad_last(state["trail"][:, -long:], classes + 1)
        return wide

    def _reach(self, seen_TB: Tensor, *, every: bool) -> "_Reach":
        """How far each label reaches; what every block of full rows has in common is made once."""
        place = (*seen_TB.shape, seen_TB.device)
        if every and place in self._memo:
            return self._memo[place]
        whole = _Reach.of(self._keep_V.to(seen_TB.device), seen_TB)
        if every and len(self._memo) < MEMO:
            self._memo[place] = whole
        return whole

    def _say_classes(
        self, state: State, reach: "_Reach", y_TB: Tensor, past: Past | None
    ) -> tuple[Said, State]:
        """Run the labels through; B+1 rows come out, the last being the state after all."""
        frequency = reach.carry(hot(y_TB, state["sum"].shape[-1]), state["sum"])
        mass = frequency.sum(3, keepdim=True)
        after = {**state, "sum": frequency[:, :, -1], "mass": mass[:, :, -1]}
        here = _packed(mass, frequency)
        if past is not None:
            after["trail"] = past.moved(state["trail"], here)
            here = past.asked(state["trail"], here)
        said = smooth(here[..., 1:] / here[..., :1].clamp(min=1e-9))
        return Classes(_even(said[..., 0]), said), after

    def _say_numbers(
        self, state: State, reach: "_Reach", y_TB: Tensor, past: Past | None
    ) -> tuple[Said, State]:
        """Mean of the numbers; scale from the errors that such means made."""
        payload = torch.stack([torch.ones_like(y_TB), y_TB], 2)
        total = reach.carry(payload, torch.cat([state["mass"], state["sum"]], 2))
        after = {"mass": total[:, :, -1, :1], "sum": total[:, :, -1, 1:]}
        here = _packed(total)
        asked = here if past is None else past.asked(state["trail"][..., :2], here)
        mass_TBV, mean_TBV = asked[..., 0], asked[..., 1] / asked[..., 0].clamp(min=1e-9)
        error_TBV = (y_TB.unsqueeze(2) - mean_TBV) ** 2 * (mass_TBV > 0)
        drift = reach.carry_each(error_TBV.transpose(1, 2).unsqueeze(3), state["error"])
        after["error"] = drift[:, :, -1]
        drift_TBV = _packed(drift)[..., 0]
        if past is not None:
            here = torch.cat([here, drift_TBV.unsqueeze(3)], 3)
            after["trail"] = past.moved(state["trail"], here)
            drift_TBV = past.asked(state["trail"][..., 2], drift_TBV)
        # Before two numbers have come the scale is unknown: the size of the mean stands in.
        guess = mean_TBV.abs() + 1
        variance = torch.where(drift_TBV > 0, drift_TBV / mass_TBV.clamp(min=1e-9), guess * guess)
        scale_TBV = (variance + 1e-9 * guess * guess).sqrt()
        return Numbers(_even(mean_TBV), mean_TBV, scale_TBV), after


@dataclass(frozen=True, slots=True)
class _Reach:
    """Weights of a block's labels, and of what stood before, on each row and on the end.

    Row i of `label_TVNB`, N = B + 1, holds (1-1/h)^(seen between i and j) / h for the seen j < i;
    `stood_TVN1` holds (1-1/h)^(seen before i).
    """

    label_TVNB: Tensor
    stood_TVN1: Tensor

    @classmethod
    def of(cls, keep_V: Tensor, seen_TB: Tensor) -> "_Reach":
        """Make them for voices that keep so much of their sums per label."""
        tasks, rows = seen_TB.shape
        count = before(torch.cat([seen_TB, seen_TB[:, :1]], 1))  # seen before each row and the end
        gap = (count.unsqueeze(2) - count.unsqueeze(1)[..., :rows] - 1).clamp(min=0)
        keep = keep_V.view(1, -1, 1, 1)
        later = torch.ones(rows + 1, rows, dtype=torch.bool, device=seen_TB.device).tril(-1)
        label = (
            (1 - keep) * power(keep, gap.unsqueeze(1)) * (later & seen_TB.unsqueeze(1)).unsqueeze(1)
        )
        return cls(label, power(keep, count.view(tasks, 1, -1, 1)))

    def carry(self, payload_TBZ: Tensor, stood_TVZ: Tensor) -> Tensor:
        """Sum of payloads by their reach, plus what stood before, decayed; shape T V (B+1) Z."""
        tasks, voices, rows, _ = self.stood_TVN1.shape
        moved = torch.bmm(self.label_TVNB.flatten(1, 2), payload_TBZ)
        moved = moved.view(tasks, voices, rows, -1)
        return moved.addcmul_(self.stood_TVN1, stood_TVZ.unsqueeze(2))

    def carry_each(self, payload_TVBZ: Tensor, stood_TVZ: Tensor) -> Tensor:
        """Do the same with a payload for each voice."""
        return (self.label_TVNB @ payload_TVBZ).addcmul_(self.stood_TVN1, stood_TVZ.unsqueeze(2))


def _packed(*parts: Tensor) -> Tensor:
    """Put parts T V (B+1) Z side by side, without the last row; shape TBVZ."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, 3)
    return whole[:, :, :-1].transpose(1, 2)


def _long(numbers: int) -> int:
    """How many labels a trail of so many numbers a label goes back."""
    return max(min(TRAIL, MOST // numbers), 1)


def _even(like_TBV: Tensor) -> Tensor:
    """Equal log-weights."""
    return torch.full_like(like_TBV, -math.log(like_TBV.shape[2]))


@register(
    "recency",
    family="stream",
    paper="the last labels over three horizons; Gama et al. 2014, fading factors",
    goals=SINGLE,
)
def _recency(spec: Spec, _: NoOptions) -> Recency:
    return Recency(spec)
