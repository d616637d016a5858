"""Worlds of robots from environments of one's own: scaled, refused, taken up again."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from agent.control.controller import Noticed
from agent.learners.base import State
from agent.robot.controllers import RobotSpec
from agent.robot.gym_world import GymWorld
from agent.robot.loop import Loop
from agent.robot.world import WorldError
from tests.robot_loops import restored, same, stored
from tests.robots import Wanderer, clocks


class Own(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Somebody's own robot."""

    observation_space: Any = Box(-1, 1, (3,))
    action_space: Any = Box(np.array([0.0, -2.0]), np.array([10.0, 2.0]), dtype=np.float64)

    def __init__(self) -> None:
        self.done: list[list[float]] = []

    @override
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.random(3, np.float32), {}

    @override
    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self.done.append([float(one) for one in action])
        return self.np_random.random(3, np.float32), 1.0, False, len(self.done) % 5 == 0, {}


class Whole(Own):
    """One that can go back."""

    def state(self) -> dict[str, NDArray[Any]]:
        return {"done": np.array(self.done).reshape(-1, 2)}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.done = arrays["done"].tolist()


class Words(Own):
    observation_space: Any = Dict({"eye": Box(-1, 1, (2,))})


class Buttons(Own):
    action_space: Any = Discrete(3)


class Boundless(Own):
    action_space: Any = Box(-np.inf, np.inf, (2,))


for kind in (Own, Whole, Words, Buttons, Boundless):
    gymnasium.register(f"adaptd-tests/{kind.__name__}-v0", kind)  # type: ignore[arg-type]  # they take no options


def test_actions_are_scaled_to_what_an_environment_takes() -> None:
    world = GymWorld("adaptd-tests/Own-v0", 1, 0)
    world.reset()
    world.step(np.array([[-1.0, 0.5]], np.float32))
    world.step(np.array([[7.0, -9.0]], np.float32))
    env: Any = world._envs[0].unwrapped
    assert env.done == [[0.0, 1.0], [10.0, -2.0]]
    assert world.spec == RobotSpec("adaptd-tests/Own-v0", 3, 2, 0.05)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Words", "its observations are Dict.*FlattenObservation"),
        ("Buttons", "its actions are Discrete.*by numbers"),
        ("Boundless", "no bounds.*RescaleAction"),
    ],
)
def test_what_is_no_vector_is_refused_with_a_remedy(name: str, words: str) -> None:
    with pytest.raises(WorldError, match=words):
        GymWorld(f"adaptd-tests/{name}-v0", 1, 0)


def test_an_environment_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(WorldError, match="Did you mean: `Pendulum`"):
        GymWorld("Pendulm-v1", 1, 0)


def test_observations_that_are_no_numbers_end_a_life() -> None:
    world = GymWorld("adaptd-tests/Own-v0", 1, 0)
    world.reset()
    env: Any = world._envs[0].unwrapped
    env.step = lambda _: (np.array([0, np.nan, 0]), 0.0, False, False, {})
    with pytest.raises(WorldError, match="observation 1 is"):
        world.step(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("name", ["Whole", "Own"])
def test_an_own_environment_goes_back_where_it_can(name: str, tmp_path: Path) -> None:
    def make() -> Loop:
        world = GymWorld(f"adaptd-tests/{name}-v0", 2, 5)
        return Loop(world, Wanderer3(), 1, clocks())

    loop = make()
    for _ in range(8):
        loop.turn()
    stored(loop, tmp_path)
    rest = [loop.turn() for _ in range(9)]
    other = make()
    assert restored(other, tmp_path) == (name == "Whole")
    again = [other.turn() for _ in range(9)]
    assert all(map(same, rest, again)) == (name == "Whole")


class Wanderer3(Wanderer):
    """For three numbers of an observation."""

    @override
    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        return super().act(state, obs_NO[:, :2], draw)

    @override
    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        return super().learn(state, obs_NO[:, :2], action_NA, next_NO[:, :2])
