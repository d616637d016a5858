"""Gaits, their evolution, and getting up.

Shapes: N robots, G gaits, P parameters, B bodies, O observations, A motors.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.control.context_policy import Policies
from agent.control.contexts import Contexts, assumptions
from agent.control.gaits import BLOCKS, Layout, Library, Rhythms, drive, parameters, together
from agent.control.getup import GetUp
from agent.control.policy import Actor
from agent.learners.base import State
from agent.nets.body import seeded
from agent.robot.evolve import Archive, Floats, Plan, Variation, covering, grow, judged, seeds, used
from agent.robot.imagine import Imagination, ImagineSettings
from agent.robot.make_trials import CHEETAH
from agent.robot.train_gaits import GaitTraining, train_library
from agent.robot.train_getup import GetUpTraining, laid
from envs.body import Body
from envs.fleet import Fleet
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
    obs = torch.from_numpy(fleet.observe())
    assert float((obs[:, CHEETAH.pitch].cos() < -0.5).float().mean()) > 0.9


def test_a_seed_gives_one_library() -> None:
    of = GaitTraining(
        "HalfCheetah",
        CHEETAH,
        gaits=8,
        bodies=4,
        plan=Plan(16, 10, 1, first=2, variation=Variation()),
    )
    one, card = train_library(of, 0.05, 5, SILENT.append)
    two, _ = train_library(of, 0.05, 5, SILENT.append)
    assert all(torch.equal(one[name], two[name]) for name in one)
    library = Library.of(one, Rhythms(CHEETAH))
    assert library.gait_GP.shape == (8, parameters(6))
    assert library.mean_GB.shape == (8, 4)
    assert len(card["bodies"]) == 4


class Sure:
    """A self-model that knows: both thighs are inverted."""

    def begin(self, robots: int) -> State:
        return {"gain": torch.ones(robots, 6)}

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, object]:
        del obs_NO, action_NA, next_NO
        gain_NA = torch.tensor([-1.02, 1.0, 0.98, -0.97, 1.01, 1.0]).expand_as(state["gain"])
        return {"gain": gain_NA}, None


def foreseen(imagination: Imagination, state: State, steps: int) -> tuple[State, list[Tensor]]:
    """Ask at once, and give the answers of so many steps."""
    step_NO, action_NA, answers = torch.zeros(2, 17), torch.zeros(2, 6), []
    for step in range(steps):
        asked_N = torch.tensor([step == 0 and int(state["seen"][0]) < 0, False])
        state, who_n, mean_nG = imagination.learn(state, step_NO, action_NA, step_NO, asked_N)
        answers += [mean_nG[0]] if who_n.tolist() == [0] else []
    return state, answers


def test_what_is_imagined_is_what_gaits_earn_on_the_identified_body() -> None:
    draw = np.random.default_rng(0)
    gait_GP = seeds(6, 6, draw)
    library = Library(torch.from_numpy(gait_GP).float(), torch.zeros(6, 1), Rhythms(CHEETAH))
    settings = ImagineSettings(wait=2, steps=20, start=10, pace=4)
    imagination = Imagination("HalfCheetah", library, Sure(), settings)
    _, answers = foreseen(imagination, imagination.begin(2), 20)
    assert len(answers) == 1
    fleet = Fleet("HalfCheetah", [Body.parse("invert:bthigh,fthigh")] * 6, seed=0)
    wanted_G = judged(fleet, gait_GP, Rhythms(CHEETAH), 20, 10)
    np.testing.assert_allclose(answers[0].numpy(), wanted_G, atol=1e-5)


def test_a_resumed_imagination_gives_the_same_answer() -> None:
    library = Library(
        torch.from_numpy(seeds(4, 6, np.random.default_rng(0))).float(),
        torch.zeros(4, 1),
        Rhythms(CHEETAH),
    )
    settings = ImagineSettings(wait=2, steps=20, start=10, pace=4)
    one, other = (Imagination("HalfCheetah", library, Sure(), settings) for _ in range(2))
    state, _ = foreseen(one, one.begin(2), 4)
    _, through = foreseen(one, state, 10)
    _, resumed = foreseen(other, state, 10)
    assert torch.equal(through[0], resumed[0])


def test_every_assumption_is_there_once_and_the_intact_one_first() -> None:
    gait_GP = assumptions(6, robust=True)
    assert gait_GP.shape == (1 + 6 * 3 + 15 * 9 + 1, 7)
    assert len({tuple(row) for row in gait_GP.tolist()}) == len(gait_GP)
    assert gait_GP[0].tolist() == [1.0] * 6 + [0.0]


def test_an_assumed_inversion_turns_the_command_round() -> None:
    with seeded(0):
        told, robust = Actor(17, 6, 6, (1,)), Actor(17, 6, 0, (1,))
    moves = Contexts(Policies(told, robust))
    gait_NP = torch.ones(3, 7)
    gait_NP[:, -1] = torch.tensor([0.0, 0.0, 1.0])
    gait_NP[1, 0] = -1.0
    obs_NO = torch.randn(1, 17).expand(3, -1)
    action_NA = moves(gait_NP, torch.zeros(3), obs_NO)
    torch.testing.assert_close(action_NA[1, 0], -action_NA[0, 0])
    torch.testing.assert_close(action_NA[1, 1:], action_NA[0, 1:])
    torch.testing.assert_close(action_NA[2], robust(obs_NO[2]).clamp(-1, 1))


def test_two_libraries_in_one_move_as_each_alone() -> None:
    with seeded(0):
        contexts = Contexts(Policies(Actor(17, 6, 6, (1,)), None))
    rhythms_GP = torch.from_numpy(seeds(3, 6, np.random.default_rng(0))).float()
    first = Library(assumptions(6, robust=False)[:4], torch.zeros(4, 2), contexts)
    second = Library(rhythms_GP, torch.ones(3, 2), Rhythms(CHEETAH))
    both = together(first, second)
    obs_NO, clock_N = torch.randn(7, 17), torch.arange(7.0)
    action_NA = both.moves(both.gait_GP, clock_N, obs_NO)
    torch.testing.assert_close(action_NA[:4], contexts(first.gait_GP, clock_N[:4], obs_NO[:4]))
    torch.testing.assert_close(action_NA[4:], drive(rhythms_GP, clock_N[4:], obs_NO[4:], CHEETAH))
    assert both.mean_GB[:, 0].tolist() == [0.0] * 4 + [1.0] * 3
