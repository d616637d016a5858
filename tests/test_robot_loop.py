"""The loop of control: what is learned from what, and that a snapshot goes on to the bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.control.controller import Noticed
from agent.learners.base import State
from agent.robot.controllers import every_controller
from agent.robot.diary import Diary
from agent.robot.loop import Loop
from agent.robot.trained import UntrainedError
from agent.robot.world import World
from envs.life import Life
from envs.robots import ROBOTS
from tests.robot_loops import restored, same, stored
from tests.robots import Toy, Wanderer, clocks


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


def ours(name: str, words: str, robots: int = 2) -> World:
    from agent.robot.fleet_world import FleetWorld  # noqa: PLC0415 - it stands on MuJoCo

    return FleetWorld(ROBOTS[name], Life.parse(words), robots, 7)


LIVES = {
    "PlanarArm": "intact@0 invert:elbow@4 intact@9",
    "HalfCheetah": "intact@0 dead:bthigh@4 intact@9",
    "Ant": "intact@0 remove:leg1@4 intact@9",
    "Hopper": "intact@0 weak:leg=0.4@4 intact@9",
    "Swimmer": "intact@0 invert:motor1_rot@4 intact@9",
    "Walker2d": "intact@0 dead:foot@4 intact@9",
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
