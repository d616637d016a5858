"""The robots by name: their parts, their models for every body, and what they can be asked."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import gymnasium
import mujoco

from envs import IDS, blueprint, inplace
from envs.blueprint import Limbs
from envs.body import Body
from envs.grammar import ALL
from envs.task import Task
from envs.tasks_reach import Reach, ReachOnce
from envs.tasks_run import Run, RunAnt, Span

MODELS, DRESSED = 512, 16  # models kept compiled: plain ones, and those with textures


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot, its parts by name, and a model for each of its bodies.

    Args:
        name: what people call it.
        id: Gymnasium's name of the environment in which its body changes.
        path: MuJoCo's XML.
        frame_skip: physics steps in one step of control.
        limbs: limb -> bodies of the model, the one it hangs by first.
        task: what is observed and rewarded.
        trunk: body that all limbs hang on; "" where there is none.
        tip: body that marks the end; it moves to the stump where its limb is lost.
    """

    name: str
    id: str
    path: Path
    frame_skip: int
    limbs: Limbs
    task: Task
    trunk: str = ""
    tip: str = ""

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """Joints that an actuator moves, in the order of the observation."""
        return tuple(name for name, _ in inplace.joints(self.model()))

    @cached_property
    def actuators(self) -> tuple[str, ...]:
        """Actuators, in the order of the action."""
        model = self.model()
        return tuple(model.actuator(row).name for row in range(model.nu))

    @property
    def parts(self) -> tuple[str, ...]:
        """What has a mass that can change: the trunk, and the limbs."""
        return (self.trunk, *self.limbs) if self.trunk else tuple(self.limbs)

    @cached_property
    def dt(self) -> float:
        """Seconds of one step of control."""
        return float(self.model().opt.timestep) * self.frame_skip

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What each number of the intact robot's observation is."""
        return self.task.labels(self.model())

    @property
    def observations(self) -> int:
        """Numbers in the intact robot's observation."""
        return len(self.labels)

    @property
    def actions(self) -> int:
        """Numbers in the intact robot's action, each in [-1, 1]."""
        return len(self.actuators)

    @property
    def falls(self) -> bool:
        """Whether a fall ends the episode."""
        return self.task.ends

    def model(self, body: Body | None = None, *, visual: bool = False) -> mujoco.MjModel:
        """Give the model of a body, which callers share: copy it before you write.

        Args:
            body: None for the intact one.
            visual: with textures, to be rendered; without them it is copied faster.

        Raises:
            ValueError: as `check`.
        """
        return _dressed(self, body or Body()) if visual else _model(self, body or Body())

    def check(self, body: Body) -> None:
        """Refuse a body that this robot cannot have.

        Raises:
            ValueError: the unknown part and the known ones, or why the change would do nothing.
        """
        self._known(body, ("gear",), self.actuators, "actuator")
        self._known(body, ("damping", "locked", "limited"), self.joints, "joint")
        self._known(body, ("mass", "friction"), self.parts, "limb")
        self._known(body, ("length", "stretch", "removed"), tuple(self.limbs), "limb")
        if body.friction and not self.touches:
            raise ValueError(f"{self.name} touches nothing: its friction cannot change")
        still = [name for name in self.joints if name not in self.damped]
        for name in body.damping:
            if name in still or not self.damped:
                raise ValueError(f"{self.name} has no damping at {name}: a factor changes nothing")

    def _known(self, body: Body, of: tuple[str, ...], known: Iterable[str], what: str) -> None:
        told = [part for one in of for part in getattr(body, one)]
        for part in told:
            if part != ALL and part not in known:
                raise ValueError(f"{self.name} has no {what} {part!r}; known: {', '.join(known)}")

    @cached_property
    def touches(self) -> bool:
        """Whether the robot touches the ground, so that friction matters."""
        model = self.model()
        ground = model.geom_bodyid == 0
        types, affinities = model.geom_contype, model.geom_conaffinity
        one = types[~ground, None] & affinities[None, ground]
        other = affinities[~ground, None] & types[None, ground]
        return bool(((one | other) != 0).any())

    @cached_property
    def damped(self) -> frozenset[str]:
        """Joints with a damping that can change."""
        model = self.model()
        rows = {name: model.jnt_dofadr[row] for name, row in inplace.joints(model)}
        return frozenset(name for name, dof in rows.items() if model.dof_damping[dof] > 0)


