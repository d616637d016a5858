"""Sine waves: one of them, as Finn, Abbeel & Levine 2017 have it, and the sum of two.

Shapes: T tasks, U uniform numbers that make a task, B rows, F = 1 feature.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from streams.worlds.functions import Functions, check_family, evenly
from streams.worlds.hashed import normals
from streams.worlds.tasks import Floats, Ranges, Reals, between, within


@dataclass(frozen=True, slots=True)
class SinusoidSettings:
    """y = A sin(x - p), section 5.1 of the paper: A even in 0.1..5, p in 0..pi, x in -5..5.

    Args:
        seed: of the family; the same seed has the same tasks.
        amplitude: smallest and largest.
        phase: smallest and largest.
        reach: x is between minus and plus this.
        noise: standard deviation added to every target.
        splits: which tasks are in which split.
    """

    seed: int = 0
    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, np.pi)
    reach: float = 5.0
    noise: float = 0.0
    splits: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        check_family(self.seed, self.noise)
        between("amplitude", self.amplitude)
        between("phase", self.phase)
        within("reach", self.reach, 1e-6, 1e6)


def sinusoid(settings: SinusoidSettings) -> Functions:
    """Make the world."""
    (low, high), (first, last) = settings.amplitude, settings.phase

    def wave(made: Reals, x: Floats) -> Reals:
        amplitude = low + (high - low) * made[:, :1]
        return amplitude * np.sin(x[..., 0] - (first + (last - first) * made[:, 1:2]))

    inputs = evenly(-settings.reach, settings.reach)
    return Functions(wave, inputs, 2, settings.seed, settings.splits, noise=settings.noise)


@dataclass(frozen=True, slots=True)
class HarmonicSettings:
    """y = a sin(w x + b) + c sin(2 w x + d) + noise.

    a and c are standard normal, b and d even in 0..2 pi, w even in `frequency`; a task's x are
    normal about a centre of its own. In the manner of Lacoste et al. 2018, Uncertainty in
    Multitask Transfer Learning.

    Args:
        seed: of the family; the same seed has the same tasks.
        frequency: smallest and largest w.
        centre: a task's x lie about a point between minus and plus this.
        noise: standard deviation added to every target.
        splits: which tasks are in which split.
    """

    seed: int = 0
    frequency: tuple[float, float] = (5.0, 7.0)
    centre: float = 4.0
    noise: float = 0.3
    splits: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        check_family(self.seed, self.noise)
        between("frequency", self.frequency)
        within("centre", self.centre, 0, 1e6)


def harmonic(settings: HarmonicSettings) -> Functions:
    """Make the world."""
    slow, fast = settings.frequency

    def waves(made: Reals, x: Floats) -> Reals:
        a, c = np.split(normals(made[:, :4]), 2, 1)
        b, d = 2 * np.pi * made[:, 4:5], 2 * np.pi * made[:, 5:6]
        turn = (slow + (fast - slow) * made[:, 6:7]) * x[..., 0]
        return a * np.sin(turn + b) + c * np.sin(2 * turn + d)

    def inputs(made: Reals, count: int, draw: Generator) -> Floats:
        centre = settings.centre * (2 * made[:, 7:8, None] - 1)
        return (centre + draw.standard_normal((len(made), count, 1))).astype(np.float32)

    return Functions(waves, inputs, 8, settings.seed, settings.splits, noise=settings.noise)
