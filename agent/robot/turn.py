"""What the loop tells of each step of control, and who may listen.

Shapes: N robots.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.control.controller import Kind
from agent.service.report import Checkpoint

Floats: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that the parts of one step took, of all robots together.

    Args:
        plan: the controller's choice of actions.
        learn: what it made of what they did.
        world: simulation, or waiting for it.
    """

    plan: float = 0.0
    learn: float = 0.0
    world: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of control of all robots.

    Args:
        step: steps of the life so far, this one included.
        now: monotonic seconds at its end.
        wall: Unix seconds at its end.
        reward_N: what the environment gave.
        surprise_N: how badly the next observation was foreseen, in the controller's unit.
        change: by robot, what the controller has just noticed: "", "new" or "returned".
        body_N: number of the body that each robot is believed to have; -1 where no controller said.
        bodies: how many bodies each remembers.
        belief: figures by name, by robot.
        truth: the body that each robot really had during the step, for judges; "" where unknown.
        altered: whether it is another one than during the step before.
        fallen_N: whose episode ended by a fall.
        spent: where the time went.
        checkpoint: the last durable one; None before the first.
        checkpoint_failures: how many could not be written.
    """

    step: int
    now: float
    wall: float
    reward_N: Floats
    surprise_N: Floats
    change: Sequence[Kind]
    body_N: NDArray[np.int64]
    bodies: Sequence[int]
    belief: Sequence[Mapping[str, float]]
    truth: Sequence[str]
    altered: bool
    fallen_N: Flags
    spent: Spent = field(default_factory=Spent)
    checkpoint: Checkpoint | None = None
    checkpoint_failures: int = 0


Watcher: TypeAlias = Callable[[Turn], None]
"""Called after each step; quick. What a robot does never depends on it."""
