"""How far apart two distributions of tasks are: what was trained on, and what is to come.

Each task is described by its data alone (`descriptors`); then two clouds of descriptors are
compared by their energy distance (Szekely & Rizzo 2013, Energy statistics, equation 5.1)

    E(A, B) = 2 E|a - b| - E|a - a'| - E|b - b'|

estimated without the pairs of a task with itself, so that its mean is 0 where A and B are alike;
`p` is the share of random partings of the same tasks that are as far apart. Episodes of a finite
split share classes: a small `p` then says that these very classes differ from those.

Shapes: T tasks, D descriptors, P partings.
"""

from dataclasses import dataclass

import numpy as np

from agent.training.descriptors import Views, descriptors
from streams.worlds.tasks import SPLITS, Episode, Ints, Reals, Split, TaskWorld, within

NAMED = 3


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What was found.

    Args:
        distance: the energy distance, descriptors in units of their pooled deviation; about 0 or
            below where the two are alike.
        share: the same as a share of 2 E|a - b|: 0 alike, 1 apart as can be.
        p: chance of such a distance if they were alike, from random partings.
        widest: the descriptors whose means differ most, with the difference.
    """

    distance: float
    share: float
    p: float
    widest: tuple[tuple[str, float], ...]


def mismatch(
    world: TaskWorld,
    one: Split,
    other: Split,
    *,
    against: TaskWorld | None = None,
    tasks: int = 128,
    rows: int = 20,
    partings: int = 499,
    seed: int = 0,
) -> Mismatch:
    """Compare two splits of a world, or one split with that of another world.

    Args:
        world: where tasks of `one` come from.
        one: a split.
        other: another split, or the same.
        against: where tasks of `other` come from; the same world if none is given.
        tasks: how many of each are drawn.
        rows: how many of each task, or of each of its classes.
        partings: how many random partings are tried.
        seed: of all that is drawn.

    Raises:
        ValueError: the worlds have not the same features and targets, or too few rows.
    """
    within("tasks", tasks, 8, 4096)
    other_world = world if against is None else against
    if _asked(world) != _asked(other_world):
        raise ValueError(f"worlds of {_asked(world)} and {_asked(other_world)} do not compare")
    draw = np.random.default_rng([seed, SPLITS.index(one), SPLITS.index(other)])
    first = world.episode(one, tasks, rows, 0, draw)
    second = other_world.episode(other, tasks, rows, 0, draw)
    return compare(first, second, world.classes, partings, draw)


def _asked(world: TaskWorld) -> tuple[int, int, int]:
    return world.features, world.classes, world.outputs


def compare(
    first: Episode, second: Episode, classes: int, partings: int, draw: np.random.Generator
) -> Mismatch:
    """Compare the support rows of two sets of tasks."""
    views = Views.of(np.concatenate([first.support_x, second.support_x]))
    names, a_TD = descriptors(first.support_x, first.support_y, classes, views)
    _, b_TD = descriptors(second.support_x, second.support_y, classes, views)
    both = np.concatenate([a_TD, b_TD])
    scaled = (both - both.mean(0)) / np.maximum(both.std(0), 1e-9)
    gaps = np.sqrt(np.maximum(_squared(scaled), 0))
    groups = np.zeros((1 + partings, len(both)), np.int64)
    groups[:, len(a_TD) :] = 1
    groups[1:] = draw.permuted(groups[1:], axis=1)
    distance, between = _energy(gaps, groups)
    shift = scaled[: len(a_TD)].mean(0) - scaled[len(a_TD) :].mean(0)
    widest = np.argsort(-np.abs(shift))[:NAMED].tolist()
    return Mismatch(
        distance=float(distance[0]),
        share=float(max(0.0, distance[0] / max(between[0], 1e-12))),
        p=float((distance >= distance[0] - 1e-12).mean()),
        widest=tuple((names[at], float(shift[at])) for at in widest),
    )


def _squared(points: Reals) -> Reals:
    norm = (points**2).sum(1)
    apart: Reals = norm[:, None] + norm[None] - 2 * points @ points.T
    np.fill_diagonal(apart, 0)
    return apart


def _energy(gaps: Reals, groups: Ints) -> tuple[Reals, Reals]:
    """Energy distance and twice the mean gap between the two groups, for each parting, P."""
    second = groups.astype(np.float64)
    first = 1 - second
    many, rest = first.sum(1), second.sum(1)
    to_second = second @ gaps
    between: Reals = 2 * (to_second * first).sum(1) / (many * rest)
    inside_second = (to_second * second).sum(1) / (rest * (rest - 1))
    inside_first = ((first @ gaps) * first).sum(1) / (many * (many - 1))
    return between - inside_first - inside_second, between
