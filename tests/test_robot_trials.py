"""HalfCheetah by trial, with what is shipped: real physics.

Shapes: N robots.
"""

import numpy as np
import pytest
import torch

from agent.robot.controllers import RobotSpec, default_for, find
from agent.robot.make_trials import CHEETAH, LIBRARIES, library, rising
from agent.robot.train_getup import GetUpTraining, laid, risen_at
from envs.body import Body
from envs.fleet import Fleet

ROBOT = RobotSpec("HalfCheetah", 17, 6, 0.05)


def test_most_intact_robots_get_up_within_five_seconds() -> None:
    of = GetUpTraining("HalfCheetah", CHEETAH, (2, 3))
    at_N = risen_at(CHEETAH, laid(of, [Body()] * 64, seed=3), rising(), 100)
    assert float(np.isfinite(at_N).mean()) > 0.5


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_is_judged_gait_by_gait(name: str) -> None:
    some = library(name)
    obs_GO = torch.zeros(len(some.gait_GP), 17)
    action_GA = some.moves(some.gait_GP, torch.zeros(len(obs_GO)), obs_GO)
    assert action_GA.shape == (len(some.mean_GB), 6)
    assert float(action_GA.abs().max()) <= 1


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="'none'; give one of all"):
        library("none")


def test_trials_are_no_robots_default() -> None:
    assert default_for("HalfCheetah") != "half-cheetah/trials"


@pytest.mark.slow
def test_both_thighs_inverted_are_overcome_by_trials_without_a_reset() -> None:
    """Runs for ten seconds: the one test that all parts do on a robot what they are for."""
    controller = find("half-cheetah/trials")(ROBOT)
    fleet = Fleet("HalfCheetah", [Body()], seed=0)
    obs_NO, state = torch.from_numpy(fleet.reset()), controller.begin(1)
    draw, earned, told = torch.Generator().manual_seed(0), np.zeros(1200), list[str]()
    for step in range(1200):
        if step == 200:
            fleet.embody([0], [Body.parse("invert:bthigh,fthigh")])
        state, action_NA = controller.act(state, obs_NO, draw)
        after, reward_N, _ = fleet.step(action_NA.numpy())
        next_NO = torch.from_numpy(after)
        state, noticed = controller.learn(state, obs_NO, action_NA, next_NO)
        obs_NO, earned[step] = next_NO, reward_N[0]
        told += [noticed.change[0]] if noticed.change[0] else []
    assert told[:1] == ["new"]
    assert earned[1000:].mean() > 0.8 * earned[100:200].mean()