@lru_cache
def _spec(robot: Robot) -> mujoco.MjSpec:
    return blueprint.load(robot.path)


@lru_cache
def _bare(robot: Robot) -> mujoco.MjSpec:
    return blueprint.plain(_spec(robot))


@lru_cache(MODELS)
def _skeleton(robot: Robot, body: Body) -> mujoco.MjModel:
    return blueprint.reshaped(_bare(robot), body, robot.limbs, robot.tip)


@lru_cache(MODELS)
def _model(robot: Robot, body: Body) -> mujoco.MjModel:
    if not body.intact:
        robot.check(body)
    return _edited(robot, body, copy.copy(_skeleton(robot, shape(body))))


@lru_cache(DRESSED)
def _dressed(robot: Robot, body: Body) -> mujoco.MjModel:
    if not body.intact:
        robot.check(body)
    model = blueprint.reshaped(_spec(robot), body, robot.limbs, robot.tip)
    return _edited(robot, body, model)


def _edited(robot: Robot, body: Body, model: mujoco.MjModel) -> mujoco.MjModel:
    known = {**robot.limbs, robot.trunk: (robot.trunk,)} if robot.trunk else robot.limbs
    inplace.edit(model, body, known)
    return model


def shape(body: Body) -> Body:
    """Give what of a body must be compiled: lengths, and what is gone."""
    return Body("", length=body.length, stretch=body.stretch, removed=body.removed)


def _gymnasium(name: str) -> Path:
    return Path(str(files(gymnasium))) / "envs" / "mujoco" / "assets" / name


def _own(*limbs: str) -> Limbs:
    """Limbs that are one body of the model each, by its name."""
    return MappingProxyType({limb: (limb,) for limb in limbs})


def _ant() -> Limbs:
    roots = ("front_left_leg", "front_right_leg", "back_leg", "right_back_leg")
    legs = {f"leg{n}": (root, f"aux_{n}", f"ankle_{n}") for n, root in enumerate(roots, 1)}
    return MappingProxyType({**legs, **{f"foot{n}": (f"ankle_{n}",) for n in range(1, 5)}})


_KNOWN = (
    Robot(
        "PlanarArm",
        IDS["PlanarArm"],
        Path(str(files("envs"))) / "assets" / "planar_arm.xml",
        4,
        _own("upperarm", "forearm", "hand"),
        Reach(),
        tip="tip",
    ),
    Robot(
        "HalfCheetah",
        IDS["HalfCheetah"],
        _gymnasium("half_cheetah.xml"),
        5,
        _own("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        Run(normal=True, tumbles=True),
        trunk="torso",
    ),
    Robot(
        "Ant",
        IDS["Ant"],
        _gymnasium("ant.xml"),
        5,
        _ant(),
        RunAnt(),
        trunk="torso",
    ),
    Robot(
        "Hopper",
        IDS["Hopper"],
        _gymnasium("hopper.xml"),
        4,
        _own("thigh", "leg", "foot"),
        Run(
            cost=1e-3,
            noise=5e-3,
            ends=True,
            heights=Span(low=0.7),
            pitches=Span(-0.2, 0.2),
            bound=100.0,
            clip=10.0,
        ),
        trunk="torso",
    ),
    Robot(
        "Walker2d",
        IDS["Walker2d"],
        _gymnasium("walker2d_v5.xml"),
        4,
        _own("thigh", "leg", "foot", "thigh_left", "leg_left", "foot_left"),
        Run(
            cost=1e-3,
            noise=5e-3,
            ends=True,
            heights=Span(0.8, 2.0),
            pitches=Span(-1.0, 1.0),
            clip=10.0,
        ),
        trunk="torso",
    ),
    Robot(
        "Reacher",
        IDS["Reacher"],
        _gymnasium("reacher.xml"),
        2,
        MappingProxyType({"body0": ("body0",), "body1": ("body1", "fingertip")}),
        ReachOnce(),
        tip="fingertip",
    ),
    Robot(
        "Swimmer",
        IDS["Swimmer"],
        _gymnasium("swimmer.xml"),
        4,
        _own("mid", "back"),
        Run(hidden=2, cost=1e-4),
        trunk="torso",
    ),
)
ROBOTS: Mapping[str, Robot] = MappingProxyType({robot.name: robot for robot in _KNOWN})
