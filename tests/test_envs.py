"""Environments in which bodies change: Gymnasium's own in all but the body."""

import warnings
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.utils.env_checker import check_env

import envs
from envs.body import Body
from envs.changing import Changing
from envs.fleet import Fleet
from envs.life import Life
from envs.own import robot_from_xml
from envs.pack import BATCHED
from envs.robots import ROBOTS
from envs.task_env import TaskEnv

V5 = [name for name in ROBOTS if name != "PlanarArm"]
LIMBS = {"PlanarArm": "hand", "HalfCheetah": "bfoot", "Ant": "leg1", "Reacher": "body1"}


def made(name: str, **kwargs: Any) -> Changing:
    env = gymnasium.make(ROBOTS[name].id, **kwargs).unwrapped
    assert isinstance(env, Changing)
    return env


def actions(env: Changing, steps: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.uniform(-1, 1, len(env.robot.actuators)) for _ in range(steps)]


@pytest.mark.parametrize("name", ROBOTS)
def test_gymnasium_has_no_objections(name: str) -> None:
    assert envs.__doc__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made(name), skip_render_check=True)


@pytest.mark.parametrize("name", V5)
def test_an_intact_robot_is_gymnasiums_step_by_step(name: str) -> None:
    """Start, observation, reward and end; gravity, contacts and falls included."""
    ours, theirs = made(name), cast("MujocoEnv", gymnasium.make(f"{name}-v5").unwrapped)
    seen, _ = ours.reset(seed=7)
    assert seen == pytest.approx(theirs.reset(seed=7)[0], abs=1e-9)
    ended = False
    for action in actions(ours, 200):
        got, expected = ours.step(action), theirs.step(action)
        assert got[0] == pytest.approx(expected[0], abs=1e-7)
        assert got[1] == pytest.approx(expected[1], abs=1e-7)
        assert got[2:4] == expected[2:4]
        ended = ended or got[2]
        for field in ("qpos", "qvel", "qacc_warmstart"):  # or rounding grows from step to step
            getattr(theirs.data, field)[:] = getattr(ours.data, field)
    assert ended == ROBOTS[name].falls


def test_bodies_change_unannounced_and_without_a_reset() -> None:
    env = made("HalfCheetah", life="intact@0 invert:bthigh@10 intact@20")
    twin = made("HalfCheetah")
    first, _ = env.reset(seed=1)
    assert np.array_equal(first, twin.reset(seed=1)[0])
    for step, action in enumerate(actions(env, 30)):
        moved, before = env.step(action), env.data.time
        expected = twin.step(action)
        assert not moved[2]
        assert moved[4]["body"] == ("invert:bthigh" if 10 <= step < 20 else "intact")
        assert np.array_equal(moved[0], expected[0]) == (step < 10)
        assert before == pytest.approx(0.05 * (step + 1))
        assert moved[0].shape == first.shape


def test_place_and_speed_go_over_to_the_new_body() -> None:
    env = made("HalfCheetah")
    env.reset(seed=0)
    for action in actions(env, 15):
        env.step(action)
    before = env.observe()
    env.embody(Body.parse("length:bthigh=1.3+mass=1.5"))
    assert np.array_equal(env.observe(), before)
    env.embody(Body.parse("remove:bfoot"))
    kept = [row for row, label in enumerate(env.robot.labels) if "bfoot" not in label]
    assert np.array_equal(env.observe(), before[kept])


@pytest.mark.parametrize("name", LIMBS)
def test_a_lost_limb_shrinks_the_spaces_and_its_return_restores_them(name: str) -> None:
    env = made(name, life=f"intact@0 remove:{LIMBS[name]}@3 intact@6")
    whole, _ = env.reset(seed=0)
    motors = len(env.robot.actuators)
    for step in range(9):
        env.action_space.seed(step)
        moved, *_ = env.step(env.action_space.sample())  # of the space before a change that is due
        gone = 3 <= step < 6
        assert env.observation_space.contains(moved)
        assert (moved.shape < whole.shape) == gone
        assert (env.action_space.sample().size < motors) == gone


def test_spaces_can_stay_as_the_intact_robot_has_them() -> None:
    env = made("HalfCheetah", life="intact@0 remove:bshin@3", sizes="intact")
    env.reset(seed=0)
    seen = np.stack([env.step(action)[0] for action in actions(env, 6)])
    lost = [row for row, label in enumerate(env.robot.labels) if "bshin" in label]
    assert seen.shape == (6, 17)
    assert seen[:3].all()
    assert not seen[3:, lost].any()


def test_seeds_are_honoured_and_begin_the_life_anew() -> None:
    env = made("PlanarArm", life="intact@0 invert:elbow@3 dead:wrist@40")
    runs = []
    for seed in (4, 4, 5):
        first, _ = env.reset(seed=seed)
        runs.append([first, *(env.step(action)[0] for action in actions(env, 70))])
    assert all(map(np.array_equal, runs[0], runs[1]))
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_a_reset_without_a_seed_goes_on_with_the_life() -> None:
    env = made("HalfCheetah", life="intact@0 dead:bfoot@5")
    env.reset(seed=0)
    for action in actions(env, 7):
        env.step(action)
    assert env.reset()[1]["body"] == "dead:bfoot"
    assert env.reset(seed=0)[1]["body"] == "intact"


