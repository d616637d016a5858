"""Ant, Hopper, Swimmer and Walker2d as they are shipped: they move, notice, and go on."""

from functools import cache

import pytest
import torch

from agent.control.controller import Controller
from agent.robot.ars import ArsSettings, Search
from agent.robot.controllers import RobotSpec, default_for, find
from agent.robot.ppo_drill import Drill, DrillSettings
from agent.robot.runner import RUNNERS, Runner
from agent.robot.train_runner import pool
from agent.robot.trained import MOST, card
from benchmarks.robots.lives import Ran, live
from envs.body import Body
from envs.families import FAMILIES
from envs.life import Life
from envs.robots import ROBOTS

EACH, AT, STEPS = 3, 120, 240
INTACT, TURNED = slice(0, EACH), slice(EACH, 2 * EACH)
FIRST = {"Ant": "ankle_2", "Hopper": "thigh", "Swimmer": "motor1_rot", "Walker2d": "thigh"}
every = pytest.mark.parametrize("robot", sorted(RUNNERS))


def made(robot: str, name: str = "") -> Controller:
    kind = ROBOTS[robot]
    spec = RobotSpec(kind.name, kind.observations, kind.actions, kind.dt)
    return find(name or default_for(robot))(spec)


@cache
def ran(robot: str) -> Ran:
    """Robots that stay intact, and some whose motor turns round."""
    lives = [Life(), Life.parse(f"intact@0 invert:{FIRST[robot]}@{AT}")]
    return live(robot, lambda: made(robot), [one for one in lives for _ in range(EACH)], STEPS, 3)


@every
def test_it_moves_far_better_than_one_that_holds_still(robot: str) -> None:
    still = live(robot, lambda: made(robot, "hold"), [Life()] * EACH, STEPS, 3)
    own = ran(robot).reward_TN[AT:, INTACT].mean()
    assert own > 2 * max(still.reward_TN[AT:].mean(), 0.03)


@every
def test_the_robust_policy_moves_too(robot: str) -> None:
    own = live(robot, lambda: made(robot, f"{RUNNERS[robot].part}/robust"), [Life()], STEPS, 3)
    assert own.reward_TN[AT:].mean() > 0.3 * ran(robot).reward_TN[AT:, INTACT].mean() > 0


@every
def test_a_motor_that_turns_round_is_noticed_and_turned_back(robot: str) -> None:
    own = ran(robot)
    assert own.told_TN[AT:, TURNED].any(0).all()
    assert not own.told_TN[:, INTACT].any()
    gain = own.belief_TNA[-1, TURNED, ROBOTS[robot].actuators.index(FIRST[robot])]
    assert (gain < -0.5).all()
    late = own.reward_TN[AT + 40 :]
    assert late[:, TURNED].mean() > 0.7 * late[:, INTACT].mean()


@every
def test_parts_are_small_and_were_trained_on_training_bodies_alone(robot: str) -> None:
    cards = [card(f"{RUNNERS[robot].part}-{one}") for one in ("told", "robust", "self")]
    assert sum(one["bytes"] for one in cards) <= MOST
    assert all(one["cpu_seconds"] <= 15 * 60 and one["trained on"] for one in cards)
    assert {FAMILIES[robot].split_of(body) for body in pool(RUNNERS[robot], 0)} == {"train"}


def test_a_search_climbs_to_where_the_return_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ArsSettings(directions=16, best=8, step=0.1, noise=0.1)
    own = Search("Swimmer", [Body()], settings, 0, (0,), told=False)
    goal = {name: 0.5 * torch.ones_like(one) for name, one in own.actor.net.named_parameters()}

    def near(tried: dict[str, torch.Tensor]) -> torch.Tensor:
        wrong = [(tried[name] - one).square().flatten(1).sum(1) for name, one in goal.items()]
        return -torch.stack(wrong).sum(0)

    monkeypatch.setattr(own, "_tried", near)
    rewards = own.run(60, lambda text: None)  # noqa: ARG005 (nothing is said)
    assert rewards[0] < -4
    assert rewards[-1] > -0.4


def test_a_search_is_the_same_for_the_same_seed() -> None:
    def found() -> dict[str, torch.Tensor]:
        settings = ArsSettings(directions=2, best=1, episode=10)
        own = Search("Swimmer", pool(RUNNERS["Swimmer"], 0), settings, 4, (0,), told=True)
        own.run(3, lambda text: None)  # noqa: ARG005 (nothing is said)
        return dict(own.actor.state_dict())

    one, other = found(), found()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["senses.std_O"], torch.ones(8))


def test_velocities_tell_of_motors() -> None:
    assert RUNNERS["Hopper"].tells == tuple(range(5, 11))


def test_who_cannot_run_is_not_drilled() -> None:
    with pytest.raises(ValueError, match="Reacher does not run"):
        Drill("Reacher", [Body()], DrillSettings(robots=1), 0)
    with pytest.raises(ValueError, match="robot is 'Horse'"):
        Runner("Horse", "horse")
