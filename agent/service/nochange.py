"""The baseline that every learner has to beat: saying the last label known.

Streams are autocorrelated, so that repeating the last label scores surprisingly well (Bifet et al.
2013, Pitfalls in benchmarking data stream classification). It may only repeat what was known when
the event was asked: labels that joined between the event and its own are passed over.

N labels joined together.
"""

import math

import numpy as np
from numpy.typing import NDArray

from agent.service.report import Column
from agent.service.scorecard import NAN, Card
from streams.schema import Goal


class NoChange:
    """Scores the baseline label by label, in bounded memory.

    Args:
        goal: classes, where an error is 0 or 1; or number, where it is the distance.
        room: labels kept; an event whose label came later than so many others is not scored.
    """

    def __init__(self, goal: Goal, room: int) -> None:
        self._goal, self._room = goal, room
        self._past: Column = np.zeros(0)
        self._sum, self._count = 0.0, 0

    def errors(self, truth: Column, late: NDArray[np.int64]) -> Column:
        """Take N labels in the order in which they were joined; give the baseline's errors, N.

        NaN stands where nothing was known to repeat. `late` counts the labels that joined between
        an event and its own.
        """
        past = np.concatenate([self._past, truth])
        known = np.arange(len(self._past), len(past)) - 1 - late
        said = past[np.maximum(known, 0)]
        far = np.abs(truth - said) if self._goal == "number" else (truth != said).astype(np.float64)
        found: Column = np.where(known >= 0, far, NAN)
        self._past = past[-self._room :]
        self._sum += float(np.nansum(found))
        self._count += int(np.count_nonzero(known >= 0))
        return found

    def run(self) -> float:
        """Its figure over all labels so far, see `figure`."""
        return self._figure(self._sum, self._count)

    def figure(self, errors: Column) -> float:
        """Its accuracy over these labels, or its mean absolute error; NaN where there is none."""
        return self._figure(float(np.nansum(errors)), int(np.count_nonzero(~np.isnan(errors))))

    def _figure(self, total: float, count: int) -> float:
        if not count:
            return NAN
        return total / count if self._goal == "number" else 1.0 - total / count


def over_no_change(card: Card) -> float:
    """The error over the baseline's: below 1 is better than saying the last label known.

    Infinite where the baseline makes none; NaN where neither does, or one is not known.
    """
    numbers = not np.isnan(card.mae)
    own, other = (card.mae, card.no_change) if numbers else (1 - card.accuracy, 1 - card.no_change)
    if other > 0:
        return own / other
    return math.inf if other == 0 < own else NAN
