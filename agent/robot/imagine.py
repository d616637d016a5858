"""Foresight: the library simulated on the body that the self-model takes this one for.

Identified gains make a body, the gaits are run on it in simulation, and what they earn there is
what trials begin from. The simulation goes on a little at each step of control, so that no step
waits for it. What has been simulated is no part of the state: a state that is resumed simulates it
again from the gains and the number of steps that it holds, to the same bits.

Shapes: N robots, n of them, G gaits, A motors, O observations.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from agent.control.gains import signs
from agent.control.gaits import Library
from agent.learners.base import State
from agent.nets import part, prefixed
from agent.robot.evolve import Floats
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS

IDLE = -1  # steps simulated: none was asked for
KEPT = 64  # simulations kept
SEED = 0


@dataclass(frozen=True, slots=True)
class ImagineSettings:
    """How much is simulated.

    Args:
        wait: steps of control after a change is noticed, before the gains are taken.
        steps: steps that every gait is simulated for.
        start: of them, those at the beginning that do not count.
        pace: of them, at each step of control.
        round: gains are rounded to multiples of it.
    """

    wait: int = 5
    steps: int = 60
    start: int = 30
    pace: int = 2
    round: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.steps:
            raise ValueError(f"start is {self.start}; give 0 or more, below steps, {self.steps}")
        if self.steps < 1 or self.pace < 1 or self.wait < 0:
            raise ValueError(f"steps, pace, wait are {self.steps}, {self.pace}, {self.wait}")
        if not self.round > 0:
            raise ValueError(f"round is {self.round}; give more than 0")


class Follows(Protocol):
    """Follows the gains of the motors, as the leaf "gain" (N, A) of its state: a self-model."""

    def begin(self, robots: int) -> State:
        """Give the state before the first step."""
        ...

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, object]:
        """Take in a step; gives the state, and what is told of it."""
        ...


class Imagined:
    """All gaits of a library on one body, as far as they have been simulated."""

    def __init__(self, robot: str, library: Library, body: Body, start: int) -> None:
        self._fleet = Fleet(robot, [body] * len(library.gait_GP), seed=SEED)
        self._obs_GO = torch.from_numpy(self._fleet.reset())
        self._library, self._start = library, start
        self.total_G = np.zeros(len(library.gait_GP))
        self._up_G = np.ones(len(library.gait_GP), dtype=bool)
        self.steps = 0

    def go(self, steps: int) -> None:
        """Simulate up to so many steps from the beginning; nothing is earned from a fall on."""
        while self.steps < steps:
            clock_G = torch.full((len(self.total_G),), float(self.steps))
            action = self._library.moves(self._library.gait_GP, clock_G, self._obs_GO)
            obs, reward_G, fallen_G = self._fleet.step(action.numpy())
            self._up_G &= ~fallen_G
            self.total_G += reward_G * self._up_G * (self.steps >= self._start)
            self._obs_GO, self.steps = torch.from_numpy(obs), self.steps + 1


class Imagination:
    """Foresight by simulation of the identified body.

    Args:
        robot: its name.
        library: gaits.
        model: estimates the gains.
        settings: how much is simulated.
    """

    def __init__(
        self,
        robot: str,
        library: Library,
        model: Follows,
        settings: ImagineSettings | None = None,
    ) -> None:
        self.robot, self.library, self.model = robot, library, model
        self.settings = settings or ImagineSettings()
        self._made: OrderedDict[tuple[float, ...], Imagined] = OrderedDict()

    def begin(self, robots: int) -> State:
        """Give the state before the first step."""
        return {
            **prefixed("model", self.model.begin(robots)),
            "gains": torch.ones(robots, len(ROBOTS[self.robot].actuators)),
            "seen": torch.full((robots,), IDLE),
        }

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor, asked_N: Tensor
    ) -> tuple[State, Tensor, Tensor]:
        """Follow the gains; simulate a little further for those that wait for an answer."""
        of = self.settings
        model, _ = self.model.learn(part("model", state), obs_NO, action_NA, next_NO)
        seen_N = torch.where(state["seen"] == IDLE, IDLE, state["seen"] + 1)
        seen_N = torch.where(asked_N, 0, seen_N)
        gain_NA = (model["gain"] / of.round).round() * of.round
        taken_N = seen_N == of.wait
        gains_NA = torch.where(taken_N.unsqueeze(1), gain_NA, state["gains"])
        last = of.wait + -(-of.steps // of.pace)
        ready_n = (seen_N == last).nonzero().squeeze(1)
        for robot in (seen_N >= of.wait).nonzero().squeeze(1).tolist():
            self._simulated(gains_NA[robot], (int(seen_N[robot]) - of.wait) * of.pace)
        mean = [torch.from_numpy(self._simulated(gains_NA[n], of.steps)) for n in ready_n.tolist()]
        mean_nG = torch.stack(mean) if mean else torch.zeros(0, len(self.library.gait_GP))
        seen_N = torch.where(seen_N == last, IDLE, seen_N)
        return {**prefixed("model", model), "gains": gains_NA, "seen": seen_N}, ready_n, mean_nG

    def turned(self, state: State, action_NA: Tensor) -> Tensor:
        """Turn commands to inverted motors round."""
        return action_NA * signs(state["model.gain"])

    def _simulated(self, gain_A: Tensor, steps: int) -> Floats:
        """Give what a step of each gait earned, (G,), simulated so far at least."""
        gear = tuple(round(gain, 4) for gain in gain_A.tolist())
        if gear not in self._made:
            self._made[gear] = Imagined(
                self.robot, self.library, self._body(gear), self.settings.start
            )
        self._made.move_to_end(gear)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        one = self._made[gear]
        one.go(min(steps, self.settings.steps))
        return one.total_G / max(one.steps - self.settings.start, 1)

    def _body(self, gear: tuple[float, ...]) -> Body:
        names = ROBOTS[self.robot].actuators
        changed: Mapping[str, float] = {
            name: gain for name, gain in zip(names, gear, strict=True) if gain != 1.0
        }
        return Body("identified", gear=changed)
