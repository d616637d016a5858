"""Bodies: how they are written, and what each change does to a robot's physics."""

import copy
import pickle

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS, Robot

KINDS = (
    "dead:{motor}",
    "invert:{motor}",
    "weak:{motor}=0.4",
    "gear:all=1.5",
    "lock:{joint}=0.1",
    "limit:{joint}=-0.02..0.02",
    "length:{limb}=1.3",
    "stretch:{limb}=1.3",
    "mass:{limb}=1.5",
    "mass=1.5",
    "friction:{limb}=0.2",
    "friction=0.5",
    "damping:{joint}=3",
    "damping=3",
    "remove:{limb}",
)
# What a robot has nothing of: no ground to slide on, or joints that turn freely.
IMPOSSIBLE = {
    "PlanarArm": ("friction",),
    "Reacher": ("friction",),
    "Swimmer": ("friction", "damping"),
}


def spelled(robot: Robot, kind: str) -> str:
    """Write a change of a kind that this robot can have."""
    motor, joint, limb = robot.actuators[0], robot.joints[-1], list(robot.limbs)[-1]
    return kind.format(motor=motor, joint=joint, limb=limb)


def path_of(robot: Robot, change: Body | None) -> np.ndarray:
    """Drive one robot by fixed actions and change its body at step 5; what it observed."""
    fleet = Fleet(robot, [Body()], seed=3)
    fleet.reset()
    draw = np.random.default_rng(0)
    seen = []
    for step in range(40):
        if step == 5 and change is not None:
            fleet.embody([0], [change])
        seen.append(fleet.step(draw.uniform(-1, 1, (1, robot.actions)))[0][0])
    return np.stack(seen)


@pytest.mark.parametrize("name", ROBOTS)
def test_every_change_alters_where_the_robot_goes(name: str) -> None:
    robot = ROBOTS[name]
    intact = path_of(robot, None)
    lost = np.array([label.startswith(("target", "apart")) for label in robot.labels])
    for kind in KINDS:
        if kind.startswith(IMPOSSIBLE.get(name, ("never",))):
            continue
        changed = path_of(robot, Body.parse(spelled(robot, kind)))
        assert np.array_equal(changed[:5], intact[:5]), kind
        assert np.abs(changed - intact)[5:, ~lost].max() > 1e-3, kind


@pytest.mark.parametrize(("name", "words"), IMPOSSIBLE.items())
def test_a_change_that_would_do_nothing_is_refused(name: str, words: tuple[str, ...]) -> None:
    for word in words:
        with pytest.raises(ValueError, match="nothing"):
            ROBOTS[name].check(Body.parse(f"{word}=0.5"))


def test_a_body_is_read_from_words() -> None:
    body = Body.parse("invert:elbow+dead:wrist+limit:shoulder=-0.1..0.2+mass=1.8")
    assert dict(body.gear) == {"elbow": -1.0, "wrist": 0.0}
    assert body.limited["shoulder"] == (-0.1, 0.2)
    assert body.factor("mass", "hand") == 1.8
    assert body.name == "invert:elbow+dead:wrist+limit:shoulder=-0.1..0.2+mass=1.8"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bent:elbow", "known: dead, invert"),
        ("weak:elbow", "needs a value, such as weak:elbow=0.4"),
        ("dead:elbow=3", "takes no value"),
        ("lock=0.3", "must name a part"),
        ("weak:elbow=much", "is no number"),
        ("mass=nan", "is not finite"),
        ("mass=-1", "must be above 0"),
        ("limit:elbow=0.3", "needs a range"),
        ("limit:elbow=0.3..0.1", "lowest angle comes first"),
        ("dead:elbow+invert:elbow", "told twice"),
        ("dead elbow", "is no fault"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_remedy(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Body.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dead:knee", "no actuator 'knee'; known: bthigh, bshin"),
        ("lock:rootx=0", "no joint 'rootx'"),
        ("length:torso=2", "no limb 'torso'"),
        ("remove:torso", "no limb 'torso'"),
    ],
)
def test_a_part_that_the_robot_lacks_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ROBOTS["HalfCheetah"].model(Body.parse(text))


PARTS = st.sampled_from(["all", "elbow", "wrist"])
NUMBERS = st.floats(0.1, 5.0)
FACTORS = st.dictionaries(PARTS, NUMBERS, max_size=3)
BODIES = st.builds(
    Body,
    name=st.text(max_size=9),
    gear=st.dictionaries(PARTS, st.floats(-2, 2), max_size=3),
    length=FACTORS,
    mass=FACTORS,
    locked=st.dictionaries(st.sampled_from(["elbow", "wrist"]), st.floats(-1, 1)),
    limited=st.dictionaries(st.sampled_from(["elbow"]), st.tuples(st.floats(-1, 0), NUMBERS)),
    removed=st.sets(st.sampled_from(["hand", "leg1"])).map(tuple),
)


