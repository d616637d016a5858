"""Ant's own sight, its trot, and the policies upon it."""

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.crawl import ACTIONS, FELT, Crawler, TrunkSight, across, mirrored, trot
from agent.nets.body import seeded
from agent.robot.controllers import RobotSpec, find
from agent.robot.ppo import actor_of
from agent.robot.runner import RUNNERS
from agent.robot.train_runner import least
from agent.robot.trained import shipped
from agent.robot.trot import TrotSettings, search
from benchmarks.robots.lives import live
from envs.body import Body
from envs.fleet import Fleet
from envs.life import Life
from envs.robots import ROBOTS

ANT, SIGHT = ROBOTS["Ant"], TrunkSight()
TROT = torch.tensor([0.7, 0.2, 0.65, -1.0, 0.9, 0.1, 1.0])
FLIP = np.array([1.0, -1.0, 1.0])  # a mirror that swaps left and right
OTHER = [6, 7, 4, 5, 2, 3, 0, 1]


def roaming(robots: int = 4, steps: int = 12) -> Tensor:
    """Observations of ants that have moved at random."""
    fleet, draw = Fleet("Ant", [Body()] * robots, seed=1), np.random.default_rng(2)
    obs_NO = fleet.reset()
    for _ in range(steps):
        obs_NO, _, _ = fleet.step(draw.uniform(-1, 1, (robots, ACTIONS)))
    return torch.from_numpy(obs_NO)


def crawler(context: int = ACTIONS) -> Crawler:
    with seeded(3):
        actor = Crawler(context, (16,), TROT)
        torch.nn.init.normal_(list(actor.net.parameters())[-2])
    return actor.requires_grad_(requires_grad=False)


def stepped(
    qpos: NDArray[np.float64], qvel: NDArray[np.float64], action: NDArray[np.float64]
) -> Tensor:
    """What is observed of an ant that is put so, after a step of control."""
    model = ANT.model()
    data = mujoco.MjData(model)
    data.qpos, data.qvel, data.ctrl = qpos, qvel, action
    mujoco.mj_step(model, data, ANT.frame_skip)
    return torch.from_numpy(np.concatenate([data.qpos[2:], data.qvel])).float()


