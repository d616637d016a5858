"""How well a run took its changes: from what was right, row by row, to figures.

Shapes: N rows, K changes, L rows of a segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.worlds.tasks import Ints, Reals

Rights: TypeAlias = NDArray[np.bool_]

SHARE: Final = 0.95  # of the level before: what counts as back
WINDOW: Final = 50  # events of one run over which its accuracy is taken
NARROW: Final = 20  # events of a mean of many runs
EARLY: Final = 50  # events after a return that count


@dataclass(frozen=True, slots=True)
class Recovery:
    """One change of one run.

    Args:
        level: accuracy over the last events before it.
        events: after it, until the accuracy over the last `WINDOW` of them is back; the task's
            length where it never is.
        back: whether it ever is.
        after_L: what was right from the change on, to the next.
    """

    level: float
    events: int
    back: bool
    after_L: Rights


@dataclass(frozen=True, slots=True)
class Visit:
    """The beginning of a segment.

    Args:
        first: whether its task was never met before.
        early: accuracy over its first `EARLY` events.
        left: accuracy when this task was last left; when the task before was left if it is new.
    """

    first: bool
    early: float
    left: float


def edges(task_N: Ints) -> list[int]:
    """Give the rows at which segments begin, and the end."""
    return [0, *(np.flatnonzero(np.diff(task_N)) + 1).tolist(), len(task_N)]


def trailing(right_N: Rights | Reals, window: int) -> Reals:
    """Mean of the last `window` events, from the event at which there are so many on."""
    total = np.insert(np.cumsum(right_N, dtype=np.float64), 0, 0.0)
    return (total[window:] - total[:-window]) / window


def events_until(right_L: Rights | Reals, level: float, window: int) -> int | None:
    """Events after a change until the mean of the last `window` is `SHARE` of the level."""
    found = np.flatnonzero(trailing(right_L, window) >= SHARE * level - 1e-9)
    return int(found[0]) + window if len(found) else None


def recoveries(right_N: Rights, task_N: Ints, before: int) -> list[Recovery]:
    """Give every change; the level is taken over so many events before it."""
    at = edges(task_N)
    found: list[Recovery] = []
    for change, end in pairwise(at[1:]):
        level = float(right_N[change - before : change].mean())
        after_L = right_N[change:end]
        events = events_until(after_L, level, WINDOW)
        known = len(after_L) if events is None else events
        found.append(Recovery(level, known, events is not None, after_L))
    return found


def mean_curve(found: Sequence[Recovery]) -> Reals:
    """Mean accuracy at each event after a change, as long as the shortest task, L."""
    shortest = min(len(one.after_L) for one in found)
    return np.asarray(np.mean([one.after_L[:shortest] for one in found], axis=0))


def mean_level(found: Sequence[Recovery]) -> float:
    """Mean accuracy before a change."""
    return float(np.mean([one.level for one in found]))


def visits(right_N: Rights, task_N: Ints, before: int) -> list[Visit]:
    """Give every segment but the first."""
    at = edges(task_N)
    left: dict[int, float] = {}
    found: list[Visit] = []
    level = 0.0
    for start, end in pairwise(at):
        task = int(task_N[start])
        early = float(right_N[start : start + EARLY].mean())
        if start:
            found.append(Visit(task not in left, early, left.get(task, level)))
        left[task] = level = float(right_N[end - before : end].mean())
    return found


def with_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and its standard error."""
    if len(values) < 2:  # noqa: PLR2004 (a deviation takes two)
        return float(np.mean(values)), 0.0
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def alarms(noticed: Sequence[Sequence[int]]) -> list[int]:
    """Labels by which changes were noticed, from how many, new and returned, there were by then."""
    found: list[int] = []
    before = 0
    for labels, new, returned in noticed:
        found += [labels] * (new + returned - before)
        before = new + returned
    return found
