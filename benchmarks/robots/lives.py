"""Robots that live through changes of body under a controller, and what is kept of it.

Shapes: T steps, N robots, A actions, G groups of robots that live the same life.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.controller import Controller, Noticed
from agent.learners.base import State
from agent.robot.babble import risen
from agent.robot.ppo_drill import gains
from envs.fleet import Fleet
from envs.life import Life
from envs.robots import ROBOTS

Floats = NDArray[np.float64]


@runtime_checkable
class Informed(Protocol):
    """Is told the true gains at every step."""

    def inform(self, state: State, gain_NA: Tensor) -> State: ...


@runtime_checkable
class Rewarded(Protocol):
    """Is told the reward of every step."""

    def reward(self, state: State, reward_N: Tensor) -> State: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What happened.

    Args:
        reward_TN: of each step.
        belief_TNA: gains that were believed after each step; NaN where there is no such belief.
        truth_TNA: gains that were.
        told_TN: whether a change was told of at a step.
        fallen_TN: whether a fall ended an episode at a step.
        bodies_N: bodies that are remembered at the end.
    """

    reward_TN: Floats
    belief_TNA: Floats
    truth_TNA: Floats
    told_TN: NDArray[np.bool_]
    fallen_TN: NDArray[np.bool_]
    bodies_N: NDArray[np.int64]


def live(
    robot: str, make: Callable[[], Controller], lives: Sequence[Life], steps: int, seed: int
) -> Ran:
    """Let a robot each live these lives, all at once; a fall ends an episode, not the life."""
    torch.set_num_threads(1)
    controller, names = make(), ROBOTS[robot].actuators
    fleet = Fleet(robot, [life.at(0) for life in lives], seed=seed)
    state, draw = controller.begin(len(lives)), torch.Generator().manual_seed(seed)
    obs, kept, noticed = torch.from_numpy(fleet.reset()), list[tuple[Floats, ...]](), None
    for step in range(steps):
        due = [row for row, life in enumerate(lives) if step and life.due(step) is not None]
        if due:
            fleet.embody(due, [lives[row].at(step) for row in due])
        truth_NA = np.array([gains(life.at(step), names) for life in lives])
        if isinstance(controller, Informed):
            state = controller.inform(state, torch.from_numpy(truth_NA).float())
        state, action = controller.act(state, obs, draw)
        seen, reward_N, down_N = fleet.step(action.numpy())
        down_N &= fleet.robot.falls
        after = torch.from_numpy(seen)
        if isinstance(controller, Rewarded):
            state = controller.reward(state, torch.from_numpy(reward_N))
        state, noticed = controller.learn(state, obs, action, after)
        told_N = np.array([bool(kind) for kind in noticed.change])
        kept.append(
            (
                reward_N.astype(np.float64),
                _believed(noticed, names),
                truth_NA,
                told_N.astype(np.float64),
                down_N.astype(np.float64),
            )
        )
        obs = torch.from_numpy(risen(fleet, seen, down_N))
        if down_N.any():
            state = controller.reset(state, torch.from_numpy(down_N))
    bodies = np.array(noticed.bodies if noticed else [])
    reward, belief, truth, told, fallen = (np.stack(one) for one in zip(*kept, strict=True))
    return Ran(reward, belief, truth, told.astype(bool), fallen.astype(bool), bodies)


def _believed(noticed: Noticed, names: Sequence[str]) -> Floats:
    if not noticed.belief:
        return np.full((len(noticed.change), len(names)), np.nan)
    rows = [[one.get(f"gain {name}", np.nan) for name in names] for one in noticed.belief]
    return np.array(rows)


def identified(ran: Ran, at: int, robots: slice, near: float = 0.4) -> Floats:
    """Give how many steps after a change each robot's gains were right, and stayed so for five.

    Infinite for those that never were.
    """
    wrong_TNA = np.abs(ran.belief_TNA[at:, robots] - ran.truth_TNA[at:, robots])
    right_TN: NDArray[np.bool_] = np.all(wrong_TNA < near, axis=2)
    run_TN = np.stack([right_TN[row : row + 5].all(0) for row in range(len(right_TN) - 4)])
    first_N = np.argmax(run_TN, 0) + 1.0
    return np.where(run_TN.any(0), first_N, np.inf)
