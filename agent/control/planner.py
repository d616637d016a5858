"""What MPPI and CEM share: a plan that is carried on from step to step, and ways to vary it.

Shapes: N robots, C candidates, H horizon, A actions, K scales.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from agent.learners.base import State

STRONG = 1.5  # standard deviation of actions that are cut to [-1, 1]: many at full strength

Value: TypeAlias = Callable[[Tensor], Tensor]
"""What candidates are worth: actions (N, C, H, A) to (N, C)."""


class Planner(Protocol):
    """Improves a plan by trying variations of it in a model."""

    def begin(self, robots: int, actions: int) -> State:
        """Give an empty plan: leaf `plan`, shape NHA."""
        ...

    def improve(self, state: State, value: Value, draw: torch.Generator) -> State:
        """Give a better plan."""
        ...


def shifted(state: State) -> dict[str, Tensor]:
    """The plan one step later: its first actions are done, its last ones are nought."""
    plan_NHA = state["plan"]
    later = torch.cat([plan_NHA[:, 1:], torch.zeros_like(plan_NHA[:, :1])], 1)
    return {**state, "plan": later}


def smooth_noise(
    shape: tuple[int, int, int, int], keep: float, draw: torch.Generator, device: torch.device
) -> Tensor:
    """Unit noise that changes slowly along the plan: a first-order autoregression; shape NCHA."""
    noise = torch.randn(shape, generator=draw, device=device)
    fresh = (1 - keep * keep) ** 0.5
    steps = [noise[:, :, 0]]
    for at in range(1, shape[2]):
        steps.append(keep * steps[-1] + fresh * noise[:, :, at])
    return torch.stack(steps, 2)


def two_pieces(
    shape: tuple[int, int, int, int], draw: torch.Generator, device: torch.device
) -> Tensor:
    """Plans of one action, and from some step on another; normal ones, `STRONG` wide; NCHA."""
    robots, candidates, horizon, actions = shape
    both = STRONG * torch.randn((robots, candidates, 2, actions), generator=draw, device=device)
    until = torch.randint(1, horizon + 1, (robots, candidates, 1, 1), generator=draw, device=device)
    first = torch.arange(horizon, device=device).view(-1, 1) < until
    return torch.where(first, both[:, :, :1], both[:, :, 1:])


def scales(each: tuple[float, ...], candidates: int, device: torch.device) -> Tensor:
    """So many scales dealt out to the candidates in turn, shape C11."""
    dealt = torch.tensor(each, device=device).repeat(-(-candidates // len(each)))
    return dealt[:candidates].view(-1, 1, 1)
