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

ROOM = 1 << 15  # labels: half a megabyte


class LastLabel:
    """What the last label known would have said, label by label, in bounded memory.

    Args:
        room: labels that may join between an event and its own; beyond, it says nothing.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._ring: Column = np.zeros(2 * room)  # label n lies at n modulo its length
        self._count = 0

    def said(self, truth: Column, late: NDArray[np.int64]) -> Column:
        """Take N labels in the order in which they were joined; give what it said of each, N.

        NaN stands where nothing was known to repeat. `late` counts the labels that joined between
        an event and its own.
        """
        found = np.full(len(truth), NAN)
        for start in range(0, len(truth), self._room):  # so few are never written over unread
            part = slice(start, start + self._room)
            place = self._count + np.arange(len(truth[part]))
            self._ring[place % len(self._ring)] = truth[part]
            self._count += len(place)
            known = place - 1 - late[part]
            there = (known >= 0) & (late[part] < self._room)
            found[part] = np.where(there, self._ring[known % len(self._ring)], NAN)
        return found


class NoChange:
    """How well the baseline does: its accuracy, or its mean absolute error; NaN without labels."""

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._sum, self._count = 0.0, 0

    def errors(self, truth: Column, said: Column) -> Column:
        """Take N labels and what was said of them; give the errors, NaN where nothing was said.

        An error is 0 or 1 for classes, the distance for numbers.
        """
        missed = np.abs(truth - said) if self._goal == "number" else (truth != said).astype(float)
        found: Column = np.where(np.isnan(said), NAN, missed)
        self._sum += float(np.nansum(found))
        self._count += int(np.count_nonzero(~np.isnan(found)))
        return found

    def run(self) -> float:
        """Over all labels so far."""
        return self._figure(self._sum, self._count)

    def figure(self, errors: Column) -> float:
        """Over the labels that made these errors."""
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
