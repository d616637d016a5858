"""From what was said of streams to figures, and from figures to differences with standard errors.

Shapes: N rows.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

AFTER = 100  # rows after a change that are judged on their own
LEAST = 5e-4  # of a difference in loss that is told of as one

Figures = Mapping[str, float | None]
Apart = tuple[float, float, int]
"""A mean difference, its standard error, and of how many streams."""


def kappa(truth_N: NDArray[np.float64], said_N: NDArray[np.float64]) -> float:
    """Cohen's kappa; 0 where chance alone would always agree.

    >>> kappa(np.array([0.0, 0, 1, 1]), np.array([0.0, 0, 1, 0]))
    0.5
    """
    agree = float((truth_N == said_N).mean())
    chance = sum(
        float((truth_N == one).mean()) * float((said_N == one).mean()) for one in np.unique(truth_N)
    )
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0


def after_changes(concept_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the rows that come less than `AFTER` rows after the concept changed.

    >>> after_changes(np.repeat([0, 1], 150)).nonzero()[0][[0, -1]].tolist()
    [150, 249]
    """
    at_N = np.arange(len(concept_N))
    changed_N = np.diff(concept_N, prepend=concept_N[0]) != 0
    last_N = np.maximum.accumulate(np.where(changed_N, at_N, -AFTER))
    return np.asarray(at_N - last_N < AFTER)


def paired(
    runs: Mapping[tuple[int, int], Figures], base: Mapping[tuple[int, int], Figures], name: str
) -> Apart | None:
    """Mean difference of a figure from the base's on the same streams, its standard error, count.

    >>> paired({(0, 0): {"a": 2}, (0, 1): {"a": 4}}, {(0, 0): {"a": 1}, (0, 1): {"a": 1}}, "a")
    (2.0, 1.0, 2)
    """
    both = [(runs[key].get(name), base[key].get(name)) for key in sorted(runs) if key in base]
    apart = [one - other for one, other in both if one is not None and other is not None]
    if not apart:
        return None
    error = float(np.std(apart, ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
    return float(np.mean(apart)), error, len(apart)


def mean(runs: Sequence[Figures], name: str) -> float | None:
    """Mean of a figure over the streams that have it."""
    there = [value for one in runs if (value := one.get(name)) is not None]
    return float(np.mean(there)) if there else None


def shown(apart: Apart | None, digits: int) -> str:
    """Write a difference and its standard error, where there is one.

    >>> shown((0.0123, 0.0041, 24), 3), shown((0.0123, math.nan, 1), 3)
    ('+0.012 ± 0.004', '+0.012')
    """
    if apart is None:
        return "-"
    error = "" if math.isnan(apart[1]) else f" ± {apart[1]:.{digits}f}"
    return f"{apart[0]:+.{digits}f}{error}"


def verdict(apart: Apart | None, *, more: bool = False) -> str:
    """Say whether a part earns its place: its loss is missed by two standard errors, and `LEAST`.

    Args:
        apart: the loss of the variant less that of the whole.
        more: whether the variant has the part and the whole has not.

    >>> [verdict(one) for one in ((0.02, 0.005, 9), (-0.02, 0.005, 9), (0.001, 0.005, 9), None)]
    ['earns', 'hurts', 'neither', '-']
    """
    if apart is None or math.isnan(apart[1]):
        return "-"
    gain, error, _ = apart
    if abs(gain) <= max(2 * error, LEAST):
        return "neither"
    return "earns" if (gain > 0) != more else "hurts"
