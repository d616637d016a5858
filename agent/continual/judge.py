"""Judging voices: what the mixer sees of each, and what it learns from a block.

The parts that are the same for classes and for numbers; see `judge_classes`, `judge_numbers`.

Shapes: T tasks, B rows, V voices, C classes, H horizons, A answers (two), W words kept of a row.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.continual.mixer import HORIZONS, Looked, Mixed, Mixer
from agent.continual.recall import Then, where_late, width
from agent.continual.share import fixed_share
from agent.learners.base import Said, State
from agent.nets import adam
from agent.nets.trails import Trails

WORST = 6.0  # of a loss that is looked at, in nats or in units of the typical error


@dataclass(frozen=True, slots=True)
class BlendSettings:
    """How voices are weighed.

    Args:
        rate: step size at which the mixer goes on learning; 0: it stays as it was meta-trained.
        switch: how often the best voice is thought to change, per label.
        trust: the same for the two answers.
        floor: the least likelihood, relative to the best, that a label can give a voice.
    """

    rate: float = 0.002
    switch: float = 0.01
    trust: float = 0.02
    floor: float = 0.05

    def __post_init__(self) -> None:
        for name in ("rate", "switch", "trust"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 to 1")
        if not 0 < self.floor < 1:
            raise ValueError(f"floor is {self.floor}; give a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a block before the mixer is asked."""

    logp_TBVC: Tensor  # or the voices' means, C = 1
    scale_TBV: Tensor | None
    sight_TBVZ: Tensor
    about_TBA: Tensor
    known_TBC: Tensor
    share_TBV: Tensor
    after: dict[str, Tensor]
    unit_TB1: Tensor | None = None
    then: Then | None = None


class Judge(ABC):
    """Hears what voices say, makes the two answers of it, and weighs those.

    Args:
        mixer: the shape of the first answer; its parameters are in the state.
        voices: V.
        settings: how.
    """

    def __init__(self, mixer: Mixer, voices: int, settings: BlendSettings) -> None:
        self.mixer, self.voices, self.settings = mixer, voices, settings
        self._trails = Trails(HORIZONS)

    @abstractmethod
    def unsaid(self, classes: int) -> Tensor:
        """Give the words of a row that was not asked, shape W."""

    @abstractmethod
    def hear(
        self,
        state: State,
        said: Sequence[Said],
        y_TB: Tensor,
        seen_TB: Tensor,
        then_TBW: Tensor | None = None,
    ) -> Heard:
        """Line the voices up, with their losses before each row."""

    @abstractmethod
    def answer(
        self, state: State, heard: Heard, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, dict[str, Tensor]]:
        """Two answers, weighed; and what changes at the end of the block."""

    def _nothing(self, values: int, dtype: torch.dtype) -> Tensor:
        return torch.full((width(self.voices, len(HORIZONS), values),), torch.nan, dtype=dtype)

    def _share(self, weight_TV: Tensor, gained_TBV: Tensor, seen_TB: Tensor) -> tuple[Tensor, ...]:
        settings = self.settings
        return fixed_share(weight_TV, gained_TBV, seen_TB, settings.switch, settings.floor)

    def _trust(self, weight_TA: Tensor, gained_TBA: Tensor, seen_TB: Tensor) -> tuple[Tensor, ...]:
        settings = self.settings
        return fixed_share(weight_TA, gained_TBA, seen_TB, settings.trust, settings.floor)

    def _sight(
        self,
        state: State,
        loss_TBV: Tensor,
        seen_TB: Tensor,
        sure_TBV: Tensor,
        then: Then | None,
    ) -> tuple[Tensor, Tensor]:
        """What the mixer sees of each voice, shape TBVZ; the losses after the block."""
        loss_TBV = loss_TBV.clamp(max=WORST)
        trail, after = self._trails.run(state["loss"], loss_TBV, seen_TB)
        trail = trail.transpose(2, 3)  # T B V H
        if then is not None:
            trail = where_late(then, then.trail_TBVH, trail)
        ahead = trail - trail.amin(2, keepdim=True)
        among = sure_TBV - sure_TBV.mean(2, keepdim=True)
        return torch.cat([trail, ahead, sure_TBV.unsqueeze(3), among.unsqueeze(3)], 3), after

    def _about(self, state: State, seen_TB: Tensor, other_TB: Tensor, then: Then | None) -> Tensor:
        seen = seen_TB.to(other_TB.dtype)
        count = state["count"] + seen.cumsum(1) - seen
        length = torch.log1p(count) / 8
        if then is not None:
            length = where_late(then, then.length_TB, length)
        return torch.stack([length, other_TB], 2)

    def _count(self, state: State, seen_TB: Tensor) -> Tensor:
        return state["count"] + seen_TB.sum(1, keepdim=True)

    def _step(
        self,
        state: State,
        fast: dict[str, Tensor],
        looked: Looked,
        mixed: Mixed | None,
        wrong: Tensor,
        seen_TB: Tensor,
    ) -> dict[str, Tensor]:
        """One step of Adam on the mixer, against the mean gradient of the rows."""
        if self.settings.rate <= 0:
            return {}
        seen = seen_TB.unsqueeze(2)
        share = torch.where(seen, wrong, 0.0) / seen.sum(1, keepdim=True).clamp(min=1)
        if mixed is None:
            grad = self.mixer.pull_weights(fast, looked, share)
        else:
            grad = self.mixer.pull(fast, looked, mixed, share)
        norm = grad.norm(dim=1, keepdim=True)
        grad = grad / norm.clamp(min=1.0)
        return adam(state, "mixer", grad, self.settings.rate, seen_TB.any(1))
