"""The protocol of whatever drives a robot: a state, and three pure functions over it.

Shapes: N robots (each lives for itself), O observations, A actions, each in [-1, 1].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from agent.learners.base import State

Kind = Literal["", "new", "returned"]


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a controller makes of one step.

    Args:
        surprise_N: how badly the next observation was foreseen: nats, or standard deviations;
            the same unit over a life.
        change: for each robot "" for none, "new" for a body not met before, "returned" for a known
            one; told once, at the step where the controller became sure.
        body_N: number of the body that each robot is believed to have now; 0 is the first one.
        bodies: how many bodies are remembered, by robot.
        belief: figures for people, by name: estimated gains; probabilities of bodies, where there
            are any, are named "body 0", "body 1" and so on, and "new body".
    """

    surprise_N: Tensor
    change: Sequence[Kind]
    body_N: Tensor
    bodies: Sequence[int]
    belief: Sequence[Mapping[str, float]] = field(default_factory=tuple)


class Controller(Protocol):
    """Drives N robots at once; a state is a flat tree of tensors with the robots first."""

    def begin(self, robots: int) -> State:
        """Give the state before the first step."""
        ...

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions (N, A)."""
        ...

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Take in what a step did; the pair of observations has no reset between."""
        ...

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Begin a new episode for those that are `fresh_N`: plans go, what was learned stays."""
        ...
