"""Any Gymnasium environment with vectors of observations and actions, as a world.

Shapes: N robots, O observations, A actions.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray

from agent.robot.controllers import RobotSpec
from agent.robot.turn import Floats
from agent.robot.world import Arrays, Json, Moved, WorldError, finite

DT: Final = 0.05  # seconds of a step, where an environment says nothing of time
HALF: Final = 0.5


class GymWorld:
    """N copies of an environment, stepped one after another.

    An environment's state goes into a checkpoint where it has two methods: `state()`, which gives
    arrays by name, and `restore(arrays)`. Without them a resumed life begins a new episode.

    Args:
        name: its id, as "Pendulum-v1", or "module:Name-v0", which imports the module first.
        robots: N.
        seed: of the first robot; the others' follow.
        dt: seconds of a step; None asks the environment.

    Raises:
        WorldError: there is no such environment, or its observations or actions are no vectors.
    """

    def __init__(self, name: str, robots: int, seed: int, dt: float | None = None) -> None:
        self._envs = [made(name) for _ in range(robots)]
        env = self._envs[0]
        seen, acts = vector(name, "observations", env.observation_space), _bounded(name, env)
        self.robots = robots
        self.spec = RobotSpec(
            name.rpartition(":")[2], seen.shape[0], acts.shape[0], dt or seconds(env)
        )
        self._low_A, self._high_A = acts.low, acts.high
        self._seed = seed
        self._truth = [""] * robots

    def reset(self) -> Floats:
        """Begin the life; give what is seen."""
        first = [env.reset(seed=self._seed + at) for at, env in enumerate(self._envs)]
        self._truth = [_body(info) for _, info in first]
        return finite(np.stack([obs_O for obs_O, _ in first]), self.spec.name)

    def step(self, action_NA: Floats) -> Moved:
        """Take one step of control; whose episode is over begins another."""
        scaled_NA = self._low_A + HALF * (np.clip(action_NA, -1, 1) + 1) * (
            self._high_A - self._low_A
        )
        moved = [env.step(one_A) for env, one_A in zip(self._envs, scaled_NA, strict=True)]
        next_NO = finite(np.stack([one[0] for one in moved]), self.spec.name)
        self._truth = [_body(one[4]) for one in moved]
        fallen_N = np.array([bool(one[2]) for one in moved])
        fresh_N = fallen_N | np.array([bool(one[3]) for one in moved])
        start_NO = next_NO.copy()
        for at in np.flatnonzero(fresh_N):
            start_NO[at] = finite(self._envs[at].reset()[0][None], self.spec.name)[0]
        reward_N = np.array([float(one[1]) for one in moved], np.float32)
        return Moved(next_NO, reward_N, fallen_N, fresh_N, start_NO)

    def truth(self) -> Sequence[str]:
        """Give what the environment says of its bodies, as "body" in its `info`; else nothing."""
        return self._truth

    def state(self) -> tuple[Arrays, Json]:
        """Give what the environments give, and their generators."""
        arrays: Arrays = {}
        generators = [env.unwrapped.np_random.bit_generator.state for env in self._envs]
        for at, env in enumerate(self._envs):
            if restorable(env):
                found: Mapping[str, NDArray[Any]] = env.get_wrapper_attr("state")()
                arrays |= {f"{at}.{name}": np.asarray(array) for name, array in found.items()}
        elapsed = [getattr(_limit(env), "_elapsed_steps", 0) for env in self._envs]
        return arrays, {"generators": generators, "elapsed": elapsed}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Json) -> Floats | None:
        """Go back to a state, as far as the environments can."""
        first_NO = self.reset()
        for at, env in enumerate(self._envs):
            own = {
                name.partition(".")[2]: array
                for name, array in arrays.items()
                if name.startswith(f"{at}.")
            }
            if restorable(env) and own:
                env.get_wrapper_attr("restore")(own)
            env.unwrapped.np_random.bit_generator.state = meta["generators"][at]
            if (limit := _limit(env)) is not None and restorable(env):
                limit._elapsed_steps = meta["elapsed"][at]  # noqa: SLF001 - it has no other way
        return None if all(map(restorable, self._envs)) else first_NO

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


def _body(info: Mapping[str, Any]) -> str:
    body = info.get("body", "")
    return str(getattr(body, "name", body))


def made(name: str, **options: object) -> gymnasium.Env[Any, Any]:
    """Make an environment. Raises `WorldError` where there is none, or it does not come up."""
    if ":" in name and os.getcwd() not in sys.path:  # noqa: PTH109 - as Python itself has it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    quiet = logging.getLogger("gymnasium")
    quiet.setLevel(logging.ERROR)  # its advice on newer versions is not this person's business
    try:
        return gymnasium.make(name, disable_env_checker=True, **options)  # type: ignore[arg-type]  # theirs take anything
    except (gymnasium.error.Error, ModuleNotFoundError, ImportError) as error:
        raise WorldError(f"no environment {name!r}: {_plain(error)}") from error


def _plain(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{text}; write it as Pendulum-v1, or module:Name-v0 for one of your own"


def vector(name: str, what: str, space: Space[Any]) -> Box:
    """Give a space as a vector of numbers. Raises `WorldError` where it is none."""
    if isinstance(space, Box) and len(space.shape) == 1 and space.shape[0] > 0:
        return space
    remedy = {
        "Dict": "wrap it in gymnasium.wrappers.FlattenObservation",
        "Tuple": "wrap it in gymnasium.wrappers.FlattenObservation",
        "Discrete": "robots here act by numbers; take an environment with a Box of actions",
    }.get(type(space).__name__, "give it as a Box of one axis, as FlattenObservation does")
    raise WorldError(f"{name}: its {what} are {space}, no vector of numbers; {remedy}")


def _bounded(name: str, env: gymnasium.Env[Any, Any]) -> Box:
    acts = vector(name, "actions", env.action_space)
    if not (np.isfinite(acts.low).all() and np.isfinite(acts.high).all()):
        raise WorldError(
            f"{name}: its actions have no bounds; wrap it in gymnasium.wrappers.RescaleAction, or"
            " give its Box low and high"
        )
    return acts


def seconds(env: gymnasium.Env[Any, Any]) -> float:
    """Give the seconds of a step: what the environment calls `dt`, else of its film."""
    dt = getattr(env.unwrapped, "dt", None)
    if isinstance(dt, int | float) and dt > 0:
        return float(dt)
    frames = env.metadata.get("render_fps")
    return 1 / float(frames) if frames else DT


def restorable(env: gymnasium.Env[Any, Any]) -> bool:
    """Say whether an environment can give its state and go back to it."""
    return env.has_wrapper_attr("state") and env.has_wrapper_attr("restore")


def _limit(env: gymnasium.Env[Any, Any]) -> Any:
    """Find the wrapper that counts an episode's steps; None where there is none."""
    here: Any = env
    while isinstance(here, gymnasium.Wrapper):
        if isinstance(here, gymnasium.wrappers.TimeLimit):
            return here
        here = here.env
    return None
