"""What several shards say, told as one: for metrics, page and table.

Shards meet classes in orders of their own; here they stand in one order, that of the first shard
that met each.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from agent.service.report import NO_MEMORY, NO_SCORES, Checkpoint, Column, Memory, Probed, Scores

if TYPE_CHECKING:
    from agent.continual.changes import TaskReport

TWO = 2


def classes(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Give every class that some shard knows, once."""
    if len(names) == 1:
        return names[0]
    return tuple(dict.fromkeys(name for some in names for name in some))


def scores(said: Sequence[tuple[Scores, tuple[str, ...]]], whole: tuple[str, ...]) -> Scores:
    """Join the shards' scores, each with the names of its classes, under the `whole`'s indices."""
    given = [(one, names) for one, names in said if len(one)]
    if not given:
        return NO_SCORES
    moved = [_moved(one, names, whole) for one, names in given]
    if len(moved) == 1:
        return moved[0]
    columns = zip(*(one.columns() for one in moved), strict=True)
    truth, guess, loss, delay, score = (np.concatenate(column) for column in columns)
    told = [one.last for one in moved if one.last is not None]
    last = np.concatenate(told) if len(told) == len(moved) else None
    return Scores(truth, guess, loss, delay, score, last)


def _moved(one: Scores, names: tuple[str, ...], whole: tuple[str, ...]) -> Scores:
    if names == whole[: len(names)]:
        return one
    to = np.array([whole.index(name) for name in names], np.float64)
    # The score is the probability of class 1: where two classes stand the other way round, of the
    # other one.
    turned = len(names) == TWO and names[1] == whole[0]
    score = 1.0 - one.score if turned else one.score
    last = None if one.last is None else _mapped(one.last, to)
    return replace(
        one, truth=_mapped(one.truth, to), guess=_mapped(one.guess, to), score=score, last=last
    )


def _mapped(column: Column, to: Column) -> Column:
    known = (column >= 0) & (column < len(to))
    place = np.where(known, column, 0).astype(np.intp)
    return np.where(known, to[place], column)


def voices(weights: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the experts' weights over shards."""
    total: Counter[str] = Counter()
    for one in weights:
        total.update(one)
    return {name: weight / len(weights) for name, weight in total.items()}


def memory(known: Sequence[Memory]) -> Memory:
    """Put all shards' old tasks side by side, numbered anew; average the plasticity."""
    if len(known) <= 1:
        return known[0] if known else NO_MEMORY
    probed: list[Probed] = []
    for one in known:
        probed += [replace(task, task=len(probed) + at) for at, task in enumerate(one.tasks)]
    return Memory(tuple(probed), voices([one.plasticity for one in known]))


def tasks(believed: Sequence["TaskReport | None"]) -> "TaskReport | None":
    """Sum up changes and tasks; what is current is said of the first shard alone."""
    reports = [one for one in believed if one is not None]
    if len(reports) <= 1:
        return reports[0] if reports else None
    changes: Counter[str] = Counter()
    for one in reports:
        changes.update(one.changes)
    return replace(
        reports[0], tasks=sum(one.tasks for one in reports), changes=dict(changes), noticed=()
    )


def faults(counted: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Sum up voices that were reset."""
    total: Counter[str] = Counter()
    for one in counted:
        total.update(one)
    return dict(total)


def checkpoint(saved: Sequence[Checkpoint | None]) -> Checkpoint | None:
    """Give the oldest shard's age, with the bytes of all and the longest time of writing."""
    there = [one for one in saved if one is not None]
    if not there or len(there) < len(saved):
        return None
    return Checkpoint(
        max(one.seconds for one in there),
        sum(one.bytes for one in there),
        min(one.wall for one in there),
    )
