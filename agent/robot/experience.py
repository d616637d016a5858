"""Transitions of many bodies under random actions: what models of dynamics are meta-trained on.

Shapes: N robots, T steps, O observations, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.body import Body
from envs.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Wander:
    """Random actions that hang together in time, in spells of their own size.

    Args:
        steps: T, of each robot, in all restarts together.
        restarts: how often every robot begins anew.
        keep: share of an action that lasts into the next step.
        push: standard deviation of what is added.
        spell: steps for which a size lasts.
        least: the smallest size of a spell; the largest is 1.
    """

    steps: int = 300
    restarts: int = 2
    keep: float = 0.75
    push: float = 0.55
    spell: int = 25
    least: float = 0.1

    def __post_init__(self) -> None:
        if min(self.steps, self.restarts, self.spell) < 1:
            raise ValueError("steps, restarts and spell must be 1 or more")
        if not 0 <= self.keep < 1 or self.push <= 0 or not 0 < self.least <= 1:
            raise ValueError("give keep from 0 to less than 1, push above 0, least up to 1")


@dataclass(frozen=True, slots=True)
class Experience:
    """Runs without resets inside.

    Args:
        obs_NTO: before each step.
        action_NTA: of each step.
        next_NTO: after each step.
    """

    obs_NTO: Tensor
    action_NTA: Tensor
    next_NTO: Tensor


def gather(robot: str, bodies: Sequence[Body], seed: int, wander: Wander) -> Experience:
    """Let every body wander; each restart is a run of its own, so N is bodies times restarts."""
    generator = np.random.default_rng(seed)
    fleet = Fleet(robot, bodies, seed=seed)
    runs = [_run(fleet, generator, wander) for _ in range(wander.restarts)]
    return Experience(*(torch.cat(parts) for parts in zip(*runs, strict=True)))


def _run(
    fleet: Fleet, generator: np.random.Generator, wander: Wander
) -> tuple[Tensor, Tensor, Tensor]:
    """One run of the fleet: before, actions, after."""
    shape = len(fleet), fleet.robot.actions
    obs_NO, wave_NA, size_N1 = fleet.reset(), np.zeros(shape), np.ones((len(fleet), 1))
    before, actions, after = [], [], []
    for step in range(wander.steps // wander.restarts):
        if step % wander.spell == 0:
            size_N1 = generator.uniform(wander.least, 1.0, (len(fleet), 1))
        fresh_NA = wander.push * generator.standard_normal(shape)
        wave_NA = np.clip(wander.keep * wave_NA + fresh_NA, -1, 1)
        action_NA = (size_N1 * wave_NA).astype(np.float32)
        next_NO, _, _ = fleet.step(action_NA)
        before.append(torch.from_numpy(obs_NO))
        actions.append(torch.from_numpy(action_NA))
        after.append(torch.from_numpy(next_NO))
        obs_NO = next_NO
    return torch.stack(before, 1), torch.stack(actions, 1), torch.stack(after, 1)
