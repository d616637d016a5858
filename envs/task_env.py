"""A Gymnasium environment from a robot and its task: the planar arm, or a model of one's own."""

import copy
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from typing_extensions import override

from envs.robots import Robot
from envs.task import Array, One

PLACES = ("tip", "target")
CAMERA = {"distance": 1.2, "elevation": -90.0, "azimuth": 90.0}


class TaskEnv(MujocoEnv):
    """One robot at its task; observations, rewards and ends are the fleet's.

    Args:
        robot: what moves.
        default_camera_config: of the rendered view.
        kwargs: as Gymnasium's `MujocoEnv` takes them, such as `render_mode`.
    """

    def __init__(
        self, robot: Robot, default_camera_config: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        self.robot = robot
        space = Box(-np.inf, np.inf, (robot.observations,), np.float64)
        camera = default_camera_config or CAMERA
        super().__init__(
            str(robot.path), robot.frame_skip, space, default_camera_config=camera, **kwargs
        )
        modes = ["human", "rgb_array", "depth_array", "rgbd_tuple"]
        self.metadata = {"render_modes": modes, "render_fps": round(1.0 / robot.dt)}

    @override
    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = copy.copy(self.robot.model(visual=True))
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, self.width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, self.height)
        return model, mujoco.MjData(model)

    @override
    def step(self, action: Any) -> tuple[Array, np.float64, bool, bool, dict[str, Any]]:
        task, sim = self.robot.task, One(self.data)
        mark = task.mark(sim)
        self.do_simulation(action, self.frame_skip)
        if task.stage == mujoco.mjtStage.mjSTAGE_POS.value:
            mujoco.mj_fwdPosition(self.model, self.data)
        action_1A = np.asarray(action, dtype=np.float64)[None]
        reward, fallen = task.judge(self.model, self.robot.dt, mark, sim, action_1A)
        steps = round(self.data.time / self.robot.dt)
        if task.period and steps % task.period == 0:
            self.data.mocap_pos[0] = task.target(self.np_random)
        if self.render_mode == "human":
            self.render()  # type: ignore[no-untyped-call]
        seen = self._get_obs()
        return seen, reward[0], task.ends and bool(fallen[0]), False, self._places(seen)

    def _places(self, seen: Array) -> dict[str, Any]:
        """Give what of an observation are places, by name: where tip and target are, in metres."""
        labels = self.robot.task.labels(self.model)
        starts = {label.removesuffix(" x"): row for row, label in enumerate(labels)}
        return {name: seen[row : row + 2] for name, row in starts.items() if name in PLACES}

    @override
    def reset_model(self) -> Array:
        start = self.robot.task.start(self.model, self.np_random)
        if start.target_3 is not None:
            self.data.mocap_pos[0] = start.target_3
        self.set_state(start.qpos_Q, start.qvel_V)  # type: ignore[no-untyped-call]
        return self._get_obs()

    def _get_obs(self) -> Array:
        observation: Array = self.robot.task.observe(self.model, One(self.data))[0]
        return observation