@pytest.mark.parametrize("name", ROBOTS)
def test_a_state_goes_on_bit_for_bit(name: str) -> None:
    """A photograph, not a window: put back twice, in another environment, over a change."""
    limb = LIMBS.get(name, list(ROBOTS[name].limbs)[-1])
    life = f"intact@0 remove:{limb}@3 length:{limb}=1.2@9"
    env, other = (made(name, life=life, sizes="intact") for _ in range(2))
    env.reset(seed=2)
    script = actions(env, 70)
    for action in script[:6]:
        env.step(action)
    saved = env.state()
    told = [env.step(action)[:3] for action in script[6:]]
    other.reset(seed=99)
    for _ in range(2):
        other.restore(saved)
        for action, (seen, reward, ended) in zip(script[6:], told, strict=True):
            again = other.step(action)
            assert np.array_equal(again[0], seen)
            assert again[1:3] == (reward, ended)
    assert np.array_equal(env.reset()[0], other.reset()[0])


def test_the_body_is_in_no_observation_of_the_arm() -> None:
    """Only what moves differs at first: nothing tells a faulty arm from an intact one at rest."""
    faulty, intact = (made("PlanarArm", life=f"{body}@0") for body in ("invert:elbow", "intact"))
    assert np.array_equal(faulty.reset(seed=0)[0], intact.reset(seed=0)[0])
    still = np.zeros(3)
    assert np.array_equal(faulty.step(still)[0], intact.step(still)[0])


def test_the_arms_reward_is_its_distance_and_its_target_moves() -> None:
    env = made("PlanarArm")
    env.reset(seed=0)
    targets = []
    for action in actions(env, 101):
        before = env.observe()[11:13]
        seen, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(-np.linalg.norm(info["tip"] - before))
        assert np.array_equal(info["tip"], seen[9:11])
        assert np.array_equal(info["target"], seen[11:13])
        targets.append(tuple(seen[11:13]))
    assert [len(set(targets[:49])), len(set(targets[:99])), len(set(targets))] == [1, 2, 3]
    assert all(0.1 <= np.hypot(*target) <= 0.28 for target in targets)


def test_a_fallen_cheetah_is_told_and_not_stopped() -> None:
    env = made("HalfCheetah")
    env.reset(seed=0)
    env.data.qpos[2] = np.pi
    *_, ended, _, info = env.step(np.zeros(6))
    assert info["fallen"]
    assert not ended


def test_what_was_written_into_a_model_ends_with_the_body() -> None:
    env = made("HalfCheetah", life="intact@0 dead:bfoot@2 intact@4")
    env.reset(seed=0)
    env.model.actuator_gear[:] = 0
    for action in actions(env, 6):
        env.step(action)
    assert env.model.actuator_gear.any()
    assert ROBOTS["HalfCheetah"].model(visual=True).actuator_gear.any()


def test_a_life_can_be_handed_in_as_a_value_and_to_other_processes() -> None:
    life = Life.parse("intact@0 dead:elbow@2")
    vector = gymnasium.make_vec(
        "adaptd/PlanarArm-v0", num_envs=2, vectorization_mode="async", life=life
    )
    vector.reset(seed=0)
    told = [vector.step(np.zeros((2, 3), dtype=np.float32))[4]["body"].tolist() for _ in range(3)]
    vector.close()
    assert told == [["intact"] * 2] * 2 + [["dead:elbow"] * 2]


def test_a_life_that_the_robot_cannot_live_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="known: shoulder, elbow, wrist"):
        made("PlanarArm", life="intact@0 dead:knee@100")


OWN = """<mujoco><option timestep="0.01"/><worldbody>
<body name="cart"><joint name="rail" type="slide" axis="1 0 0"/><geom size=".1" mass="1"/>
<body name="pole"><joint name="hinge" axis="0 1 0" damping=".1"/>
<geom type="capsule" fromto="0 0 0 0 0 .5" size=".02"/></body></body></worldbody>
<actuator><motor joint="hinge" gear="3" ctrllimited="true" ctrlrange="-1 1"/></actuator></mujoco>"""


def test_a_robot_of_ones_own_changes_like_the_others(tmp_path: Path) -> None:
    path = tmp_path / "cart.xml"
    path.write_text(OWN, encoding="utf-8")
    robot = robot_from_xml(path, frame_skip=2)
    assert (robot.joints, robot.actuators, robot.parts) == (
        ("hinge",),
        ("hinge",),
        ("cart", "pole"),
    )
    env = Changing(TaskEnv(robot), robot, "intact@0 length:pole=2+invert:hinge@5")
    env.reset(seed=0)
    seen = [env.step(np.ones(1))[0] for _ in range(10)]
    for batched in {BATCHED, False}:
        fleet = Fleet(robot, [Body()], seed=0, batched=batched)
        fleet.reset()
        assert fleet.step(np.ones((1, 1)))[0].shape == (1, 4)
    assert seen[4][3] > 0
    assert seen[9][3] < seen[4][3]
