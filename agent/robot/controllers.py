"""Every controller by name: what it drives, what can be set, and how it is made.

A file `agent/robot/make_*.py` enters its own ones; all such files are imported when a name is
looked up.

    @controller("planar-arm/context", options=ContextSettings, robots=("PlanarArm",), default=True)
    def context(settings: ContextSettings, robot: RobotSpec) -> Controller:
        "Context encoder and FiLM under MPPI."
        return Planned(shipped("planar-arm-context"), settings, robot.dt)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from agent.control.controller import Controller
from agent.faults import nearest
from agent.robot.makers import import_makers

ANY: Final = "*"
"""Stands for every robot, people's own ones included."""


@dataclass(frozen=True, slots=True)
class RobotSpec:
    """What a controller is made for.

    Args:
        name: of the robot, as "HalfCheetah"; of a foreign environment, its id.
        observations: O, numbers in an observation.
        actions: A, numbers in an action; each in [-1, 1].
        dt: seconds of a step of control.
    """

    name: str
    observations: int
    actions: int
    dt: float

    def __post_init__(self) -> None:
        if self.observations < 1 or self.actions < 1:
            raise ValueError(
                f"{self.name} has {self.observations} observations and {self.actions} actions;"
                " a controller needs one of each, or more"
            )
        if not self.dt > 0:
            raise ValueError(f"dt of {self.name} is {self.dt}; give seconds above 0")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For a controller with nothing to set."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered controller; call it with a `RobotSpec` (and its options) to make one.

    Args:
        name: by which `--controller` knows it.
        options: its dataclass of options; each has a default.
        robots: the names of those that it can drive; "*" for any.
        default: whether it is what drives these robots where no name is given.
        build: makes it.
        text: what it is, in a line: the first of the builder's docstring.
    """

    name: str
    options: Callable[[], Any]
    robots: tuple[str, ...]
    default: bool
    build: Callable[[Any, RobotSpec], Controller]
    text: str

    def drives(self, robot: str) -> bool:
        """Say whether it can drive a robot of this name."""
        return robot in self.robots or ANY in self.robots

    def __call__(self, robot: RobotSpec, options: object = None) -> Controller:
        """Make one.

        Raises:
            ValueError: it cannot drive this robot.
        """
        if not self.drives(robot.name):
            raise ValueError(
                f"{self.name} drives {', '.join(self.robots)}; not {robot.name}: take one of"
                f" {', '.join(drivers(robot.name))}"
            )
        return self.build(self.options() if options is None else options, robot)


Options = TypeVar("Options")
Build: TypeAlias = Callable[[Options, RobotSpec], Controller]

CONTROLLERS: dict[str, Entry] = {}
"""Every controller that was entered so far, by name; `every_controller` gives all."""


def controller(
    name: str,
    options: Callable[[], Options] = NoOptions,  # type: ignore[assignment]
    *,
    robots: tuple[str, ...] = (ANY,),
    default: bool = False,
) -> Callable[[Build[Options]], Build[Options]]:
    """Enter a way to make a controller, from its options and a robot, under a name.

    Raises:
        ValueError: the name is taken, or one of the robots has a default already.
    """

    def enter(build: Build[Options]) -> Build[Options]:
        if name in CONTROLLERS:
            raise ValueError(f"a controller named {name!r} is registered already")
        for other in CONTROLLERS.values():
            if default and other.default and set(robots) & set(other.robots):
                raise ValueError(f"{name!r} cannot be the default: {other.name!r} is")
        text = (build.__doc__ or "").strip().split("\n")[0]
        CONTROLLERS[name] = Entry(name, options, robots, default, build, text)
        return build

    return enter


def every_controller() -> Mapping[str, Entry]:
    """Import every `make_*` file of this package, and give all that is registered, by name."""
    import_makers()
    return dict(sorted(CONTROLLERS.items()))


def drivers(robot: str) -> list[str]:
    """Give the names of those that can drive a robot, the default one first."""
    able = [one.name for one in every_controller().values() if one.drives(robot)]
    first = default_for(robot)
    return sorted(able, key=lambda name: (name != first, name))


def default_for(robot: str) -> str:
    """Name what drives a robot where no controller is asked for: its own default, else "*"'s."""
    able = [one for one in every_controller().values() if one.default and one.drives(robot)]
    own = [one for one in able if robot in one.robots]
    return (own or able)[0].name


def find(name: str) -> Entry:
    """Look a controller up.

    Raises:
        ValueError: there is none of that name; the message says which was probably meant.
    """
    known = every_controller()
    if name not in known:
        raise ValueError(f"there is no controller {name!r}; {nearest(name, known)}")
    return known[name]
