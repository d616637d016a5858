"""Streams of tasks that begin, end and return unannounced, for training through time.

Each stream meets a few tasks of a world. A segment ends at any row with the same chance; then one
of the tasks that it knows returns, or a new one begins. Which task a row is of is told to judges
only.

Shapes: T streams, L rows, F features, P tasks that a stream can meet, N classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from streams.worlds.tasks import Floats, Ints, Split, Targets, TaskWorld, within


@dataclass(frozen=True, slots=True)
class RecurringSettings:
    """How tasks follow one another.

    Args:
        length: L.
        segment: mean rows of a segment; its length is geometric, at least 1.
        tasks: P, tasks that a stream can meet; once all were met, only returns are left.
        back: chance that a task known before returns, where another one is known.
        rows: different rows of a task (or of each of its classes) in a stream, at most; beyond
            them they come again. None is as many as are needed.
    """

    length: int = 200
    segment: float = 20.0
    tasks: int = 5
    back: float = 0.5
    rows: int | None = None

    def __post_init__(self) -> None:
        within("length", self.length, 1, 1 << 24)
        within("segment", self.segment, 1, 1e9)
        within("tasks", self.tasks, 1, 1 << 20)
        within("back", self.back, 0, 1)
        if self.rows is not None:
            within("rows", self.rows, 1, 1 << 24)


@dataclass(frozen=True, slots=True)
class Streams:
    """T streams of L rows.

    Args:
        x: rows in their order, TLF.
        y: their labels (of the task that is on) or numbers, TL or TLO.
        slot: for judges: which of the stream's tasks each row is of, 0 for the first met, TL.
        tasks: ids of these tasks, TP, or of the classes behind their labels, TPN.
    """

    x: Floats
    y: Targets
    slot: Ints
    tasks: Ints

    def starts(self) -> Ints:
        """Say where segments begin, 1 there and 0 elsewhere, TL."""
        return np.diff(self.slot, axis=1, prepend=-1).astype(bool).astype(np.int64)


def recurring(
    world: TaskWorld, settings: RecurringSettings, split: Split, streams: int, draw: Generator
) -> Streams:
    """Draw T streams over tasks of that split.

    Raises:
        ValueError: the split has not that many rows; set `rows`.
    """
    slot = segments(settings, streams, draw)
    needed = -(-settings.length // max(1, world.classes))
    rows = needed if settings.rows is None else min(settings.rows, needed)
    pool = world.episode(split, streams * settings.tasks, rows, 0, draw)
    x = pool.support_x.reshape(streams, settings.tasks, *pool.support_x.shape[1:])
    y = pool.support_y.reshape(streams, settings.tasks, *pool.support_y.shape[1:])
    stream = np.arange(streams)[:, None]
    row = _visits(slot, settings.tasks) % x.shape[2]
    tasks = pool.tasks.reshape(streams, settings.tasks, *pool.tasks.shape[1:])
    return Streams(x[stream, slot, row], y[stream, slot, row], slot, tasks)


def segments(settings: RecurringSettings, streams: int, draw: Generator) -> Ints:
    """Draw which of its tasks each stream is in at each row, TL; tasks are numbered as met."""
    ends = draw.random((streams, settings.length)) < 1 / settings.segment
    ends[:, 0] = False
    nth = np.cumsum(ends, 1, dtype=np.int64)
    met, now = np.ones(streams, np.int64), np.zeros(streams, np.int64)
    course = [now]
    for _ in range(int(nth[:, -1].max())):
        luck, which = draw.random((2, streams))
        returns = (met > 1) & ((luck < settings.back) | (met == settings.tasks))
        other = (which * (met - 1)).astype(np.int64)
        other += other >= now
        begins = ~returns & (met < settings.tasks)
        now = np.where(returns, other, np.where(begins, met, now))
        met = met + begins
        course.append(now)
    return np.take_along_axis(np.stack(course, 1), nth, 1)


def _visits(slot: Ints, tasks: int) -> Ints:
    """Count, for each row, the rows of the same task before it in its stream, TL."""
    before = np.zeros_like(slot)
    for one in range(tasks):
        mine = slot == one
        before = np.where(mine, np.cumsum(mine, 1) - 1, before)
    return before
