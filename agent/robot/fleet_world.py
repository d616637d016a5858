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
        self._fleet = Fleet(robot.name, [life.at(0)] * robots, seed=seed)

    def reset(self) -> Floats:
        """Begin the life; give what is seen."""
        self._step = 0
        return finite(self._fleet.reset(), self._robot.name)

    def step(self, action_NA: Floats) -> Moved:
        """Take one step of control, with the body that the life has for it."""
        if self._step and (body := self._life.due(self._step)) is not None:
            self._fleet.embody(range(self.robots), [body] * self.robots)
        obs_NO, reward_N, fallen_N = self._fleet.step(action_NA)
        self._step += 1
        next_NO = finite(obs_NO, self._robot.name).copy()
        fresh_N = np.asarray(fallen_N, bool) & self._robot.falls
        start_NO = next_NO
        if fresh_N.any():
            start_NO = next_NO.copy()
            fallen = np.flatnonzero(fresh_N)
            start_NO[fallen] = finite(self._fleet.reset(fallen), self._robot.name)
        return Moved(next_NO, np.asarray(reward_N, np.float32), fallen_N, fresh_N, start_NO)

    def truth(self) -> Sequence[str]:
        """Name the body of the next step."""
        return [self._life.at(self._step).name] * self.robots

    def state(self) -> tuple[Arrays, Json]:
        """Give all that changes."""
        return dict(self._fleet.state()), {"step": self._step}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Json) -> Floats | None:
        """Go back to a state, to the bit."""
        self._step = meta["step"]
        before = max(0, self._step - 1)
        self._fleet.embody(range(self.robots), [self._life.at(before)] * self.robots)
        self._fleet.restore(dict(arrays))
        return None

    def close(self) -> None:
        """Nothing is open."""
