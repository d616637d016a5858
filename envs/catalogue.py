"""The environments by the robots' names, as `gymnasium.make` builds them."""

import copy
from typing import Any, Literal

import mujoco
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from typing_extensions import override

from envs.changing import Changing
from envs.life import Life
from envs.robots import ROBOTS, Robot
from envs.task import Array, One
from envs.task_env import TaskEnv


class _HalfCheetah(HalfCheetahEnv):
    """Gymnasium's own, without the warning that its XML brings forth when it is compiled."""

    @override
    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = copy.copy(ROBOTS["HalfCheetah"].model(visual=True))
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, self.width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, self.height)
        return model, mujoco.MjData(model)


class _Reacher(ReacherEnv):
    """Gymnasium's own, which also observes an arm with a link less."""

    @override
    def _get_obs(self) -> Array:
        observation: Array = ROBOTS["Reacher"].task.observe(self.model, One(self.data))[0]
        return observation


_GYMNASIUM: dict[str, type[MujocoEnv]] = {
    "HalfCheetah": _HalfCheetah,
    "Ant": AntEnv,
    "Hopper": HopperEnv,
    "Walker2d": Walker2dEnv,
    "Reacher": _Reacher,
    "Swimmer": SwimmerEnv,
}


def make(
    robot: str | Robot,
    life: Life | str = "intact@0",
    sizes: Literal["body", "intact"] = "body",
    **kwargs: Any,
) -> Changing:
    """Build the environment of a robot whose body changes.

    Args:
        robot: it, or its name.
        life: when which body comes.
        sizes: "body": the spaces shrink where a limb is lost; "intact": they stay.
        kwargs: as Gymnasium's environment takes them, such as `render_mode`.
    """
    known = ROBOTS[robot] if isinstance(robot, str) else robot
    own = _GYMNASIUM.get(known.name) if ROBOTS.get(known.name) is known else None
    env = TaskEnv(known, **kwargs) if own is None else own(**kwargs)
    return Changing(env, known, life, sizes)
