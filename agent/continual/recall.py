"""What was said of a row when it was asked, kept until its label comes.

A voice that is asked again when a late label comes has learned the labels of the row's neighbours
meanwhile, and looks better than it was; its words of then are honest, but of a voice that knew less
than it does by now. On generated streams neither serves best. So the recent losses, which are to be
quick, are of what is said now; the mixer and, of classes, fixed share learn from the mean of both,
the mixer as it saw the voices then; and the two answers are judged by what they were. A row's words
are one vector: how long the stream was, each voice's recent losses, and, class by class, the log-
probabilities of the voices and of the two answers made of them (of numbers: their means, then their
scales). NaN stands for what was not said: all of a row that was not asked, and classes that were
not known. So a new class adds NaN at the end.

Shapes: T tasks, B rows, V voices, H horizons, U = V + 2 voices and answers, Z values of each
(classes, or mean and scale), W = 1 + VH + UZ words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said, State

MOST = 768
"""Words kept of a row at most; where there would be more (many classes), none are."""


@runtime_checkable
class Recalls(Protocol):
    """A learner that judges late labels by its words of then too; what it says is `Told`."""

    def unsaid(self, classes: int) -> Tensor:
        """Give the words of a row that was not asked: NaN, shape W; W = 0: too many to keep."""
        ...

    def foresee(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> Said:
        """As every learner; `then_TBW` holds the words of late rows, NaN for the others."""
        ...

    def predict_then_learn(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> tuple[Said, State]:
        """As every learner; `then_TBW` as above."""
        ...


@dataclass(frozen=True, slots=True)
class ToldClasses(Classes):
    """An answer whose words, shape TBW, can be kept."""

    words: Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class ToldNumbers(Numbers):
    """An answer whose words, shape TBW, can be kept."""

    words: Callable[[], Tensor]


Told = ToldClasses | ToldNumbers


@dataclass(frozen=True, slots=True)
class Then:
    """Words read again; `late_TB` marks the rows that have any."""

    late_TB: Tensor
    length_TB: Tensor
    trail_TBVH: Tensor
    said_TBUZ: Tensor


def width(voices: int, horizons: int, values: int) -> int:
    """W, or 0 where that is more than is kept."""
    words = 1 + voices * horizons + (voices + 2) * values
    return words if words <= MOST else 0


def written(length_TB: Tensor, trail_TBVH: Tensor, said_TBUZ: Tensor) -> Tensor:
    """Put words together, shape TBW."""
    said = said_TBUZ.transpose(2, 3).flatten(2)
    return torch.cat([length_TB.unsqueeze(2), trail_TBVH.flatten(2), said], 2)


def read(then_TBW: Tensor, voices: int, horizons: int) -> Then:
    """Take words apart, as single precision."""
    then = then_TBW.float()
    trail, said = then[..., 1:].split([voices * horizons, then.shape[2] - 1 - voices * horizons], 2)
    return Then(
        ~then[..., 0].isnan(),
        then[..., 0],
        trail.unflatten(2, (voices, horizons)),
        said.unflatten(2, (-1, voices + 2)).transpose(2, 3),
    )


def halfway(then: Then, said_then: Tensor, said_now: Tensor) -> Tensor:
    """Give the mean of what was said then and what is said now; now alone where nothing was."""
    return where_late(
        then, torch.where(said_then.isnan(), said_now, (said_then + said_now) / 2), said_now
    )


def where_late(then: Then, said_then: Tensor, said_now: Tensor) -> Tensor:
    """Give what was said then of late rows, and what is said now of the others."""
    late = then.late_TB.view(*then.late_TB.shape, *[1] * (said_now.ndim - 2))
    mixed = torch.where(late, said_then.to(said_now.dtype), said_now)
    return mixed.contiguous()  # products round by how a matrix lies in memory
