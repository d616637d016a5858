"""Robots of this package, simulated together, whose bodies change as their life says.

Shapes: N robots, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.robot.controllers import RobotSpec
from agent.robot.turn import Floats
from agent.robot.world import Arrays, Json, Moved, finite
from envs.fleet import Fleet
from envs.life import Life
from envs.robots import Robot


class FleetWorld:
    """A fleet that lives one life. Nobody is reset when the body changes; a fall ends an episode.

    Args:
        robot: which one.
        life: whose changes nobody is told.
        robots: N.
        seed: of the fleet.
    """

    def __init__(self, robot: Robot, life: Life, robots: int, seed: int) -> None:
        self.spec = RobotSpec(robot.name, robot.observations, robot.actions, robot.dt)
        self.robots = robots
        self._robot, self._life = robot, life
        self._step = 0
        self._down_N = np.zeros(robots, bool)
        self.fleet = Fleet(robot, [life.at(0)] * robots, seed=seed)

    def reset(self) -> Floats:
        """Begin the life; give what is seen."""
        self._step = 0
        return finite(self.fleet.reset(), self._robot.name)

    def step(self, action_NA: Floats) -> Moved:
        """Take one step of control, with the body that the life has for it.

        Whoever lies is said to have fallen once, until it is up again.
        """
        if self._step and (body := self._life.due(self._step)) is not None:
            self.fleet.embody(range(self.robots), [body] * self.robots)
        obs_NO, reward_N, down_N = self.fleet.step(action_NA)
        self._step += 1
        next_NO = start_NO = finite(obs_NO, self._robot.name)
        fallen_N = down_N & ~self._down_N
        fresh_N = down_N & self._robot.falls
        if fresh_N.any():
            start_NO = finite(self.fleet.reset(np.flatnonzero(fresh_N)), self._robot.name)
        self._down_N = down_N & ~fresh_N
        return Moved(next_NO, reward_N, fallen_N, fresh_N, start_NO)

    def truth(self) -> Sequence[str]:
        """Name the body of the next step."""
        return [self._life.at(self._step).name] * self.robots

    def state(self) -> tuple[Arrays, Json]:
        """Give all that changes."""
        return {**self.fleet.state(), "down": self._down_N}, {"step": self._step}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Json) -> Floats | None:
        """Go back to a state, to the bit."""
        self._step, self._down_N = meta["step"], np.array(arrays["down"], bool)
        self.fleet.restore(arrays)
        return None

    def close(self) -> None:
        """Nothing is open."""