def in_mirror(
    qpos: NDArray[np.float64], qvel: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    hips = np.array([-1.0, 1.0] * 4)
    turn = qpos[3:7] * np.array([1.0, -1.0, 1.0, -1.0])
    place = np.concatenate([qpos[:3] * FLIP, turn, qpos[7:][OTHER] * hips])
    return place, np.concatenate([qvel[:3] * FLIP, qvel[3:6] * -FLIP, qvel[6:][OTHER] * hips])


def test_legs_are_where_the_model_has_them() -> None:
    joints = [f"{joint}_{leg}" for leg in range(1, 5) for joint in ("hip", "ankle")]
    assert [f"position {name}" for name in joints] == list(ANT.labels[5:13])
    assert [f"velocity {name}" for name in joints] == list(ANT.labels[19:27])
    named = {name: float(row) for row, name in enumerate(ANT.actuators)}
    other = across(torch.tensor([named[name] for name in ANT.actuators]))
    swapped = {"1": "4", "2": "3", "3": "2", "4": "1"}
    wanted = [named[name[:-1] + swapped[name[-1]]] for name in ANT.actuators]
    assert other.tolist() == wanted


def test_the_mirrored_ant_does_the_mirrored_thing_in_the_simulation() -> None:
    draw = np.random.default_rng(5)
    qpos = ANT.model().qpos0 + draw.uniform(-0.1, 0.1, 15)
    qpos[3:7] /= np.linalg.norm(qpos[3:7])
    qpos[8::2] += [0.8, -0.8, -0.8, 0.8]
    qvel, action = draw.normal(size=14), draw.uniform(-1, 1, ACTIONS)
    hips = np.array([-1.0 if name.startswith("hip") else 1.0 for name in ANT.actuators])
    turned = across(torch.from_numpy(action)).numpy() * hips
    one, tick = stepped(qpos, qvel, action), torch.tensor(4.0)
    other = stepped(*in_mirror(qpos, qvel), turned)
    near = torch.testing.assert_close
    near(mirrored(SIGHT(one, tick))[:FELT], SIGHT(other, tick)[:FELT], atol=1e-3, rtol=1e-3)


def test_a_policy_is_the_same_on_both_sides() -> None:
    sense_NS, actor = SIGHT(roaming(), torch.arange(4)), crawler()
    told_NC = torch.linspace(-1, 0, 32).view(4, 8)
    hips = torch.tensor([-1.0 if name.startswith("hip") else 1.0 for name in ANT.actuators])
    one, other = actor(sense_NS, told_NC), actor(mirrored(sense_NS), across(told_NC))
    torch.testing.assert_close(across(one) * hips, other)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(mirrored(mirrored(sense_NS)), sense_NS)


def test_an_ant_that_has_turned_feels_the_same_but_for_the_way_to_go() -> None:
    obs = roaming()[:, :27].clone()
    half = torch.tensor(0.6)
    c, s = half.cos(), half.sin()
    w, x, y, z = obs[:, 1:5].unbind(1)
    turned = obs.clone()
    turned[:, 1:5] = -torch.stack([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w], 1)
    ahead, side = obs[:, 13].clone(), obs[:, 14].clone()
    turned[:, 13] = (2 * half).cos() * ahead - (2 * half).sin() * side
    turned[:, 14] = (2 * half).sin() * ahead + (2 * half).cos() * side
    felt, seen = SIGHT.felt(obs), SIGHT.felt(turned)
    way = torch.zeros(FELT, dtype=torch.bool)
    way[4:7] = True
    torch.testing.assert_close(felt[:, ~way], seen[:, ~way], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(felt[:, way], seen[:, way], atol=0.1)


def test_contact_forces_are_left_out() -> None:
    obs = roaming()
    assert obs[:, 27:].abs().max() > 0
    assert torch.equal(SIGHT.felt(obs), SIGHT.felt(obs[:, :27]))


def test_an_observation_of_another_size_is_told() -> None:
    with pytest.raises(ValueError, match=r'27 or 105 numbers, not 83; .*sizes="intact"'):
        SIGHT.felt(torch.zeros(2, 83))
    with pytest.raises(ValueError, match="rate is 11"):
        TrunkSight(rate=11)


def test_a_joint_is_drawn_to_where_the_trot_wants_it() -> None:
    sense = torch.zeros(1, FELT + 2)
    sense[0, 4], sense[0, -1] = 1.0, 1.0  # ahead, and at the start of the clock
    still = torch.tensor([[0.0, 0.0, 0.6, 0.0, 0.5, 0.0, 0.0]])
    assert trot(sense, still).view(4, 2).tolist() == [pytest.approx([0.0, 0.3])] * 4
    sense[0, 14] = 0.6
    assert trot(sense, still)[0, 1] == 0.0


def test_a_policy_is_built_again_from_its_tensors() -> None:
    actor = crawler()
    tensors = {f"actor.{name}": one for name, one in actor.state_dict().items()}
    again, sense_NS = actor_of(tensors), SIGHT(roaming(), torch.arange(4))
    told_NC = torch.rand(4, 8)
    assert isinstance(again, Crawler)
    assert torch.equal(again(sense_NS, told_NC), actor(sense_NS, told_NC))
    assert torch.equal(Crawler.alone(TROT)(sense_NS), Crawler.alone(TROT)(sense_NS, None))


def test_a_search_for_a_trot_is_the_same_for_the_same_seed() -> None:
    def found(seed: int) -> Tensor:
        settings = TrotSettings(tried=4, best=2, episode=4)
        return search(2, settings, seed, lambda text: None)[0]  # noqa: ARG005 (nothing is said)

    assert torch.equal(found(1), found(1))
    assert not torch.equal(found(1), found(2))
    with pytest.raises(ValueError, match="best is 5"):
        TrotSettings(tried=4, best=5)


def test_the_trot_walks_without_a_network() -> None:
    spec = RobotSpec(ANT.name, ANT.observations, ANT.actions, ANT.dt)
    own = live("Ant", lambda: find("ant/trot")(spec), [Life()] * 2, 160, 3)
    assert own.reward_TN[40:].mean() > 2  # one who stands still has 1


def test_a_lost_leg_is_noticed_and_its_motors_are_told_as_dead() -> None:
    spec = RobotSpec(ANT.name, ANT.observations, ANT.actions, ANT.dt)
    lives = [Life.parse("intact@0 remove:leg1@60")] * 2
    own = live("Ant", lambda: find("ant/self")(spec), lives, 200, 3)
    assert own.told_TN[60:].any(0).all()
    gone = [ANT.actuators.index(name) for name in ("hip_1", "ankle_1")]
    assert (own.belief_TNA[-1][:, gone] < 0.5).all()
    assert np.isfinite(own.reward_TN).all()


def test_what_is_known_of_one_side_is_told_of_the_other() -> None:
    least_A = least(RUNNERS["Ant"], 0)
    assert torch.equal(least_A, across(least_A))
    told = shipped("ant-told")["least_A"]
    assert told[ANT.actuators.index("hip_4")] == told[ANT.actuators.index("hip_1")] < 1
