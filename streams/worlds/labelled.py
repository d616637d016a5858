"""Few-shot classes out of any labelled set: rows and the class of each.

A split is a set of classes. A task draws N of them and names them 0..N-1 at random.

Shapes: T tasks, N classes, B rows, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.picks import Runs, arranged, choose
from streams.worlds.tasks import (
    SPLITS,
    Episode,
    Floats,
    Ints,
    Split,
    checked,
    disjoint,
    within,
)


class ClassSet:
    """A world of classes: N of a split's classes make a task.

    Args:
        x: rows, float32, or uint8 that are divided by 255; (rows, F).
        group: class of each row, 0 and up.
        splits: which classes are in which split.
        ways: N.
        names: of the classes, for errors; their numbers if there are none.

    Raises:
        ValueError: a class is in two splits, or a split has fewer than N classes.
    """

    outputs = 1

    def __init__(
        self,
        x: Floats | NDArray[np.uint8],
        group: Ints,
        splits: Mapping[Split, Ints],
        ways: int,
        names: Sequence[str] | None = None,
    ) -> None:
        named = {
            split: [str(one) if names is None else names[one] for one in ids.tolist()]
            for split, ids in splits.items()
        }
        disjoint(named, "classes")
        for split in SPLITS:
            if len(splits[split]) < ways:
                raise ValueError(f"{split}: {len(splits[split])} classes; {ways} ways ask for more")
        self._x, self._splits = x, dict(splits)
        self._runs = Runs.of(group, 1 + int(group.max()))
        self.features, self.classes = x.shape[1], ways

    def episode(
        self, split: Split, tasks: int, shots: int, queries: int, draw: Generator
    ) -> Episode:
        """Draw tasks of that split and rows of each class.

        Raises:
            ValueError: too few classes have that many rows.
        """
        mine = self._splits[checked(split)]
        mine = mine[self._runs.count[mine] >= shots + queries]
        if len(mine) < self.classes:
            raise ValueError(
                f"{split}: {len(mine)} classes have {shots} + {queries} rows;"
                f" {self.classes} ways ask for more"
            )
        picked = mine[choose(np.ones((tasks, len(mine)), np.bool_), self.classes, draw)]
        rows = self._runs.rows(picked, shots + queries, draw)
        support, support_y, query, query_y = arranged(rows, shots, draw)
        return Episode(self._taken(support), support_y, self._taken(query), query_y, picked)

    def _taken(self, rows: Ints) -> Floats:
        return scaled(self._x[rows])


def scaled(x: Floats | NDArray[np.uint8]) -> Floats:
    """Bytes as numbers from 0 to 1; numbers as they are."""
    if x.dtype != np.uint8:
        return x.astype(np.float32, copy=False)
    return np.multiply(x, np.float32(1 / 255), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ArraysSettings:
    """Any labelled rows, from a .npz file.

    Args:
        path: the file.
        ways: classes of a task.
        x: the array of rows, bytes (divided by 255) or numbers; further axes are laid flat.
        label: the array of their classes, numbers or words.
        split: the array that says of each row "train", "validation" or "test"; without it, some
            classes are drawn for validation and for the test.
        share: how many of the classes are drawn so for each.
        seed: of that draw.
    """

    path: Path
    ways: int = 5
    x: str = "x"
    label: str = "y"
    split: str | None = None
    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        within("ways", self.ways, 2, 1000)
        within("share", self.share, 0, 0.45)
        within("seed", self.seed, 0, 2**63 - 1)


def arrays(settings: ArraysSettings) -> ClassSet:
    """Make the world.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it lacks an array, or a class is in two splits.
    """
    data = loaded(settings.path, *filter(None, (settings.x, settings.label, settings.split)))
    x, label = data[settings.x], data[settings.label]
    if len(x) != len(label):
        raise ValueError(f"{settings.path}: {len(x)} rows, but {len(label)} labels")
    names, group = np.unique(label, return_inverse=True)
    flat = x.reshape(len(x), -1)
    flat = flat if flat.dtype == np.uint8 else flat.astype(np.float32)
    if settings.split is None:
        drawn = np.random.default_rng([settings.seed]).permutation(len(names))
        parts = np.split(drawn, np.cumsum([max(1, round(settings.share * len(names)))] * 2))
        splits: dict[Split, Ints] = dict(zip(("validation", "test", "train"), parts, strict=True))
    else:
        splits = {one: np.unique(group[data[settings.split] == one]) for one in SPLITS}
    return ClassSet(flat, group, splits, settings.ways, list(map(str, names.tolist())))


def loaded(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Load arrays of a .npz file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an array is not in it.
    """
    if not path.exists():
        raise FileNotFoundError(f"path: there is no {path}; name a .npz file")
    with np.load(path, allow_pickle=False) as held:
        for name in names:
            if name not in held:
                raise ValueError(f"{path}: no array {name!r}; there are {', '.join(held)}")
        return {name: held[name] for name in names}
