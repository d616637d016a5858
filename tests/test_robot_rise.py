"""HalfCheetah gets up by a policy that is told its gains: real physics.

Shapes: N robots, O observations.
"""

import numpy as np
import pytest
import torch

from agent.control.gains import signs
from agent.robot.make_cheetah import RISE
from agent.robot.make_trials import RISES, rising
from agent.robot.ppo_drill import DrillSettings, gains
from agent.robot.train_getup import laid, risen_at
from agent.robot.train_rise import UPRIGHT, Laid, risen
from agent.robot.trained import shipped
from envs.body import Body
from envs.robots import ROBOTS

ROBOT = ROBOTS["HalfCheetah"]
SHARES = {"intact": 0.9, "dead:bthigh": 0.6, "invert:bshin": 0.9}


@pytest.mark.parametrize("body", SHARES)
def test_robots_are_up_within_five_seconds(body: str) -> None:
    rise, bodies = risen(shipped(RISE), RISES.layout), [Body.parse(body)] * 64
    gain_NA = torch.tensor([gains(one, ROBOT.actuators) for one in bodies])
    at_N = risen_at(
        RISES.layout,
        laid(RISES, bodies, seed=5),
        lambda obs_NO, down_N: rise(obs_NO, down_N, gain_NA) * signs(gain_NA),
        100,
    )
    assert float(np.isfinite(at_N).mean()) > SHARES[body]


def test_robots_in_the_drill_begin_on_their_back_and_earn_by_being_upright() -> None:
    drill = Laid(RISES, DrillSettings(robots=64, episode=50, change=0.0, moment=0.0), 0)
    cosine_N = drill.begin().obs[:, RISES.layout.pitch].cos()
    assert float((cosine_N < 0).float().mean()) > 0.7
    now = drill.step(torch.zeros(64, drill.actions))
    low_N = now.last.obs[:, RISES.layout.pitch].cos() < 0
    upright_N = UPRIGHT * now.last.obs[:, RISES.layout.pitch].cos()
    assert torch.allclose(now.reward_N[low_N], upright_N[low_N])


def test_robots_of_the_drill_are_laid_down_again_when_their_time_is_over() -> None:
    drill = Laid(RISES, DrillSettings(robots=64, episode=1, change=0.0, moment=0.0), 0)
    now = drill.step(torch.zeros(64, drill.actions))
    assert bool(now.ended_N.all())
    assert float((now.seen.obs[:, RISES.layout.pitch].cos() < 0).float().mean()) > 0.7


def test_rhythms_take_turns_with_the_policy_where_it_does_not_get_a_robot_up() -> None:
    alone, rhythms = risen(shipped(RISE), RISES.layout), rising()
    both = risen(shipped(RISE), RISES.layout, rhythms)
    obs_NO, gain_NA = torch.ones(4, ROBOT.observations), torch.ones(4, ROBOT.actions)
    down_N = torch.tensor([1, 100, 101, 201])
    action_NA, other_NA = both(obs_NO, down_N, gain_NA), alone(obs_NO, down_N, gain_NA)
    for row, mine in enumerate((True, True, False, True)):
        assert torch.equal(action_NA[row], other_NA[row]) == mine
    first_NA = rhythms(obs_NO, torch.ones(4, dtype=torch.int64))
    assert torch.equal(action_NA[2], first_NA[2])
