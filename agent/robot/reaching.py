"""What the robots that reach for goals observe, and what is wanted of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.control.dynamics import View
from agent.control.objectives import Reach


@dataclass(frozen=True, slots=True)
class Reaching:
    """A robot that reaches.

    Args:
        view: of its observations.
        objective: to hold its tip at the goal.
    """

    view: View
    objective: Reach


def _planar_arm() -> Reaching:
    """Columns: cosines, sines, velocities of three joints, tip, target."""
    circles = ((0, 3), (1, 4), (2, 5))
    view = View(tuple(range(11)), actions=3, circles=circles)
    return Reaching(view, Reach(point=(9, 10), goal=(11, 12), speed=(6, 7, 8), slow=5e-5))


def _reacher() -> Reaching:
    """Columns: cosines, sines of two joints, target, velocities, tip less target."""
    body = (0, 1, 2, 3, 6, 7, 8, 9)
    view = View(body, 2, circles=((0, 2), (1, 3)), from_goal=((8, 4), (9, 5)))
    return Reaching(view, Reach(point=(8, 9), speed=(6, 7), slow=5e-5, effort=1e-3))


REACHING: Final[Mapping[str, Reaching]] = MappingProxyType(
    {"PlanarArm": _planar_arm(), "Reacher": _reacher()}
)
