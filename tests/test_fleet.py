"""Fleets: many robots at once, each as it would go alone."""

import gymnasium
import numpy as np
import pytest

from envs.body import Body
from envs.changing import Changing
from envs.fleet import Fleet
from envs.pack import BATCHED
from envs.robots import ROBOTS

BODIES = {
    "PlanarArm": ("intact", "invert:elbow", "length:hand=1.3", "remove:hand"),
    "HalfCheetah": ("intact", "dead:bthigh", "length:bthigh=1.3", "remove:bfoot"),
    "Ant": ("intact", "dead:hip_1", "length:leg1=1.2", "remove:leg1"),
    "Hopper": ("intact", "weak:foot=0.4", "length:leg=1.2", "remove:foot"),
    "Walker2d": ("intact", "lock:foot=0", "mass=1.4", "remove:foot_left"),
    "Reacher": ("intact", "invert:joint1", "length:body1=1.2", "remove:body1"),
    "Swimmer": ("intact", "dead:motor1_rot", "length:mid=1.2", "remove:back"),
}


batch = pytest.mark.skipif(not BATCHED, reason="this MuJoCo has no mujoco.batch")


def bodies(name: str) -> list[Body]:
    return [Body.parse(text) for text in BODIES[name]]


def actions(fleet: Fleet, steps: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.uniform(-1, 1, (len(fleet), fleet.robot.actions)) for _ in range(steps)]


@batch
@pytest.mark.parametrize("name", ROBOTS)
def test_the_batch_and_gymnasiums_vectors_agree(name: str) -> None:
    """Bodies of every kind, changes in the middle that regroup the robots, and a reset of some."""
    batched, vector = (Fleet(name, bodies(name), seed=3, batched=how) for how in (True, False))
    assert np.allclose(batched.reset(), vector.reset())
    for step, action in enumerate(actions(batched, 54)):
        for fleet in (batched, vector):
            if step == 10:
                fleet.embody([0, 1], [bodies(name)[2], bodies(name)[3]])
            if step == 20:
                fleet.embody([1, 3], [Body(), Body()])
            if step == 30:
                fleet.reset([2])
        one, other = batched.step(action), vector.step(action)
        assert one[0] == pytest.approx(other[0], abs=1e-4)
        assert one[1] == pytest.approx(other[1], abs=1e-4)
        assert np.array_equal(one[2], other[2])


@pytest.mark.parametrize("name", ROBOTS)
def test_each_robot_goes_as_it_would_alone(name: str) -> None:
    """From the same start, the fleet's robot and Gymnasium's environment stay together."""
    fleet = Fleet(name, bodies(name)[:3], seed=1)
    fleet.reset()
    env = gymnasium.make(ROBOTS[name].id).unwrapped
    assert isinstance(env, Changing)
    env.reset(seed=0)
    _, data = fleet.data(1)
    env.embody(fleet.bodies[1])
    env.place(data.qpos, data.qvel, data.mocap_pos[0] if env.model.nmocap else None)
    for action in actions(fleet, 40):
        seen, reward, fallen = fleet.step(action)
        alone = env.step(action[1])
        assert seen[1] == pytest.approx(alone[0], abs=1e-4)
        assert reward[1] == pytest.approx(alone[1], abs=1e-4)
        assert fallen[1] == alone[4]["fallen"]


@pytest.mark.parametrize("batched", [pytest.param(True, marks=batch), False])
@pytest.mark.parametrize("name", ["PlanarArm", "HalfCheetah", "Ant"])
def test_a_state_goes_on_bit_for_bit(name: str, *, batched: bool) -> None:
    fleet = Fleet(name, bodies(name), seed=3, batched=batched)
    fleet.reset()
    script = actions(fleet, 70)
    for action in script[:7]:
        fleet.step(action)
    fleet.embody([0], [bodies(name)[3]])
    saved = fleet.state()
    told = [fleet.step(action) for action in script[7:]]
    fleet.embody([0, 1], [Body(), Body()])
    starts = []
    for other in (fleet, Fleet(name, [Body()] * 4, seed=3, batched=batched)):
        other.restore(saved)
        assert [str(body) for body in other.bodies] == [BODIES[name][row] for row in (3, 1, 2, 3)]
        for action, expected in zip(script[7:], told, strict=True):
            assert all(map(np.array_equal, other.step(action), expected))
        starts.append(other.reset())
    assert np.array_equal(starts[0], starts[1])