@given(BODIES)
def test_a_body_comes_back_from_dict_words_copy_and_pickle(body: Body) -> None:
    assert Body.from_dict(body.to_dict()) == body
    assert Body.parse(body.spelled).faults == body.faults
    assert copy.deepcopy(body) == body
    assert pickle.loads(pickle.dumps(body)) == body  # noqa: S301 -- our own bytes
    assert hash(body) == hash(Body.from_dict(body.to_dict()))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no 'gears'; known: name, gear"):
        Body.from_dict({"gears": {}})


def test_a_longer_limb_is_heavier_and_the_others_keep_their_mass() -> None:
    robot = ROBOTS["HalfCheetah"]
    intact, longer = robot.model(), robot.model(Body.parse("length:bthigh=1.3"))
    assert intact.body_mass.sum() == pytest.approx(14.0)
    thigh = intact.body("bthigh").id
    others = np.arange(intact.nbody) != thigh
    assert longer.body_mass[others] == pytest.approx(intact.body_mass[others])
    assert longer.body_mass[thigh] > 1.2 * intact.body_mass[thigh]
    assert longer.body_inertia[thigh, 0] > 1.5 * intact.body_inertia[thigh, 0]
    knee = intact.body("bshin").pos
    assert longer.body("bshin").pos == pytest.approx(1.3 * knee)


def test_a_stretched_limb_keeps_its_mass() -> None:
    robot = ROBOTS["HalfCheetah"]
    stretched = robot.model(Body.parse("stretch:bthigh=1.3"))
    assert stretched.body_mass == pytest.approx(robot.model().body_mass)
    assert stretched.body("bshin").pos == pytest.approx(1.3 * robot.model().body("bshin").pos)


def test_links_that_hang_off_centre_lengthen_about_their_joint() -> None:
    """The hopper's leg has its joint above its own middle: the knee stays on the thigh's end."""
    robot = ROBOTS["Hopper"]
    model = robot.model(Body.parse("length:thigh=1.4+length:leg=1.2"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    thigh, leg = data.geom("thigh_geom"), data.geom("leg_geom")
    end = thigh.xpos[2] - model.geom("thigh_geom").size[1]
    begin = leg.xpos[2] + model.geom("leg_geom").size[1]
    assert end == pytest.approx(begin)


def test_mass_moves_what_mujoco_derives_from_it() -> None:
    robot = ROBOTS["HalfCheetah"]
    heavy = robot.model(Body.parse("mass=2"))
    assert heavy.body_subtreemass[1] == pytest.approx(28.0)
    assert heavy.dof_M0 != pytest.approx(robot.model().dof_M0)


def test_friction_of_one_limb_is_not_hidden_by_the_ground() -> None:
    """A contact has the larger friction of the two, unless one has priority."""
    robot = ROBOTS["HalfCheetah"]
    model = robot.model(Body.parse("friction:bfoot=0.2"))
    foot = model.geom("bfoot")
    assert foot.friction[0] == pytest.approx(0.2 * 0.4)
    assert foot.priority[0] > model.geom("floor").priority[0]


@pytest.mark.parametrize(
    ("name", "joint"), [("HalfCheetah", "bthigh"), ("Ant", "hip_1"), ("Hopper", "leg")]
)
def test_a_seized_joint_stays_where_it_is_told(name: str, joint: str) -> None:
    robot = ROBOTS[name]
    fleet = Fleet(robot, [Body()] * 4, seed=0)
    fleet.reset()
    fleet.embody(range(4), [Body.parse(f"lock:{joint}=-0.2")] * 4)
    place = next(row for row, label in enumerate(robot.labels) if f"position {joint}" in label)
    draw = np.random.default_rng(0)
    full = np.sign(draw.normal(size=(30, 4, robot.actions)))
    held = np.stack([fleet.step(action)[0][:, place] for action in full])
    assert np.abs(held[10:] + 0.2).max() < 0.05


def test_a_limb_that_goes_takes_its_motors_and_numbers_along() -> None:
    robot = ROBOTS["HalfCheetah"]
    model = robot.model(Body.parse("remove:bshin"))
    assert (model.nu, model.nq) == (4, 7)
    assert len(robot.task.labels(model)) == 13
    assert set(robot.task.labels(model)) < set(robot.labels)


def test_an_arm_that_loses_its_hand_reaches_with_the_stump() -> None:
    robot = ROBOTS["PlanarArm"]
    model = robot.model(Body.parse("remove:hand"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.body("tip").xpos == pytest.approx([0.22, 0.0, 0.0])


def test_bodies_do_not_write_into_one_another() -> None:
    robot = ROBOTS["HalfCheetah"]
    before = robot.model().actuator_gear.copy()
    robot.model(Body.parse("invert:bthigh+friction=0.1"))
    assert np.array_equal(robot.model().actuator_gear, before)
    assert robot.model(Body.parse("dead:bthigh")) is robot.model(Body.parse("dead:bthigh"))
