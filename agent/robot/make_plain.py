"""Controllers that learn nothing: the floor of every comparison, and a first run of any robot.

Shapes: N robots, O observations, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.controller import Controller, Noticed
from agent.learners.base import State
from agent.robot.controllers import RobotSpec, controller


@dataclass(frozen=True, slots=True)
class Blind:
    """Acts without looking.

    Args:
        draws: gives actions for so many robots.
    """

    draws: Callable[[int, torch.Generator], Tensor]

    def begin(self, robots: int) -> State:
        """Count the steps of each, which is all that there is to a state."""
        return {"steps": torch.zeros(robots, dtype=torch.int64)}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions."""
        return {"steps": state["steps"] + 1}, self.draws(len(obs_NO), draw)

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Take nothing in; a step that stood still is no surprise."""
        del action_NA
        robots = len(obs_NO)
        moved_N = (next_NO - obs_NO).square().mean(1).sqrt()
        body_N = torch.zeros(robots, dtype=torch.int64)
        return state, Noticed(moved_N, [""] * robots, body_N, [1] * robots)

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Keep the state: an episode means nothing here."""
        del fresh_N
        return state


@controller("hold", default=True)
def hold(settings: object, robot: RobotSpec) -> Controller:
    """Zero actions; learns nothing."""
    del settings
    return Blind(lambda robots, draw: torch.zeros(robots, robot.actions))  # noqa: ARG005 (Blind's)


@dataclass(frozen=True, slots=True)
class RandomSettings:
    """How random actions are drawn.

    Args:
        size: the largest, of 1.
    """

    size: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.size <= 1:
            raise ValueError(f"size is {self.size}; give 0 to 1")


@controller("random", options=RandomSettings)
def uniform(settings: RandomSettings, robot: RobotSpec) -> Controller:
    """Uniform random actions; learns nothing."""
    shape = robot.actions
    return Blind(
        lambda robots, draw: settings.size * (2 * torch.rand(robots, shape, generator=draw) - 1)
    )