def test_a_state_of_another_number_of_robots_is_refused() -> None:
    one, two = Fleet("PlanarArm", [Body()]), Fleet("PlanarArm", [Body()] * 2)
    with pytest.raises(ValueError, match="a state of 1 robots for a fleet of 2"):
        two.restore(one.state())


def test_a_new_body_keeps_place_speed_and_clock() -> None:
    fleet = Fleet("HalfCheetah", [Body()] * 3, seed=0)
    fleet.reset()
    for action in actions(fleet, 12):
        fleet.step(action)
    before = fleet.observe()
    for text in ("invert:bthigh", "length:bthigh=1.3+mass=1.5", "intact"):
        fleet.embody([1], [Body.parse(text)])
        assert np.array_equal(fleet.observe(), before)
    fleet.embody([1], [Body.parse("remove:bshin")])
    lost = np.array(["bshin" in label or "bfoot" in label for label in fleet.robot.labels])
    assert np.array_equal(fleet.observe()[1, ~lost], before[1, ~lost])
    assert not fleet.observe()[1, lost].any()
    assert np.array_equal(fleet.observe()[[0, 2]], before[[0, 2]])


def test_one_robots_change_leaves_the_others_alone() -> None:
    fleet, twin = (Fleet("HalfCheetah", [Body()] * 3, seed=0) for _ in range(2))
    fleet.reset()
    twin.reset()
    changes = ("dead:bthigh", "length:bfoot=1.4", "remove:ffoot", "intact")
    for step, action in enumerate(actions(fleet, 40)):
        if step % 10 == 5:
            fleet.embody([1], [Body.parse(changes[step // 10])])
        seen, expected = fleet.step(action)[0], twin.step(action)[0]
        assert np.array_equal(seen[[0, 2]], expected[[0, 2]])
    assert not np.array_equal(fleet.observe()[1], twin.observe()[1])


def test_seeds_are_honoured_and_robots_differ() -> None:
    one, same, other = (Fleet("PlanarArm", [Body()] * 3, seed=seed) for seed in (1, 1, 2))
    starts = [fleet.reset() for fleet in (one, same, other)]
    assert np.array_equal(starts[0], starts[1])
    assert not np.isclose(starts[0], starts[2]).all(axis=1).any()
    assert len({tuple(start) for start in starts[0]}) == 3
    assert not np.array_equal(one.reset(), starts[0])


def test_a_robots_start_does_not_depend_on_who_else_is_there() -> None:
    few, many = Fleet("Ant", [Body()] * 2, seed=5), Fleet("Ant", [Body()] * 4, seed=5)
    assert np.array_equal(few.reset(), many.reset()[:2])


def test_resets_of_some_leave_the_others() -> None:
    fleet = Fleet("Hopper", [Body()] * 3, seed=0)
    first = fleet.reset()
    moved = [fleet.step(action)[0] for action in actions(fleet, 5)][-1]
    again = fleet.reset(np.array([2, 0]))
    assert np.array_equal(again[1], moved[1])
    assert not np.array_equal(again[0], moved[0])
    assert not np.array_equal(again[0], first[0])


def test_falls_are_told_and_stop_nobody() -> None:
    fleet = Fleet("Walker2d", [Body()] * 4, seed=0)
    fleet.reset()
    told = np.stack([fleet.step(action)[2] for action in actions(fleet, 200)])
    assert told.any(axis=0).all()
    assert ROBOTS["Walker2d"].falls
    assert not ROBOTS["HalfCheetah"].falls


def test_actions_are_cut_and_those_of_a_lost_limb_do_nothing() -> None:
    fleet, twin = (Fleet("HalfCheetah", [Body.parse("remove:ffoot")], seed=0) for _ in range(2))
    fleet.reset()
    twin.reset()
    wild, cut = np.full((1, 6), 7.0), np.ones((1, 6))
    cut[0, 5] = -1.0
    one, other = fleet.step(wild), twin.step(cut)
    assert all(map(np.array_equal, one, other))


def test_numbers_are_single_precision_and_named() -> None:
    fleet = Fleet("PlanarArm", [Body()] * 2)
    seen, reward, fallen = fleet.step(np.zeros((2, 3)))
    assert [str(one.dtype) for one in (seen, reward, fallen)] == ["float32", "float32", "bool"]
    assert fleet.robot.labels[-4:] == ("tip x", "tip y", "target x", "target y")
    assert len(fleet) == 2


def test_an_unknown_robot_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no robot 'Cat'; known: PlanarArm, HalfCheetah"):
        Fleet("Cat", [Body()])
