"""From scores to labels: chance, memory of the label before, noise, cycles; and their delays.

Shapes: N rows, C classes, P labels before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from streams.worlds.drift.inputs import autoregressive
from streams.worlds.tasks import Ints, Reals

TIMINGS = ("none", "sticky", "chain", "cycle", "runs")
"""How labels follow one another apart from x."""

CHAINED = 8  # classes, at most, of a Markov chain with a table of its own


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """What labels are like.

    Args:
        classes: C, 0 for numbers.
        timing: one of `TIMINGS`.
        hold: strength of it, from 0: what a score gains; of numbers, their autocorrelation.
        period: rows of a cycle, or of a chunk in which labels come in runs.
        noise: share of labels that are taken at random; of numbers, deviation of their noise.
        heavy: whether a number's noise has heavy tails.
        skew: whether numbers are positive with a long tail.
    """

    classes: int
    timing: str = "none"
    hold: float = 0.0
    period: int = 24
    noise: float = 0.0
    heavy: bool = False
    skew: bool = False


def sampled(scores_NC: Reals, settings: LabelSettings, draw: Generator) -> Ints:
    """Draw classes with the softmax of the scores, N."""
    rows, classes = scores_NC.shape
    raised = scores_NC + draw.gumbel(size=scores_NC.shape)
    if settings.timing == "cycle":
        turn = 2 * np.pi * np.arange(rows)[:, None] / settings.period
        raised += settings.hold * np.sin(turn + draw.uniform(0, 2 * np.pi, classes))
    y_N = raised.argmax(1)
    if settings.timing == "chain" and classes <= CHAINED:
        moves_PC = settings.hold * draw.standard_normal((classes, classes))
        y_N = _followed((raised[:, None] + moves_PC).argmax(2))
    elif settings.timing in {"sticky", "chain"}:
        stays = raised + settings.hold >= raised.max(1, keepdims=True)
        y_N = _followed(np.where(stays, np.arange(classes), y_N[:, None]))
    wrong = draw.random(rows) < settings.noise
    earlier = (draw.random(rows) * np.arange(rows)).astype(np.int64)
    said_N: Ints = np.where(wrong, y_N[earlier], y_N)
    return said_N


def _followed(next_NP: Ints) -> Ints:
    """Go from label to label: row i's is `next_NP[i]` at the label before."""
    last, course = 0, []
    for row in next_NP.tolist():
        last = row[last]
        course.append(last)
    return np.array(course, np.int64)


def numbers(scores_N: Reals, settings: LabelSettings, draw: Generator) -> Reals:
    """Make numbers of scores: noise that may remember, a target that may, tails and a unit, N."""
    rows = len(scores_N)
    white = draw.standard_t(3, rows) / 3**0.5 if settings.heavy else draw.standard_normal(rows)
    memory = min(settings.hold, 0.99)
    if settings.timing == "sticky":
        mixed = ((1 - memory * memory) ** 0.5 * (scores_N + settings.noise * white))[:, None]
        step, factor = 1, memory
        while step < rows and factor:
            mixed[step:] += factor * mixed[:-step]
            step, factor = 2 * step, factor * factor
        y_N = mixed[:, 0]
    else:
        rho = memory if settings.timing == "chain" else 0.0
        kept = autoregressive(white.astype(np.float32)[:, None], rho)[:, 0]
        y_N = scores_N + settings.noise * kept
        if settings.timing == "cycle":
            y_N = y_N + settings.hold * np.sin(2 * np.pi * np.arange(rows) / settings.period)
    if settings.skew:
        y_N = np.exp(np.clip(y_N, -6, 6))
    unit = 10.0 ** draw.uniform(-2, 3)
    made: Reals = unit * (y_N + (0 if settings.skew else 3 * draw.standard_normal()))
    return made


def in_runs(y_N: Ints, segment_N: Ints, period: int) -> Ints:
    """Say an order of rows in which labels come in runs, chunk by chunk within segments, N."""
    chunk_N = np.arange(len(y_N)) // period
    turned_N = (y_N * 7919 + chunk_N * 104729) % 1009
    return np.lexsort((turned_N, chunk_N, segment_N))


def picked(pool_P: Ints, wanted_N: Ints) -> Ints:
    """Say which row of a pool to take for each wanted class; a class used up begins again, N."""
    rows_N = np.zeros(len(wanted_N), np.int64)
    for one in np.unique(wanted_N):
        mine, has = np.flatnonzero(wanted_N == one), np.flatnonzero(pool_P == one)
        rows_N[mine] = has[np.arange(len(mine)) % len(has)]
    return rows_N


DELAYS = ("none", "fixed", "spread", "never")


def known(rows: int, delay: str, draw: Generator) -> Ints:
    """Draw the row after whose arrival each label is known; -1 never, or not in this stream, N."""
    own = np.arange(rows)
    middle = np.exp(draw.uniform(0, np.log(max(2, min(1000, rows // 2)))))
    late = np.zeros(rows, np.int64)
    if delay == "fixed":
        late += round(middle)
    elif delay == "spread":
        late += np.rint(np.minimum(draw.lognormal(np.log(middle), 1, rows), 1e9)).astype(np.int64)
    at = own + late
    if delay == "never":
        at[draw.random(rows) < draw.uniform(0.1, 0.9)] = -1
    return np.where(at < rows, at, -1)
