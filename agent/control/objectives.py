"""What a planner wants, as functions of foreseen observations and actions.

Shapes: N robots, C candidates, O observations, A actions.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Objective(Protocol):
    """What a step is worth."""

    def __call__(self, obs_NCO: Tensor, action_NCA: Tensor, left: int) -> Tensor:
        """Give the worth of a step, shape NC.

        Args:
            obs_NCO: foreseen after the step.
            action_NCA: of the step.
            left: steps of the plan that follow it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reach:
    """Bring a point to a goal, and be slow there.

        -|p - g| - w |v|^2 - e |u|^2,   w larger in the last step of a plan

    Args:
        point: columns of the point's coordinates; where they are told from the goal, the offset.
        goal: columns of the goal's coordinates; none where `point` is the offset already.
        speed: columns of the speeds.
        metre: how much of the point's unit a metre is.
        slow: w, in metres, of a speed of one.
        slow_last: w in the last step.
        effort: e, in metres.
    """

    point: tuple[int, ...]
    goal: tuple[int, ...] = ()
    speed: tuple[int, ...] = ()
    metre: float = 1.0
    slow: float = 0.001
    slow_last: float = 0.004
    effort: float = 0.0

    def __post_init__(self) -> None:
        if not self.point or (self.goal and len(self.goal) != len(self.point)):
            raise ValueError("give the point's columns, and as many of the goal, or none")
        if self.metre <= 0 or min(self.slow, self.slow_last, self.effort) < 0:
            raise ValueError("metre must be above 0; slow, slow_last and effort 0 or more")

    def __call__(self, obs_NCO: Tensor, action_NCA: Tensor, left: int) -> Tensor:
        """As the protocol says, in metres."""
        off = obs_NCO[..., list(self.point)]
        if self.goal:
            off = off - obs_NCO[..., list(self.goal)]
        apart: Tensor = torch.linalg.vector_norm(off, dim=-1)
        worth = -apart / self.metre
        if self.speed:
            slow = self.slow if left else self.slow_last
            worth = worth - slow * obs_NCO[..., list(self.speed)].square().sum(-1)
        if self.effort:
            worth = worth - self.effort * action_NCA.square().sum(-1)
        return worth


@dataclass(frozen=True, slots=True)
class Forwards:
    """Move on: one column of the observation, less the price of actions.

    Args:
        speed: its column.
        effort: price of a squared action.
    """

    speed: int
    effort: float = 0.1

    def __call__(self, obs_NCO: Tensor, action_NCA: Tensor, left: int) -> Tensor:
        """As the protocol says, in the column's unit."""
        del left
        return obs_NCO[..., self.speed] - self.effort * action_NCA.square().sum(-1)
