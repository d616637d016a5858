"""Tasks that are functions of x: what the families of curves share.

Shapes: T tasks, U uniform numbers that make a task, B rows, F features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from streams.worlds.hashed import uniforms
from streams.worlds.tasks import Episode, Floats, Ranges, Reals, Split, within

Function: TypeAlias = Callable[[Reals, Floats], Reals]
"""From a task's uniform numbers, TU, and rows, TBF, to their targets, TB."""

Inputs: TypeAlias = Callable[[Reals, int, Generator], Floats]
"""From the same numbers and B to rows drawn for each task, TBF."""


@dataclass(frozen=True, slots=True)
class Functions:
    """A world of functions.

    Args:
        function: what a task is.
        inputs: where its rows lie.
        needs: U, how many uniform numbers make a task.
        seed: of the family; the same seed has the same tasks.
        splits: which tasks are in which split.
        features: F.
        noise: standard deviation added to every target.
    """

    function: Function
    inputs: Inputs
    needs: int
    seed: int
    splits: Ranges
    features: int = 1
    noise: float = 0.0
    classes: int = 0
    outputs: int = 1

    def episode(
        self, split: Split, tasks: int, shots: int, queries: int, draw: Generator
    ) -> Episode:
        """Draw tasks of that split and rows of each."""
        ids = self.splits.pick(split, tasks, draw)
        made = uniforms(self.seed, ids, self.needs)
        x = self.inputs(made, shots + queries, draw)
        y = self.function(made, x)
        if self.noise:
            y = y + self.noise * draw.standard_normal(y.shape)
        y32 = y.astype(np.float32)
        return Episode(x[:, :shots], y32[:, :shots], x[:, shots:], y32[:, shots:], ids)


def evenly(low: float, high: float, features: int = 1) -> Inputs:
    """Draw rows evenly from a cube."""

    def rows(made: Reals, count: int, draw: Generator) -> Floats:
        shape = (len(made), count, features)
        return np.float32(low) + np.float32(high - low) * draw.random(shape, np.float32)

    return rows


def check_family(seed: int, noise: float) -> None:
    """Check what the settings of all these families share."""
    within("seed", seed, 0, 2**63 - 1)
    within("noise", noise, 0, 1e6)
