"""Voices that speak of numbers: heard, averaged, judged by their absolute error.

Shapes: T tasks, B rows, V voices, A answers (two), W words kept of a row.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.judge import Heard, Judge
from agent.continual.mixer import HORIZONS
from agent.continual.recall import ToldNumbers, halfway, read, where_late, written
from agent.learners.base import Numbers, Said, State

PACE = 200.0  # labels over which the typical error of numbers is followed


class NumberJudge(Judge):
    """As its base; words are kept in single precision, widths as they are before loosening."""

    @override
    def unsaid(self, classes: int) -> Tensor:
        del classes
        return self._nothing(2, torch.float32)

    @override
    def hear(
        self,
        state: State,
        said: Sequence[Said],
        y_TB: Tensor,
        seen_TB: Tensor,
        then_TBW: Tensor | None = None,
    ) -> Heard:
        numbers = [one for one in said if isinstance(one, Numbers)]
        scale = torch.cat([one.scale_TBV for one in numbers], 2).nan_to_num(nan=1e6).clamp(1e-9)
        mean, then = torch.cat([one.mean_TBV for one in numbers], 2), None
        middle = _middle(mean)
        mean = torch.where(mean.isfinite(), mean, middle)
        unit = _or_one(state["unit"][:, :1]).unsqueeze(2)
        miss = (y_TB.unsqueeze(2) - mean) / unit
        gained = -0.5 * ((y_TB.unsqueeze(2) - mean) / scale) ** 2 - scale.log()
        share, weight = self._share(state["weight"], gained, seen_TB)
        if then_TBW is not None:
            then = read(then_TBW, self.voices, len(HORIZONS))
            mean_then, scale_then = then.said_TBUZ[:, :, : self.voices].unbind(3)
            mean, scale = halfway(then, mean_then, mean), halfway(then, scale_then, scale)
            middle = _middle(mean)
        sure = (scale / unit).log().clamp(-4, 4)
        sight, loss = self._sight(state, miss.abs(), seen_TB, sure, then)
        apart = ((mean - middle) / unit).clamp(-20, 20)
        spread = apart.abs().mean(2).log1p() / 2
        after = {"weight": weight, "loss": loss, "known": state["known"]}
        about = self._about(state, seen_TB, spread, then)
        unit = unit.expand(-1, y_TB.shape[1], -1)
        return Heard(mean.unsqueeze(3), scale, sight, about, middle, share, after, unit, then)

    @override
    def answer(
        self, state: State, heard: Heard, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, dict[str, Tensor]]:
        fast = self.mixer.layout.split(state["mixer"])
        looked = self.mixer.look(fast, heard.sight_TBVZ, heard.about_TBA)
        mean, scale = heard.logp_TBVC.squeeze(3), heard.scale_TBV
        assert scale is not None  # noqa: S101 - numbers have one
        weight = torch.stack([looked.weight_TBV, heard.share_TBV.float()], 2)
        answer = (weight * mean.unsqueeze(2)).sum(3)
        apart = mean.unsqueeze(2) - answer.unsqueeze(3)
        narrow = (weight * (scale.unsqueeze(2) ** 2 + apart**2)).sum(3).sqrt()
        wrong = self._wrong(state, mean, answer[..., :1], y_TB)
        if (then := heard.then) is not None:
            answer_then, narrow_then = then.said_TBUZ[:, :, self.voices :].unbind(3)
            answer = where_late(then, answer_then, answer)
            narrow = where_late(then, narrow_then, narrow)
        width = narrow * _or_one(state["unit"][:, 1:]).sqrt().unsqueeze(2)
        miss = y_TB.unsqueeze(2) - answer
        gained = -(miss.abs() / _or_one(state["unit"][:, :1]).unsqueeze(2))  # what is judged
        trust, after = self._trust(state["trust"], gained, seen_TB)
        changed = {**heard.after, "trust": after, "count": self._count(state, seen_TB)}
        changed |= self._step(state, fast, looked, None, wrong, seen_TB)
        changed["unit"] = _units(state, miss[..., 1], miss[..., 0] / width[..., 0], seen_TB)
        words = partial(_words, heard, answer, narrow)
        return ToldNumbers(trust.log().float(), answer, width, words), changed

    def _wrong(self, state: State, mean_TBV: Tensor, mixed_TB1: Tensor, y_TB: Tensor) -> Tensor:
        """Gradient of the mixer's absolute error, in typical errors, by the weights."""
        unit = _or_one(state["unit"][:, :1]).unsqueeze(2)
        slope = -((y_TB.unsqueeze(2) - mixed_TB1) / unit).clamp(-1, 1)
        return slope * ((mean_TBV - mixed_TB1) / unit).clamp(-10, 10)


def _words(heard: Heard, answer_TBA: Tensor, narrow_TBA: Tensor) -> Tensor:
    assert heard.scale_TBV is not None  # noqa: S101 - numbers have one
    mean = torch.cat([heard.logp_TBVC.squeeze(3), answer_TBA], 2)
    scale = torch.cat([heard.scale_TBV, narrow_TBA], 2)
    trail = heard.sight_TBVZ[..., : len(HORIZONS)]
    return written(heard.about_TBA[..., 0], trail, torch.stack([mean, scale], 3))


def _middle(mean_TBV: Tensor) -> Tensor:
    return mean_TBV.nan_to_num(posinf=0.0, neginf=0.0).median(2, keepdim=True).values


def _or_one(unit_T1: Tensor) -> Tensor:
    return torch.where(unit_T1 > 0, unit_T1, 1.0)


def _units(state: State, miss_TB: Tensor, odd_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """Follow the typical error, and how much wider than said errors are."""
    new = seen_TB.sum(1).clamp(min=1)
    size = torch.where(seen_TB, miss_TB.abs(), 0.0).sum(1) / new
    loose = torch.where(seen_TB, odd_TB.square().clamp(max=100), 0.0).sum(1) / new
    old = state["unit"]
    wider = loose * torch.where(old[:, 1] > 0, old[:, 1], 1.0)
    found = torch.stack([size, wider], 1).clamp(1e-12, 1e12)
    pace = (new / PACE).clamp(max=1).unsqueeze(1)
    moved = torch.where(old > 0, torch.lerp(old, found, pace), found)
    sound = seen_TB.any(1, keepdim=True) & moved.isfinite().all(1, keepdim=True)
    return torch.where(sound, moved, old)
