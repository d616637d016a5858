"""Tasks out of a labelled table: every value of one column (a user, a station, a card) is a task.

Shapes: T tasks, B rows, F features, C classes of the table, N ways.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import Generator

from streams.worlds.columns import Table, encoded, moments, numbers, read
from streams.worlds.picks import Runs, arranged, choose
from streams.worlds.tasks import (
    NAMED,
    SPLITS,
    Episode,
    Ints,
    Split,
    checked,
    disjoint,
    within,
)


@dataclass(frozen=True, slots=True)
class TableSettings:
    """A table whose rows belong to tasks; all columns not named here are numeric features.

    Args:
        path: CSV with a header, gzip where it ends in .gz.
        task: the column that says which task a row is of.
        target: the column to be predicted; rows without it are left out.
        goal: what it is.
        ways: classes of an episode, drawn from those of the task and named anew; none given is
            all classes of the table, each by its own name.
        categorical: columns of words.
        left_out: columns that are not features.
        train: tasks to train on; none named are all that are not in another split.
        validation: tasks for validation.
        test: tasks to be tested on. If there is neither, some are drawn for each of the two.
        share: how many of the tasks are drawn so for each.
        seed: of that draw.
        in_order: whether an episode is a stretch of rows in the order of the table, its queries
            after its support; for numbers alone.
    """

    path: Path
    task: str
    target: str
    goal: Literal["number", "classes"] = "number"
    ways: int | None = None
    categorical: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    share: float = 0.15
    seed: int = 0
    in_order: bool = False

    def __post_init__(self) -> None:
        if self.goal not in {"number", "classes"}:
            raise ValueError(f"goal: {self.goal!r} is not number or classes")
        if self.in_order and self.goal == "classes":
            raise ValueError("in_order: classes are drawn row by row; leave it out")
        if self.ways is not None:
            if self.goal == "number":
                raise ValueError("ways: a number has none; leave it out, or take goal classes")
            within("ways", self.ways, 2, 1000)
        within("share", self.share, 0, 0.45)
        within("seed", self.seed, 0, 2**63 - 1)


class TableWorld:
    """The world of a table.

    `names` are the tasks by id, `labels` the classes of the table (none for numbers), `middle` and
    `unit` the mean and deviation of a number in the training tasks: targets are given in these
    units about that mean.
    """

    outputs = 1

    def __init__(self, settings: TableSettings, table: Table) -> None:
        self._settings = settings
        table = _known(settings, table)
        names, task = np.unique(np.array(table[settings.task]), return_inverse=True)
        self.names: tuple[str, ...] = tuple(names.tolist())
        self._splits = _splits(settings, self.names)
        train = np.isin(task, self._splits["train"])
        used = {settings.task, settings.target, *settings.categorical, *settings.left_out}
        numeric = [name for name in table if name not in used]
        self._x = encoded(table, numeric, settings.categorical, train)
        self.features = self._x.shape[1]
        self.labels: tuple[str, ...] = ()
        self.middle, self.unit = 0.0, 1.0
        if settings.goal == "number":
            column = numbers(settings.target, table[settings.target])
            self.middle, self.unit = moments(column, train)
            self._y = ((column - self.middle) / self.unit).astype(np.float32)
            self._runs = Runs.of(task, len(names))
        else:
            labels, label = np.unique(np.array(table[settings.target]), return_inverse=True)
            self.labels = tuple(labels.tolist())
            self._runs = Runs.of(task * len(labels) + label, len(names) * len(labels))
        self.classes = settings.ways or len(self.labels)

    def episode(
        self, split: Split, tasks: int, shots: int, queries: int, draw: Generator
    ) -> Episode:
        """Draw tasks of that split and rows of each; tasks with too few rows are not drawn.

        Raises:
            ValueError: no task of the split has that many rows.
        """
        many = shots + queries
        enough = self._runs.count.reshape(len(self.names), -1) >= many
        fit = self._splits[checked(split)]
        fit = fit[enough[fit].sum(1) >= max(1, self.classes)]
        if not len(fit):
            what = f"{self.classes} classes of {many} rows" if self.classes else f"{many} rows"
            raise ValueError(f"{split}: no task has {what}; take fewer shots, queries or ways")
        ids = fit[_some(len(fit), tasks, draw)]
        if not self.classes:
            return self._numbers(ids, shots, queries, draw)
        picked = choose(enough[ids], self.classes, draw)
        if self._settings.ways is None:
            picked = np.sort(picked, 1)
        group = ids[:, None] * len(self.labels) + picked
        s, s_y, q, q_y = arranged(self._runs.rows(group, many, draw), shots, draw)
        return Episode(
            self._x[s], s_y, self._x[q], q_y, ids if self._settings.ways is None else group
        )

    def _numbers(self, ids: Ints, shots: int, queries: int, draw: Generator) -> Episode:
        many = shots + queries
        if self._settings.in_order:
            start = (draw.random(len(ids)) * (self._runs.count[ids] - many + 1)).astype(np.int64)
            place = (self._runs.start[ids] + start)[:, None] + np.arange(many)
            rows = self._runs.order[place]
        else:
            rows = self._runs.rows(ids, many, draw)
        x, y = self._x[rows], self._y[rows]
        return Episode(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:], ids)


def table_world(settings: TableSettings) -> TableWorld:
    """Read the table and make the world.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column or a task that the settings name is not there, a task is in two
            splits, or a cell that should be a number is none.
    """
    return TableWorld(settings, read(settings.path))


def _some(count: int, many: int, draw: Generator) -> Ints:
    """Draw so many numbers below the count, all different where there are so many."""
    return draw.choice(count, many, replace=count < many).astype(np.int64)


def _known(settings: TableSettings, table: Table) -> Table:
    """Leave out rows without target; check the names of columns."""
    for name in (settings.task, settings.target, *settings.categorical, *settings.left_out):
        if name not in table:
            raise ValueError(f"column {name!r} is not there; there are {', '.join(table)}")
    target = table[settings.target]
    there = np.array(target) != ""
    if settings.goal == "number":
        there = ~np.isnan(numbers(settings.target, target))
    keep = np.flatnonzero(there).tolist()
    return {name: [cells[row] for row in keep] for name, cells in table.items()}


def _splits(settings: TableSettings, names: tuple[str, ...]) -> dict[Split, Ints]:
    """Say which tasks, by id, are in which split."""
    named: dict[Split, tuple[str, ...]] = {
        "train": settings.train,
        "validation": settings.validation,
        "test": settings.test,
    }
    for one in (*settings.train, *settings.validation, *settings.test):
        if one not in names:
            some = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
            raise ValueError(f"task {one!r} is not in column {settings.task!r}; there are {some}")
    if not settings.validation and not settings.test:
        free = np.array([name for name in names if name not in settings.train])
        shuffled = np.random.default_rng([settings.seed]).permutation(free).tolist()
        each = max(1, round(settings.share * len(names)))
        named["validation"] = tuple(shuffled[:each])
        named["test"] = tuple(shuffled[each : 2 * each])
    if not named["train"]:
        taken = {*named["validation"], *named["test"]}
        named["train"] = tuple(name for name in names if name not in taken)
    disjoint(named, f"tasks ({settings.task})")
    for split in SPLITS:
        if not named[split]:
            raise ValueError(f"{split}: no task is left for it; name some, or let `share` be less")
    return {split: np.array([names.index(one) for one in named[split]]) for split in SPLITS}
