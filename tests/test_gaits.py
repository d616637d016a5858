"""Gaits, their evolution, and getting up.

Shapes: N robots, G gaits, P parameters, B bodies, O observations, A motors.
"""

import numpy as np
import pytest
import torch

from agent.control.gaits import BLOCKS, Layout, Library, drive, parameters
from agent.control.getup import GetUp
from agent.robot.evolve import Archive, Floats, Plan, Variation, covering, grow, seeds, used
from agent.robot.make_trials import CHEETAH
from agent.robot.train_gaits import GaitTraining, train_library
from agent.robot.train_getup import GetUpTraining, laid
from envs.body import Body
from envs.robots import ROBOTS

MOTORS = 2
SILENT: list[str] = []
LAYOUT = Layout((1, 2), (3, 4), pitch=0, spin=5, forward=6, dt=0.05, effort=0.1)


def rhythm(**parts: float) -> torch.Tensor:
    """Make one gait of two motors whose parts have the same value for both."""
    gait_1P = torch.zeros(1, parameters(MOTORS))
    for name, value in parts.items():
        place = BLOCKS.index(name) * MOTORS
        gait_1P[:, place : place + MOTORS] = value
    return gait_1P


def test_without_reflexes_a_gait_does_not_look() -> None:
    gait_GP = rhythm(amplitude=0.5, phase=0.25, offset=0.2)
    clock_N = torch.zeros(1)
    seen, unseen = torch.randn(1, 7), torch.zeros(1, 7)
    assert torch.equal(
        drive(gait_GP, clock_N, seen, LAYOUT), drive(gait_GP, clock_N, unseen, LAYOUT)
    )
    torch.testing.assert_close(drive(gait_GP, clock_N, seen, LAYOUT), torch.full((1, 2), 0.6))


def test_a_spring_pulls_its_own_joint() -> None:
    obs_NO = torch.zeros(1, 7)
    obs_NO[0, 1] = 0.1
    action_NA = drive(rhythm(spring=-1.0), torch.zeros(1), obs_NO, LAYOUT)
    torch.testing.assert_close(action_NA, torch.tensor([[-0.2, 0.0]]))


def test_what_a_step_is_worth_is_what_the_environment_rewards() -> None:
    from envs.fleet import Fleet  # noqa: PLC0415 - MuJoCo is needed by this test alone

    fleet = Fleet("HalfCheetah", [Body()] * 4, seed=3)
    obs_NO, draw = torch.from_numpy(fleet.reset()), np.random.default_rng(0)
    told, worth = 0.0, 0.0
    for _ in range(100):
        action = draw.uniform(-1, 1, (4, 6)).astype(np.float32)
        after, reward_N, _ = fleet.step(action)
        next_NO = torch.from_numpy(after)
        worth += float(CHEETAH.worth(obs_NO, torch.from_numpy(action), next_NO).mean())
        told, obs_NO = told + float(reward_N.mean()), next_NO
    assert abs(told - worth) < 0.1 * abs(told)


def test_the_layout_names_the_columns_of_the_robot() -> None:
    robot = ROBOTS["HalfCheetah"]
    assert [robot.labels[i] for i in CHEETAH.angles] == [
        f"position {one}" for one in robot.actuators
    ]
    assert [robot.labels[i] for i in CHEETAH.speeds] == [
        f"velocity {one}" for one in robot.actuators
    ]
    assert robot.labels[CHEETAH.forward] == "velocity rootx"
    assert robot.dt == pytest.approx(CHEETAH.dt)


def test_evolution_fills_every_niche_and_gets_better() -> None:
    draw = np.random.default_rng(0)
    archive = Archive(2**MOTORS, 2, parameters(MOTORS))
    best: list[float] = []

    def judge(gait_NP: Floats) -> Floats:
        score_N: Floats = -np.abs(gait_NP[:, 2 * MOTORS :] - 0.3).sum(1)
        return score_N

    def going(generation: int) -> bool:
        best.append(float(archive.score_CK.max()))
        return generation < 40

    grow(archive, judge, lambda count: seeds(count, MOTORS, draw), None, Plan(64), going, draw)
    assert np.isfinite(archive.score_CK).all()
    assert best[-1] > best[5] + 0.5
    gaits, _, niches = archive.elites()
    assert (used(gaits) == niches).all()


def test_luck_in_one_trial_does_not_keep_a_place() -> None:
    archive = Archive(1, 1, 3)
    archive.offer(0, np.ones(3), 9.0)
    archive.again(0, 0, 1.0)
    archive.offer(0, np.zeros(3), 6.0)
    assert archive.score_CK[0, 0] == 6.0


def test_a_cover_has_a_good_gait_for_every_body() -> None:
    mean_GB = np.array([[3.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 1.0], [2.9, 0.1, 0.0]])
    assert set(covering(mean_GB, 3)) == {0, 1, 2}


def test_rhythms_of_getting_up_take_turns() -> None:
    gait_KP = torch.cat([rhythm(offset=1.0), rhythm(offset=-1.0)])
    rise = GetUp(gait_KP, LAYOUT, patience=10)
    obs_NO = torch.zeros(3, 7)
    action_NA = rise(obs_NO, torch.tensor([1, 11, 21]))
    torch.testing.assert_close(action_NA[:, 0], torch.tensor([0.5, -0.5, 0.5]))
    again = GetUp.of(rise.tensors(), LAYOUT)
    assert torch.equal(again(obs_NO, torch.tensor([1, 11, 21])), action_NA)


def test_robots_that_were_laid_down_lie_on_their_back() -> None:
    of = GetUpTraining("HalfCheetah", CHEETAH, (2, 3))
    fleet = laid(of, [Body(), Body.parse("dead:bthigh")] * 8, seed=0)
    obs = torch.from_numpy(fleet.obs_NO)
    assert float((obs[:, CHEETAH.pitch].cos() < -0.5).float().mean()) > 0.9


def test_a_seed_gives_one_library() -> None:
    of = GaitTraining(
        "HalfCheetah",
        CHEETAH,
        gaits=8,
        bodies=4,
        plan=Plan(16, 10, 1, first=2, variation=Variation()),
    )
    one, card = train_library(of, 0.05, 5, SILENT.append, over=True)
    two, _ = train_library(of, 0.05, 5, SILENT.append, over=True)
    assert all(torch.equal(one[name], two[name]) for name in one)
    library = Library.of(one)
    assert library.gait_GP.shape == (8, parameters(6))
    assert library.mean_GB.shape == (8, 4)
    assert len(card["bodies"]) == 4
