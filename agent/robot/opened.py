"""Opens what settings name: the world, its life, and what drives."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.build import build
from agent.faults import Fault, SettingsError, nearest
from agent.robot import controllers
from agent.robot.controllers import Entry, RobotSpec
from agent.robot.gym_world import GymWorld
from agent.robot.settings import INTACT, RobotSettings
from agent.robot.world import World, WorldError

if TYPE_CHECKING:  # it stands on MuJoCo, which other environments do without
    from envs.life import Life
    from envs.robots import Robot

REMEDY: Final = 'pip install "adaptd[robots]"'
PREFIX: Final = "adaptd/"
LEAST: Final = 10.0  # seconds of a life after the last change


@dataclass(frozen=True, slots=True)
class Opened:
    """A world, and what is known of its life.

    Args:
        world: the robots.
        life: its schedule in words; empty where nobody knows it.
        steps: after which it is over; 0 where it has no end.
        robot: whose body changes; None for a foreign environment.
    """

    world: World
    life: str
    steps: int
    robot: "Robot | None"


def open_world(settings: RobotSettings) -> Opened:
    """Open what the settings name.

    Raises:
        SettingsError: a life or a body cannot be had; the fault says which are known.
        WorldError: the environment cannot be used.
    """
    robot = robot_of(settings.env)
    if robot is None:
        if settings.life != INTACT:
            raise SettingsError([Fault(
                "life", f'"{settings.life}"',
                f"{settings.env} keeps its body; those that change are {', '.join(known())}",
            )])  # fmt: skip
        steps = settings.steps or 0
        world = GymWorld(settings.env, settings.robots, settings.seed, settings.dt)
        return Opened(world, "", steps, None)
    from agent.robot.fleet_world import FleetWorld  # noqa: PLC0415 - it stands on MuJoCo

    life = life_of(settings.life, robot)
    steps = settings.steps or _end(life, robot.dt)
    world_here = FleetWorld(robot, life, settings.robots, settings.seed)
    return Opened(world_here, str(life), steps, robot)


def robot_of(env: str) -> "Robot | None":
    """Find whose id or name this is; None for a foreign environment.

    Raises:
        WorldError: it is to be one of ours, and there is none; or MuJoCo is missing.
    """
    own = env.startswith(PREFIX)
    try:
        from envs.robots import ROBOTS  # noqa: PLC0415 - it stands on MuJoCo
    except ModuleNotFoundError as error:
        if not own:
            return None
        raise WorldError(f"{env} needs {error.name}: {REMEDY}") from error
    for robot in ROBOTS.values():
        if env in {robot.id, robot.name}:
            return robot
    if own:
        every = [robot.id for robot in ROBOTS.values()]
        raise WorldError(
            f"no environment {env!r}; {nearest(env, every)}; known: {', '.join(every)}"
        )
    return None


def known() -> Sequence[str]:
    """Give the ids of the robots whose bodies change; none without MuJoCo."""
    try:
        from envs.robots import ROBOTS  # noqa: PLC0415 - it stands on MuJoCo
    except ModuleNotFoundError:
        return ()
    return [robot.id for robot in ROBOTS.values()]


def life_of(text: str, robot: "Robot") -> "Life":
    """Read a life and see that the robot can have all its bodies.

    Raises:
        SettingsError: with a fault a body.
    """
    from envs.life import Life  # noqa: PLC0415 - only where bodies change

    try:
        life = Life.from_toml(Path(text)) if text.endswith(".toml") else Life.parse(text)
    except OSError as error:
        raise SettingsError([Fault("life", text, f"{error.strerror}; check its name")]) from error
    except ValueError as error:
        raise SettingsError([Fault("life", "", str(error))]) from error
    faults = []
    for body in life.bodies:
        try:
            robot.check(body)
        except ValueError as error:
            faults.append(Fault(f"life: {body.name}", "", _near(str(error))))
    if faults:
        raise SettingsError(faults)
    return life


def _near(text: str) -> str:
    """Add which part was probably meant, where the message names what was and what is there."""
    before, quote, rest = text.partition("'")
    name, _, after = rest.partition("'")
    listed = after.rpartition("known: ")[2].split(", ")
    near = difflib.get_close_matches(name, listed, n=1, cutoff=0.6) if quote and before else []
    return f"{text}; did you mean {near[0]}?" if near else text


def _end(life: "Life", dt: float) -> int:
    """Give a life as much time after its last change as it had between any two; 0: no end."""
    steps = [step for step, _ in life.changes]
    if len(steps) == 1:
        return 0
    gaps = [after - before for before, after in pairwise(steps)]
    return steps[-1] + max([*gaps, round(LEAST / dt)])


def driver(settings: RobotSettings, spec: RobotSpec) -> tuple[Entry, Any]:
    """Find the controller and read its options.

    Raises:
        SettingsError: there is none of that name, it cannot drive this robot, or an option is
            wrong.
    """
    name = settings.controller or controllers.default_for(spec.name)
    try:
        entry = controllers.find(name)
    except ValueError as error:
        raise SettingsError([Fault("controller", "", str(error))]) from None
    if not entry.drives(spec.name):
        able = ", ".join(controllers.drivers(spec.name))
        said = f"does not drive {spec.name}; take one of {able}"
        raise SettingsError([Fault("controller", name, said)])
    try:
        options = build(_kind(entry), dict(settings.options))
    except SettingsError as error:
        raise SettingsError([
            Fault(f"options.{one.path}" if one.path else "options", one.said, one.remedy)
            for one in error.faults
        ]) from None  # fmt: skip
    return entry, options


def _kind(entry: Entry) -> type[Any]:
    """Give the dataclass of a controller's options."""
    kind: Any = entry.options
    return kind if isinstance(kind, type) else type(kind())


def fingerprint(
    settings: RobotSettings,
    opened: Opened,
    controller: str,
    options: object,
    weights: Mapping[str, str],
) -> dict[str, str | int | float | bool | None]:
    """Give what must be the same when a life goes on, by path."""
    plain = asdict(options) if is_dataclass(options) and not isinstance(options, type) else {}
    return {
        "env": settings.env,
        "life": opened.life,
        "robots": settings.robots,
        "seed": settings.seed,
        "dt": opened.world.spec.dt,
        "threads": settings.threads,
        "controller": controller,
        **{f"options.{name}": str(value) for name, value in plain.items()},
        **{f"weights.{name}.sha256": checksum for name, checksum in weights.items()},
    }
