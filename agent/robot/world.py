"""Where robots live: simulated fleets of changing bodies, and any Gymnasium environment.

Shapes: N robots, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.robot.controllers import RobotSpec
from agent.robot.turn import Flags, Floats

Arrays: TypeAlias = dict[str, NDArray[Any]]
Json: TypeAlias = dict[str, Any]


class WorldError(Exception):
    """The environment cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a step did.

    Args:
        next_NO: what is seen after it, before any new episode begins.
        reward_N: what it brought.
        fallen_N: whose episode ended by a fall, or what else the environment calls its end.
        fresh_N: who begins a new episode now.
        start_NO: what is seen by whoever acts next; other than `next_NO` for those that are fresh.
    """

    next_NO: Floats
    reward_N: Floats
    fallen_N: Flags
    fresh_N: Flags
    start_NO: Floats


class World(Protocol):
    """N robots, stepped together."""

    spec: RobotSpec
    robots: int

    def reset(self) -> Floats:
        """Begin the life; give what is seen."""
        ...

    def step(self, action_NA: Floats) -> Moved:
        """Take one step of control; actions are in [-1, 1]."""
        ...

    def truth(self) -> Sequence[str]:
        """Name the body that each robot has in the next step; for judges alone."""
        ...

    def state(self) -> tuple[Arrays, Json]:
        """Give all that changes, as arrays and JSON."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Json) -> Floats | None:
        """Go back to a state.

        Returns:
            None where what follows is what followed then; else the observations of an episode that
            had to be begun anew.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def finite(obs_NO: NDArray[Any], what: str) -> Floats:
    """Give observations as float32. Raises `WorldError` where one is not a number."""
    found_NO = np.asarray(obs_NO, np.float32)
    if not np.isfinite(found_NO).all():
        where = int(np.flatnonzero(~np.isfinite(found_NO).all(0))[0])
        raise WorldError(
            f"{what}: observation {where} is {found_NO[:, where]}; the simulation has come apart,"
            " or the sensor gives no numbers: shorten its step, or mend the environment"
        )
    return found_NO
