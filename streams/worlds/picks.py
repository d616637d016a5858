"""Drawing tasks, classes and rows without repeats, for many tasks at once.

Shapes: T tasks, C classes there are, N classes drawn, K support and Q query rows a class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.tasks import Ints

SMALL = 256  # runs up to this length are shuffled whole


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows of a table by group: `order[start[g]:start[g] + count[g]]` are those of group g."""

    order: Ints
    start: Ints
    count: Ints

    @classmethod
    def of(cls, group: Ints, groups: int) -> "Runs":
        """Sort rows by their group (0..groups-1), each group's rows in the order they had."""
        count = np.bincount(group, minlength=groups)
        return cls(np.argsort(group, kind="stable"), np.cumsum(count) - count, count)

    def rows(self, group: Ints, many: int, draw: Generator) -> Ints:
        """Draw so many different rows of each of these groups: one axis more at the end."""
        flat = group.ravel()
        nth = distinct(self.count[flat], many, draw)
        rows: Ints = self.order[self.start[flat, None] + nth]
        return rows.reshape(*group.shape, many)


def distinct(count: Ints, many: int, draw: Generator) -> Ints:
    """Draw different numbers below each count, in random order, shape (G, many).

    Short runs are shuffled; for long ones by Floyd's way (Bentley & Floyd 1987), then shuffled.
    """
    longest = int(count.max(initial=0))
    if longest <= max(SMALL, 4 * many):
        keys = draw.random((len(count), longest))
        keys[np.arange(longest) >= count[:, None]] = np.inf
        return np.argsort(keys, axis=1)[:, :many]
    taken = np.full((len(count), many), -1)
    for place in range(many):
        last = count - many + place
        one = (draw.random(len(count)) * (last + 1)).astype(np.int64)
        taken[:, place] = np.where((taken == one[:, None]).any(1), last, one)
    return draw.permuted(taken, axis=1)


def choose(allowed: NDArray[np.bool_], many: int, draw: Generator) -> Ints:
    """Draw so many different allowed columns of each row, TC to TN, in random order."""
    keys = np.where(allowed, draw.random(allowed.shape), np.inf)
    if many < allowed.shape[1]:
        best = np.argpartition(keys, many - 1, axis=1)[:, :many]
        keys = np.take_along_axis(keys, best, 1)
        return np.take_along_axis(best, np.argsort(keys, axis=1), 1)
    return np.argsort(keys, axis=1)


def arranged(rows: Ints, shots: int, draw: Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """Part rows, TN(K+Q), into shuffled support and query: rows and labels of each, TM."""
    ways = rows.shape[1]
    sides: list[Ints] = []
    for part in (rows[:, :, :shots], rows[:, :, shots:]):
        flat = part.reshape(len(rows), -1)
        label = np.repeat(np.arange(ways), part.shape[2])
        order = np.argsort(draw.random(flat.shape), axis=1)
        sides += [np.take_along_axis(flat, order, 1), label[order]]
    return sides[0], sides[1], sides[2], sides[3]
