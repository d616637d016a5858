"""A MuJoCo environment of Gymnasium's in which the body changes, unannounced and without a reset.

Shapes: O observations, A actions.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer
from gymnasium.spaces import Box
from numpy.typing import NDArray
from typing_extensions import override

from envs.body import Body
from envs.carry import carry, put_state, state_of
from envs.life import Life
from envs.robots import Robot
from envs.task import Array, One

State = dict[str, NDArray[np.generic]]

# Bounds of observations: no robot comes near them, and a space without infinities can be sampled.
FAR = 1e6


class Changing(gymnasium.Env[Array, Any]):
    """An environment whose robot lives through a life of bodies.

    The life's clock counts steps of control. It runs on over resets, and begins anew at a reset
    with a seed. Place, speed and warm start go over from body to body, by the joints' names.

    Args:
        env: any environment that is a `MujocoEnv`.
        robot: what it simulates.
        life: when which body comes; a text as `Life.parse` reads it.
        sizes: "body": the spaces shrink where a limb is lost; "intact": what is lost is
            observed as 0, and actions there do nothing.

    Raises:
        ValueError: a body that this robot cannot have.
    """

    def __init__(
        self,
        env: MujocoEnv,
        robot: Robot,
        life: Life | str = "intact@0",
        sizes: Literal["body", "intact"] = "body",
    ) -> None:
        self.env = env
        self.robot = robot
        self.life = Life.parse(life) if isinstance(life, str) else life
        for body in self.life.bodies:
            robot.check(body)
        self.body = Body()
        self._padded = sizes == "intact"
        self._step = 0
        self.metadata = env.metadata
        self.render_mode = env.render_mode
        limits = env.model.actuator_ctrlrange.astype(np.float32).T
        self._whole = (_box(env.observation_space.shape or ()), Box(*limits, dtype=np.float32))
        self._resize()
        self.embody(self.life.at(0))

    @property
    def model(self) -> mujoco.MjModel:
        """The body's model; writing to it lasts until the body changes."""
        return self.env.model

    @property
    def data(self) -> mujoco.MjData:
        """The physics' state."""
        return self.env.data

    @property
    def dt(self) -> float:
        """Seconds of a step of control."""
        return float(self.env.dt)

    @override
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode; with a seed, begin the life anew, too."""
        if seed is not None:
            self._step = 0
        self._be(self.life.at(self._step))
        observation, info = self.env.reset(seed=seed, options=options)
        self._np_random = self.env.np_random
        return self._pad(observation), self._tell(info)

    @override
    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Act; a change that is due comes first, and the action is cut to the body that is left."""
        whole = np.zeros(len(self.robot.actuators))
        whole[slice(None) if self._padded else self._actions] = action
        due = self.life.due(self._step) if self._step else None  # the first comes with the reset
        if due is not None:
            self._be(due)
        self._step += 1
        own: Any = whole[self._actions]
        told: Any = self.env.step(own)
        observation, reward, ended, cut, info = told
        return self._pad(observation), float(reward), bool(ended), bool(cut), self._tell(info)

    @override
    def render(self) -> Any:
        return self.env.render()  # type: ignore[no-untyped-call]

    @override
    def close(self) -> None:
        self.env.close()  # type: ignore[no-untyped-call]

    def embody(self, body: Body) -> None:
        """Give the robot another body, here and now; the life's next change replaces it.

        Raises:
            ValueError: a body that this robot cannot have.
        """
        model = copy.copy(self.robot.model(body, visual=self.render_mode is not None))
        screen = self.env.model.vis.global_
        model.vis.global_.offwidth, model.vis.global_.offheight = screen.offwidth, screen.offheight
        data = mujoco.MjData(model)
        self.env.init_qpos, self.env.init_qvel = data.qpos.copy(), data.qvel.copy()
        row = state_of(self.model, self.data)
        if body.removed != self.body.removed:
            row = carry(self.model, row, model)
        put_state(model, data, row)
        self.body = body
        self.env.model, self.env.data = model, data
        self.env.mujoco_renderer = _again(self.env.mujoco_renderer, model, data)
        self._resize()

    def observe(self) -> Array:
        """Give the observation of this very state."""
        return self._pad(_observed(self.env))

    def place(self, qpos_Q: Array, qvel_V: Array, target_3: Array | None = None) -> None:
        """Begin anew at a given place, the clock of the physics at 0."""
        mujoco.mj_resetData(self.model, self.data)
        if target_3 is not None:
            self.data.mocap_pos[0] = target_3
        self.env.set_state(qpos_Q, qvel_V)  # type: ignore[no-untyped-call]

    def state(self) -> State:
        """Give all there is, as arrays; `restore` goes on from there bit for bit."""
        return {
            "physics": state_of(self.model, self.data),
            "places": self.data.xpos.copy(),  # of the last step, which some rewards compare with
            "step": np.asarray(self._step),
            "body": _packed(self.body.to_dict()),
            "chance": _packed(self.env.np_random.bit_generator.state),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave, in an environment of the same robot and life."""
        self._be(Body.from_dict(_unpacked(state["body"])))
        put_state(self.model, self.data, np.asarray(state["physics"], dtype=np.float64))
        self.data.xpos[:] = state["places"]
        self._step = int(state["step"])
        self.env.np_random.bit_generator.state = _unpacked(state["chance"])
        self._np_random = self.env.np_random

    def _be(self, body: Body) -> None:
        if body != self.body:
            self.embody(body)

    def _resize(self) -> None:
        """Fit spaces, and what of the intact robot's numbers this body has."""
        whole, actions = self._whole
        model, task = self.model, self.robot.task
        names = [model.actuator(row).name for row in range(model.nu)]
        self._actions = [
            row
            for row, name in enumerate(self.robot.actuators)
            if not self.body.removed or name in names
        ]
        self._seen: list[int] | None = None
        self.observation_space, self.action_space = whole, actions
        if not self.body.removed:
            return
        if self._padded:
            self._seen = [self.robot.labels.index(label) for label in task.labels(model)]
            return
        self.observation_space = _box(_observed(self.env).shape)
        own = slice(None), self._actions
        self.action_space = Box(*np.stack([actions.low, actions.high])[own], dtype=np.float32)

    def _pad(self, observation: Array) -> Array:
        if self._seen is None:
            return observation
        padded = np.zeros(len(self.robot.labels))
        padded[self._seen] = observation
        return padded

    def _tell(self, info: dict[str, Any]) -> dict[str, Any]:
        fallen = bool(self.robot.task.fallen(One(self.data))[0])
        return {**info, "body": self.body.name, "fallen": fallen}


def _box(shape: tuple[int, ...]) -> Box[Any]:
    return Box(-FAR, FAR, shape, np.float64)


def _observed(env: MujocoEnv) -> Array:
    observation: Array = env._get_obs()  # type: ignore[attr-defined]  # noqa: SLF001 -- they all do
    return observation


def _again(renderer: MujocoRenderer, model: mujoco.MjModel, data: mujoco.MjData) -> MujocoRenderer:
    """Close a renderer, and give one that looks at another body in the same way."""
    renderer.close()  # type: ignore[no-untyped-call]
    again = MujocoRenderer(
        model,
        data,
        renderer.default_cam_config,
        renderer.width,
        renderer.height,
        renderer.max_geom,
        visual_options=renderer._vopt,  # noqa: SLF001 -- it keeps them nowhere else
    )
    again.camera_id = renderer.camera_id
    return again


def _packed(told: Mapping[str, Any]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(told).encode(), dtype=np.uint8).copy()


def _unpacked(packed: NDArray[np.generic]) -> Any:
    return json.loads(np.asarray(packed, dtype=np.uint8).tobytes())
