"""Families of tasks for meta-learning: what an episode holds, and how tasks are kept apart.

A family's tasks are numbered, and task i is a pure function of (the family's seed, i). The three
splits are disjoint sets of tasks, or of classes where a task is a draw of classes; an overlap is
an error that names it.

Shapes: T tasks, S support rows, Q query rows, F features, O outputs, N classes (ways).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Floats: TypeAlias = NDArray[np.float32]
Reals: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Targets: TypeAlias = Floats | Ints

NAMED = 5  # so many of what overlaps are named in an error


@dataclass(frozen=True, slots=True)
class Episode:
    """T tasks to be learned from their support rows and judged on their query rows.

    Args:
        support_x: rows to learn from, float32, TSF.
        support_y: class labels 0..N-1, int64, TS; or numbers, float32, TS (TSO if several).
        query_x: rows to be judged on, TQF.
        query_y: as `support_y`, TQ.
        tasks: which tasks these are: ids, T, or ids of the classes behind the labels, TN.
    """

    support_x: Floats
    support_y: Targets
    query_x: Floats
    query_y: Targets
    tasks: Ints

    def __post_init__(self) -> None:
        for name in ("support", "query"):
            x, y = getattr(self, f"{name}_x"), getattr(self, f"{name}_y")
            if x.ndim != 3 or x.shape[:2] != y.shape[:2]:  # noqa: PLR2004 - T, rows and F
                raise ValueError(f"{name}: x of {x.shape} and y of {y.shape} are not TSF and TS")
        if len({len(self.support_x), len(self.query_x), len(self.tasks)}) > 1:
            raise ValueError("support, query and tasks are not of as many tasks")


class TaskWorld(Protocol):
    """A family of tasks; `classes` is N, the ways of an episode, or 0 where numbers are asked."""

    @property
    def features(self) -> int:
        """F, columns of x."""
        ...

    @property
    def classes(self) -> int:
        """N ways; 0 for numbers."""
        ...

    @property
    def outputs(self) -> int:
        """O, how many numbers a row's target is; 1 for classes."""
        ...

    def episode(
        self, split: Split, tasks: int, shots: int, queries: int, draw: Generator
    ) -> Episode:
        """Draw so many tasks of a split, and rows of each: all that is random comes from `draw`.

        `shots` and `queries` are rows a class, or rows a task for numbers; `queries` may be 0.
        Rows are shuffled; `by_class` puts the support in order. The tasks are drawn first, so the
        same state of `draw` gives the same tasks at any number of shots.

        Raises:
            ValueError: the split has not that many classes or rows.
        """
        ...


def by_class(episode: Episode) -> Episode:
    """Give the support class by class, in the order of the labels, as sequences are trained."""
    if not np.issubdtype(episode.support_y.dtype, np.integer):
        raise ValueError("support in order of its classes: this world's targets are numbers")
    order = np.argsort(episode.support_y, axis=1, kind="stable")
    task = np.arange(len(order))[:, None]
    x, y = episode.support_x[task, order], episode.support_y[task, order]
    return replace(episode, support_x=x, support_y=y)


def disjoint(splits: Mapping[Split, Collection[str]], what: str) -> None:
    """Make sure that nothing is in two splits.

    Raises:
        ValueError: something is; it is named.
    """
    for one, other in combinations(splits, 2):
        both = sorted(set(splits[one]) & set(splits[other]))
        if both:
            named = ", ".join(map(str, both[:NAMED])) + (", ..." if len(both) > NAMED else "")
            raise ValueError(f"{what} {named}: in both {one} and {other}; take it out of one")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Which tasks of a numbered family belong to which split: each from the first up to the last.

    Args:
        train: the first task, and the one after the last.
        validation: likewise; of use while training goes on.
        test: likewise; for the last word only.
    """

    train: tuple[int, int] = (0, 1 << 31)
    validation: tuple[int, int] = (1 << 31, 1 << 32)
    test: tuple[int, int] = (1 << 32, 1 << 33)

    def __post_init__(self) -> None:
        for split in SPLITS:
            first, after = getattr(self, split)
            if not 0 <= first < after <= 1 << 62:
                raise ValueError(f"{split}: no tasks from {first} up to {after}")
        for one, other in combinations(SPLITS, 2):
            (a, b), (c, d) = getattr(self, one), getattr(self, other)
            if max(a, c) < min(b, d):
                shared = f"tasks {max(a, c)} to {min(b, d) - 1}"
                raise ValueError(f"{shared}: in both {one} and {other}; take them out of one")

    def pick(self, split: Split, tasks: int, draw: Generator) -> Ints:
        """Draw ids of that split, all different where it has so many."""
        first, after = getattr(self, checked(split))
        if after - first < tasks:
            return draw.integers(first, after, tasks)
        ids: Ints = first + draw.choice(after - first, tasks, replace=False)
        return ids


def checked(split: Split) -> Split:
    """Give the split back.

    Raises:
        ValueError: there is none of that name.
    """
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is unknown; take one of {', '.join(SPLITS)}")
    return split


def within(name: str, value: float, low: float, high: float) -> None:
    """Check a setting.

    Raises:
        ValueError: it is out of bounds (or not a number).
    """
    if not low <= value <= high:
        raise ValueError(f"{name}: {value} is not in {low:g}..{high:g}")


def between(name: str, pair: tuple[float, ...]) -> None:
    """Check a setting that is a smallest and a largest value.

    Raises:
        ValueError: it is not.
    """
    if len(pair) != 2 or not -1e6 <= pair[0] <= pair[1] <= 1e6:  # noqa: PLR2004 - a pair
        raise ValueError(f"{name}: {pair} is not a smallest and a largest value")
