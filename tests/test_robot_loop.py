"""The loop of control: what is learned from what, and that a snapshot goes on to the bit."""

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
from agent.robot.controllers import RobotSpec, every_controller
from agent.robot.diary import Diary
from agent.robot.gym_world import GymWorld
from agent.robot.loop import Loop
from agent.robot.trained import UntrainedError
from agent.robot.turn import Turn
from agent.robot.world import World, WorldError
from agent.service.checkpoint import CheckpointStore
from envs.life import Life
from envs.robots import ROBOTS
from tests.robots import Toy, Wanderer, clocks


def same(one: Turn, other: Turn) -> bool:
    """Whether two steps are the same to the bit, time apart."""
    arrays = ("reward_N", "surprise_N", "body_N", "fallen_N")
    plain = ("step", "change", "bodies", "belief", "truth", "altered")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in plain
    )


def stored(loop: Loop, folder: Path) -> None:
    arrays, meta = loop.photograph()
    CheckpointStore(folder, 2, {}, lambda: 1.0).save(arrays, meta)


def restored(loop: Loop, folder: Path) -> bool:
    found = CheckpointStore(folder, 2, {}, lambda: 1.0).load()
    assert found is not None
    return loop.restore(*found)


@pytest.mark.parametrize("at", [0, 7, 10, 33])
def test_a_snapshot_goes_on_to_the_bit(at: int, tmp_path: Path) -> None:
    loop = Loop(Toy(), Wanderer(), 3, clocks())
    for _ in range(at):
        loop.turn()
    stored(loop, tmp_path)
    rest = [loop.turn() for _ in range(20)]
    other = Loop(Toy(), Wanderer(), 4, clocks())
    assert restored(other, tmp_path)
    assert all(same(one, other.turn()) for one in rest)
    assert any(turn.fallen_N.any() for turn in rest)


def test_a_snapshot_is_a_photograph_and_no_window(tmp_path: Path) -> None:
    loop = Loop(Toy(), Wanderer(), 3, clocks())
    stored(loop, tmp_path)
    first = [loop.turn() for _ in range(8)]
    assert restored(loop, tmp_path)
    assert all(same(one, loop.turn()) for one in first)


def test_where_the_world_cannot_go_back_an_episode_begins_with_what_was_learned(
    tmp_path: Path,
) -> None:
    loop = Loop(Toy(whole=False), Wanderer(), 3, clocks())
    for _ in range(6):
        loop.turn()
    stored(loop, tmp_path)
    mean = loop.state.mind["mean"].clone()
    other = Loop(Toy(whole=False), Wanderer(), 3, clocks())
    assert not restored(other, tmp_path)
    assert torch.equal(other.state.mind["mean"], mean)
    assert other.state.mind["age"].tolist() == [0, 0]
    assert other.state.obs_NO.tolist() == [[0, 0], [0, 0]]
    assert other.turn().step == 7


class Witness(Wanderer):
    """Keeps what it is taught."""

    def __init__(self) -> None:
        self.taught: list[tuple[Tensor, Tensor, Tensor]] = []
        self.fresh: list[list[bool]] = []

    @override
    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        self.taught.append((obs_NO, action_NA, next_NO))
        return super().learn(state, obs_NO, action_NA, next_NO)

    @override
    def reset(self, state: State, fresh_N: Tensor) -> State:
        self.fresh.append(fresh_N.tolist())
        return super().reset(state, fresh_N)


def test_no_reset_lies_within_what_is_taught_and_the_controller_hears_of_each() -> None:
    witness = Witness()
    loop = Loop(Toy(), witness, 0, clocks())
    turns = [loop.turn() for _ in range(40)]
    for at, (obs_NO, action_NA, next_NO) in enumerate(witness.taught):
        sign = -1 if 10 <= at < 30 else 1
        torch.testing.assert_close(next_NO, obs_NO + sign * action_NA)
        assert action_NA.abs().max() <= 1
    falls = [turn.fallen_N.tolist() for turn in turns if turn.fallen_N.any()]
    assert falls
    assert witness.fresh == falls


def test_the_truth_is_that_of_the_step_and_a_change_is_told_once() -> None:
    loop = Loop(Toy(), Wanderer(), 0, clocks())
    turns = [loop.turn() for _ in range(40)]
    assert [turn.step for turn in turns if turn.altered] == [11, 31]
    assert [set(turn.truth) for turn in turns[9:11]] == [{"intact"}, {"turned"}]


def test_a_diary_keeps_a_life_and_goes_into_a_snapshot() -> None:
    loop, diary = Loop(Toy(), Wanderer(), 0, clocks()), Diary()
    for _ in range(1100):
        diary(loop.turn())
    assert [(one.step, one.what) for one in diary.truths()] == [
        (1, "intact"), (11, "turned"), (31, "intact"),
    ]  # fmt: skip
    again = Diary()
    arrays, meta = diary.state()
    again.restore(arrays, meta)
    turn = loop.turn()
    diary(turn)
    again(turn)
    assert len(again) == 1101
    assert np.array_equal(again.column("reward"), diary.column("reward"))
    assert again.truths() == diary.truths()


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


def ours(name: str, words: str, robots: int = 2) -> World:
    from agent.robot.fleet_world import FleetWorld  # noqa: PLC0415 - it stands on MuJoCo

    return FleetWorld(ROBOTS[name], Life.parse(words), robots, 7)


LIVES = {
    "PlanarArm": "intact@0 invert:elbow@4 intact@9",
    "HalfCheetah": "intact@0 dead:bthigh@4 intact@9",
    "Ant": "intact@0 remove:leg1@4 intact@9",
    "Hopper": "intact@0 weak:leg=0.4@4 intact@9",
}


@pytest.mark.parametrize("name", LIVES)
def test_a_life_with_changes_goes_on_to_the_bit_in_another_fleet(name: str, tmp_path: Path) -> None:
    def make() -> Loop:
        world = ours(name, LIVES[name])
        return Loop(world, every_controller()["random"](world.spec), 1, clocks())

    loop = make()
    for _ in range(6):
        loop.turn()
    stored(loop, tmp_path)
    rest = [loop.turn() for _ in range(8)]
    other = make()
    assert restored(other, tmp_path)
    assert all(same(one, other.turn()) for one in rest)
    assert [turn.altered for turn in rest].count(True) == 1


@pytest.mark.parametrize("name", sorted(every_controller()))
def test_every_controller_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    entry = every_controller()[name]
    robot = next((one for one in LIVES if entry.drives(one)), None)
    if robot is None:
        pytest.skip("drives none of these robots")

    def make() -> Loop:
        world = ours(robot, LIVES[robot], 1)
        return Loop(world, entry(world.spec), 1, clocks())

    try:
        loop = make()
    except UntrainedError as error:
        pytest.skip(str(error))
    for _ in range(5):
        loop.turn()
    stored(loop, tmp_path)
    rest = [loop.turn() for _ in range(6)]
    other = make()
    assert restored(other, tmp_path)
    assert all(same(one, other.turn()) for one in rest)
