"""Robots of one layout on Gymnasium's vector environments, for a MuJoCo without a batch.

Shapes: N robots, O observations, A actions, S numbers of a whole state, K of the parts' places.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from envs.body import Body
from envs.carry import put_state, state_of
from envs.catalogue import make
from envs.changing import Changing
from envs.life import Life
from envs.robots import ROBOTS, Robot
from envs.task import Array, Start


class Troop:
    """N robots that step one after the other; the same answers as a `Pack`'s, within rounding.

    Args:
        robot: what they are.
        bodies: one for each, all with the same limbs removed.
        threads: not used.
    """

    def __init__(self, robot: Robot, bodies: Sequence[Body], threads: int = 1) -> None:
        del threads
        self.bodies = list(bodies)
        here = ROBOTS.get(robot.name) is robot and robot.falls
        on: dict[str, Any] = {"terminate_when_unhealthy": False} if here else {}
        ways = [partial(make, robot, Life(((0, body),)), **on) for body in self.bodies]
        self._vector = SyncVectorEnv(ways, autoreset_mode=AutoresetMode.DISABLED)
        self._envs = [cast("Changing", env.unwrapped) for env in self._vector.envs]
        self._vector.reset(seed=0)

    @property
    def model(self) -> mujoco.MjModel:
        """A model of this layout."""
        return self._envs[0].model

    def embody(self, rows: Sequence[int], bodies: Sequence[Body]) -> None:
        """Give some robots other bodies; their states stay."""
        for row, body in zip(rows, bodies, strict=True):
            self.bodies[row] = body
            self._envs[row].life = Life(((0, body),))
            self._envs[row].embody(body)

    def place(self, rows: Sequence[int], starts: Sequence[Start]) -> None:
        """Begin anew where each start says."""
        for row, start in zip(rows, starts, strict=True):
            self._envs[row].place(start.qpos_Q, start.qvel_V, start.target_3)

    def step(self, action_NA: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Act for one step of control; gives reward and whether each has fallen, (N,)."""
        _, reward_N, _, _, info = self._vector.step(action_NA)
        return reward_N, np.asarray(info["fallen"], dtype=bool)

    def aim(self, row: int, target_3: Array) -> None:
        """Move one robot's target."""
        self._envs[row].data.mocap_pos[0] = target_3

    def observe(self) -> Array:
        """Give what each observes now, (N, O)."""
        return np.stack([env.observe() for env in self._envs])

    def seconds(self) -> Array:
        """Give the seconds since each one's start, (N,)."""
        return np.array([env.data.time for env in self._envs])

    def states(self) -> Array:
        """Give each one's whole state and its parts' places, (N, S + K)."""
        both = [(state_of(env.model, env.data), env.data.xpos.ravel()) for env in self._envs]
        return np.stack([np.concatenate(parts) for parts in both])

    def put(self, states: Array) -> None:
        """Put back what `states` gave."""
        for env, row in zip(self._envs, states, strict=True):
            places = env.data.xpos.size
            put_state(env.model, env.data, row[:-places])
            env.data.xpos[:] = row[-places:].reshape(env.data.xpos.shape)
