"""What is seen of a stream's features: units, marginals, copies, gaps, and late columns.

Shapes: N rows, F features, K columns of codes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.drift.inputs import Codes
from streams.worlds.tasks import Floats


@dataclass(frozen=True, slots=True)
class DressSettings:
    """How features look.

    Args:
        odd: share of the features whose marginals are bent.
        units: whether features have units of their own.
        copies: share of the features that are noisy copies of others.
        missing: share of values that are missing, in about half of the columns.
        late: share of the features that come only with time.
    """

    odd: float = 0.3
    units: bool = False
    copies: float = 0.0
    missing: float = 0.0
    late: float = 0.0


BENDS: tuple[Callable[[Floats], Floats], ...] = (
    np.exp,
    lambda z: z * np.abs(z) * np.abs(z),
    lambda z: np.rint(2 * z),
    np.tanh,
    lambda z: np.maximum(z, 0),
)
"""Skewed, heavy of tail, rounded, bounded, and cut at nought."""


def dressed(
    z_NF: Floats, binary_F: NDArray[np.bool_], settings: DressSettings, draw: Generator
) -> Floats:
    """Make what is seen of the features, NF; NaN is missing."""
    rows, features = z_NF.shape
    x_NF = z_NF.copy()
    x_NF[:, binary_F] = z_NF[:, binary_F] > 0
    free = ~binary_F
    which_F = draw.integers(0, len(BENDS), features)
    bent_F = free & (draw.random(features) < settings.odd)
    for number, bend in enumerate(BENDS):
        mine = bent_F & (which_F == number)
        if mine.any():
            x_NF[:, mine] = bend(x_NF[:, mine])
    copied = np.flatnonzero(free & (draw.random(features) < settings.copies))
    noise = 0.1 * draw.standard_normal((rows, len(copied)), np.float32)
    x_NF[:, copied] = x_NF[:, draw.integers(0, features, len(copied))] + noise
    if settings.units:
        unit_F = np.where(free, 10.0 ** draw.uniform(-3, 4, features), 1)
        level_F = np.where(free, draw.standard_normal(features), 0)
        x_NF = ((x_NF + level_F) * unit_F).astype(np.float32)
    return _late(_holes(x_NF, settings.missing, draw), settings.late, draw)


def _holes(x_NF: Floats, missing: float, draw: Generator) -> Floats:
    """Leave out values: by chance, or where they are large."""
    if not missing:
        return x_NF
    features = x_NF.shape[1]
    gone = np.array(draw.random(x_NF.shape, np.float32) < missing)
    if draw.random() < 0.3:  # noqa: PLR2004 - so many streams miss what is large
        gone = np.array(x_NF > np.quantile(x_NF, 1 - missing, axis=0))
    holed = int(draw.integers(features))
    columns = (draw.random(features) < 1 / 2) | (np.arange(features) == holed)
    out: Floats = np.where(gone & columns, np.float32(np.nan), x_NF)
    return out


def _late(x_NF: Floats, late: float, draw: Generator) -> Floats:
    """Let columns be missing, or one number, until their time."""
    rows, features = x_NF.shape
    for column in np.flatnonzero(draw.random(features) < late):
        start = int(draw.uniform(0.1, 0.8) * rows)
        x_NF[:start, column] = np.nan if draw.random() < 1 / 2 else 0
    return x_NF


def codes_with_gaps(codes_NK: Codes, missing: float, draw: Generator) -> Codes:
    """Leave out codes: 0."""
    return codes_NK * (draw.random(codes_NK.shape) >= missing)
