"""HalfCheetah as it is shipped: a motor turns the other way in mid-run, and it runs on."""

from functools import cache

import torch

from agent.control.controller import Controller
from agent.robot.controllers import RobotSpec, default_for, find
from agent.robot.ppo_drill import DrillSettings
from agent.robot.train_cheetah import ROBOT, dead_sets, pool, specialists, updates
from agent.robot.trained import MOST, card, shipped
from benchmarks.robots.lives import Ran, identified, live
from envs.families import FAMILIES
from envs.life import Life
from envs.robots import ROBOTS

PARTS = (
    "half-cheetah-told",
    "half-cheetah-robust",
    "half-cheetah-self",
    "half-cheetah-dead",
    "half-cheetah-rise",
)
EACH, AT, STEPS = 4, 60, 160


def made() -> Controller:
    robot = ROBOTS[ROBOT]
    return find(default_for(ROBOT))(
        RobotSpec(robot.name, robot.observations, robot.actions, robot.dt)
    )


@cache
def ran() -> Ran:
    """Robots that stay intact, and some whose front shin, never faulted in training, is inverted.

    The last ones come back to the intact body and to the fault again.
    """
    lives = [
        Life(),
        Life.parse(f"intact@0 invert:fshin@{AT}"),
        Life.parse(f"intact@0 invert:fshin@{AT} intact@{AT + 30} invert:fshin@{AT + 60}"),
    ]
    return live(ROBOT, made, [life for life in lives for _ in range(EACH)], STEPS, seed=3)


INTACT, TURNED, AGAIN = slice(0, EACH), slice(EACH, 2 * EACH), slice(2 * EACH, 3 * EACH)


def test_an_inverted_motor_that_never_failed_in_training_is_identified_in_20_steps() -> None:
    assert identified(ran(), AT, TURNED).max() <= 20


def test_it_runs_on_as_it_ran_before() -> None:
    late = ran().reward_TN[AT + 50 :]
    assert late[:, TURNED].mean() > 0.8 * late[:, INTACT].mean() > 0


def test_nothing_is_told_of_robots_that_stay_intact() -> None:
    assert not ran().told_TN[:, INTACT].any()


def test_a_body_that_comes_back_takes_no_second_place_in_memory() -> None:
    assert ran().bodies_N[AGAIN].tolist() == [2] * EACH


def test_each_change_is_told_once() -> None:
    assert ran().told_TN[:, TURNED].sum(0).tolist() == [1] * EACH
    assert ran().told_TN[:, AGAIN].sum(0).tolist() == [3] * EACH


def test_acting_and_learning_go_on_from_a_state_bit_for_bit() -> None:
    controller, draw = made(), torch.Generator()
    state, obs = controller.begin(2), torch.randn(2, 17, generator=draw)
    for _ in range(12):
        state, action = controller.act(state, obs, draw)
        after = obs + 0.1 * torch.randn(2, 17, generator=draw)
        state, _ = controller.learn(state, obs, action, after)
        obs = after
    copy = {name: one.clone() for name, one in state.items()}
    one, other = (made().act(some, obs, draw)[1] for some in (state, copy))
    assert torch.equal(one, other)
    first, second = (made().learn(some, obs, one, obs)[0] for some in (state, copy))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_shipped_parts_are_small_and_say_what_they_were_trained_on() -> None:
    for name in PARTS:
        told = card(name)
        assert told["bytes"] <= MOST
        assert told["cpu_seconds"] <= 15 * 60
        assert told["trained on"]


def test_there_is_a_specialist_for_every_dead_motor() -> None:
    assert set(specialists(shipped("half-cheetah-dead"))) == set(dead_sets())


def test_policies_are_drilled_on_training_bodies_alone() -> None:
    assert {FAMILIES[ROBOT].split_of(body) for body in pool(0)} == {"train"}


def test_twice_the_robots_are_given_half_the_updates() -> None:
    one, other = (updates(100, DrillSettings(robots=robots)) for robots in (64, 128))
    assert abs(one - 2 * other) <= 1
