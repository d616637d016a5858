"""Functions in pieces: lines that meet at knots, or steps.

Shapes: T tasks, U uniform numbers that make a task, B rows, P pieces, F = 1 feature.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from streams.worlds.functions import Functions, check_family, evenly
from streams.worlds.tasks import Floats, Ranges, Reals, between, within

Shape = Literal["linear", "constant"]
"""linear: lines from knot to knot, unbroken. constant: a level between one knot and the next."""


@dataclass(frozen=True, slots=True)
class PiecewiseSettings:
    """A function in pieces, its knots and values drawn evenly.

    Args:
        shape: what a piece is.
        pieces: P.
        values: smallest and largest value at a knot, or of a level.
        reach: x is between minus and plus this, and so are the knots.
        seed: of the family; the same seed has the same tasks.
        noise: standard deviation added to every target.
        splits: which tasks are in which split.
    """

    shape: Shape = "linear"
    pieces: int = 4
    values: tuple[float, float] = (-3.0, 3.0)
    reach: float = 5.0
    seed: int = 0
    noise: float = 0.0
    splits: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        check_family(self.seed, self.noise)
        if self.shape not in get_args(Shape):
            raise ValueError(f"shape: {self.shape!r} is not {' or '.join(get_args(Shape))}")
        within("pieces", self.pieces, 1, 1000)
        within("reach", self.reach, 1e-6, 1e6)
        between("values", self.values)


def piecewise(settings: PiecewiseSettings) -> Functions:
    """Make the world."""
    inner, reach = settings.pieces - 1, settings.reach
    low, high = settings.values

    def function(made: Reals, x: Floats) -> Reals:
        knots = reach * (2 * np.sort(made[:, :inner], 1) - 1)
        values = low + (high - low) * made[:, inner:]
        piece = (x >= knots[:, None]).sum(2)
        if settings.shape == "constant":
            return np.take_along_axis(values, piece, 1)
        ends = np.pad(knots, ((0, 0), (1, 1)), constant_values=((0, 0), (-reach, reach)))
        left, right = (np.take_along_axis(ends, piece + side, 1) for side in (0, 1))
        share = (x[..., 0] - left) / np.maximum(right - left, 1e-9)
        first, last = (np.take_along_axis(values, piece + side, 1) for side in (0, 1))
        return first + share * (last - first)

    needs = inner + settings.pieces + (settings.shape == "linear")
    inputs = evenly(-reach, reach)
    return Functions(function, inputs, needs, settings.seed, settings.splits, noise=settings.noise)
