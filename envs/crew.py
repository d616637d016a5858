"""Robots of one layout that step at once: the same joints and motors, bodies that may differ.

Shapes: N robots, O observations, A actions, S numbers that hold all there is of one robot.
"""

from collections.abc import Sequence
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.body import Body
from envs.task import Array, Start


class Crew(Protocol):
    """What a fleet is made of: `Pack` on MuJoCo's batch, `Troop` on Gymnasium's vectors."""

    bodies: list[Body]

    @property
    def model(self) -> mujoco.MjModel:
        """A model of this layout."""
        ...

    def embody(self, rows: Sequence[int], bodies: Sequence[Body]) -> None:
        """Give some robots other bodies of this layout; their states stay. Rows ascend."""
        ...

    def place(self, rows: Sequence[int], starts: Sequence[Start]) -> None:
        """Begin anew where each start says, the clocks at 0. Rows ascend."""
        ...

    def step(self, action_NA: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Act for one step of control; gives reward and whether each has fallen, (N,)."""
        ...

    def aim(self, row: int, target_3: Array) -> None:
        """Move one robot's target."""
        ...

    def observe(self) -> Array:
        """Give what each observes now, (N, O)."""
        ...

    def seconds(self) -> Array:
        """Give the seconds since each one's start, (N,)."""
        ...

    def states(self) -> Array:
        """Give all there is of each robot, its physics first, (N, S)."""
        ...

    def put(self, states: Array) -> None:
        """Put back what `states` gave."""
        ...
