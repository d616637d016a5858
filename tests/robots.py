"""A toy world and a toy controller for the loop of robots, and turns made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.controller import Kind, Noticed
from agent.learners.base import State
from agent.robot.controllers import RobotSpec
from agent.robot.turn import Floats, Spent, Turn
from agent.robot.world import Arrays, Json, Moved
from agent.service.clocks import Clocks

EXAMPLES = Path(__file__).parent.parent / "deploy" / "examples" / "robots"
DT = 0.1


class Toy:
    """Points that are pushed about; the push turns round at step 10 and back at step 30.

    Whoever leaves [-3, 3] has fallen and begins anew at 0.
    """

    def __init__(self, robots: int = 2, *, whole: bool = True) -> None:
        self.spec, self.robots = RobotSpec("Toy", 2, 2, DT), robots
        self._whole = whole
        self._step = 0
        self._at_N2 = np.zeros((robots, 2), np.float32)

    def reset(self) -> Floats:
        self._step, self._at_N2 = 0, np.zeros((self.robots, 2), np.float32)
        return self._at_N2.copy()

    def step(self, action_NA: Floats) -> Moved:
        sign = -1.0 if 10 <= self._step < 30 else 1.0
        self._step += 1
        next_N2 = self._at_N2 + np.float32(sign) * action_NA
        fallen_N: NDArray[np.bool_] = np.abs(next_N2).max(1) > 3
        self._at_N2 = np.where(fallen_N[:, None], np.float32(0), next_N2).astype(np.float32)
        reward_N = -np.abs(next_N2).sum(1)
        return Moved(next_N2, reward_N, fallen_N, fallen_N, self._at_N2.copy())

    def truth(self) -> Sequence[str]:
        return ["turned" if 10 <= self._step < 30 else "intact"] * self.robots

    def state(self) -> tuple[Arrays, Json]:
        return {"at": self._at_N2.copy()}, {"step": self._step}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Json) -> Floats | None:
        self._step = meta["step"]
        if not self._whole:
            self._at_N2[:] = 0
            return self._at_N2.copy()
        self._at_N2 = np.array(arrays["at"], np.float32)
        return None

    def close(self) -> None:
        pass


class Wanderer:
    """Draws actions, remembers their mean, and counts the steps of its episode."""

    def begin(self, robots: int) -> State:
        return {"mean": torch.zeros(robots, 2), "age": torch.zeros(robots, dtype=torch.int64)}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        action_NA = torch.randn(len(obs_NO), 2, generator=draw) - 0.2 * obs_NO + state["mean"]
        return {**state, "mean": 0.9 * state["mean"] + 0.1 * action_NA}, action_NA

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        robots = len(obs_NO)
        surprise_N = (next_NO - obs_NO - action_NA).norm(dim=1)
        age_N = state["age"] + 1
        kinds: list[Kind] = ["new" if int(age) == 5 else "" for age in age_N]
        belief = [{"gain": 1.0, "body 0": 0.25, "new body": 0.75}] * robots
        told = Noticed(surprise_N, kinds, age_N, [2] * robots, belief)
        return {**state, "age": age_N}, told

    def reset(self, state: State, fresh_N: Tensor) -> State:
        return {**state, "age": torch.where(fresh_N, 0, state["age"])}


def clocks() -> Clocks:
    """Time that goes on by a hundredth of a second a look."""
    now = [100.0]

    def tick() -> float:
        now[0] += 0.01
        return now[0]

    return Clocks(now=tick, wall=lambda: 1_700_000_000.0 + now[0], sleep=lambda _: None)


def turn(step: int, **told: Any) -> Turn:
    """A step of one robot that goes well: reward 1, nothing noticed."""
    known: dict[str, Any] = {
        "now": 100.0 + DT * step,
        "wall": 1_700_000_000.0 + DT * step,
        "reward_N": np.array([1.0], np.float32),
        "surprise_N": np.array([0.1], np.float32),
        "change": [""],
        "body_N": np.array([0]),
        "bodies": [1],
        "belief": [{"gain of elbow": 1.0, "body 0": 0.9, "new body": 0.1}],
        "truth": ["intact"],
        "altered": False,
        "fallen_N": np.array([False]),
        "spent": Spent(0.01, 0.002, 0.001),
    }
    return Turn(step=step, **(known | told))


def life() -> list[Turn]:
    """A life of 100 steps: the elbow turns round at step 40, which is noticed 6 steps later."""
    found = []
    for step in range(1, 101):
        bad = 41 <= step < 56
        found.append(turn(
            step,
            reward_N=np.array([-1.0 if bad else 1.0], np.float32),
            surprise_N=np.array([5.0 if 41 <= step <= 46 else 0.1], np.float32),
            truth=["invert:elbow" if step > 40 else "intact"],
            altered=step == 41,
            change=["new" if step == 46 else ""],
            body_N=np.array([int(step >= 46)]),
            bodies=[1 + (step >= 46)],
            fallen_N=np.array([step == 50]),
        ))  # fmt: skip
    return found
