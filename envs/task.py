"""The protocol of what a robot observes and is rewarded for, over many robots at once.

Shapes: N robots of one layout, Q positions, V velocities, B bodies of the model, O observations,
A actions, K numbers that one step must remember for the next.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Sim(Protocol):
    """MuJoCo's fields with the robots first; `mujoco.batch.Batch` is one."""

    @property
    def qpos(self) -> Array:
        """Positions, (N, Q)."""
        ...

    @property
    def qvel(self) -> Array:
        """Velocities, (N, V)."""
        ...

    @property
    def xpos(self) -> Array:
        """Places of bodies, (N, B, 3)."""
        ...

    @property
    def cfrc_ext(self) -> Array:
        """Contact forces on bodies, (N, B, 6)."""
        ...

    @property
    def mocap_pos(self) -> Array:
        """Places of what is moved by hand, (N, M, 3)."""
        ...


class One:
    """One simulation seen as many: each field of `MjData` with an axis of robots before it."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Array:
        return np.asarray(getattr(self._data, name))[None]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a robot begins.

    Args:
        qpos_Q: positions.
        qvel_V: velocities.
        target_3: where the target is; None where there is none that is no joint.
    """

    qpos_Q: Array
    qvel_V: Array
    target_3: Array | None = None


class Task(Protocol):
    """What is observed and rewarded; every method is a function of its arguments alone."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Derived fields that it needs after a step."""
        ...

    @property
    def stage(self) -> int:
        """What is computed at the state after a step, of `mujoco.mjtStage`."""
        ...

    @property
    def ends(self) -> bool:
        """Whether a fall ends the episode."""
        ...

    @property
    def period(self) -> int:
        """Steps between two targets; 0: none are drawn."""
        ...

    @property
    def forces(self) -> bool:
        """Whether contact forces must be computed after a step."""
        ...

    def labels(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Name the numbers of the observation; equal names mean the same of another layout."""
        ...

    def start(self, model: mujoco.MjModel, draw: np.random.Generator) -> Start:
        """Draw where a robot begins, in the order in which Gymnasium draws it."""
        ...

    def target(self, draw: np.random.Generator) -> Array:
        """Draw a target, (3,); only where `period` is not 0."""
        ...

    def mark(self, sim: Sim) -> Array:
        """Give what the next reward needs of this state, (N, K)."""
        ...

    def observe(self, model: mujoco.MjModel, sim: Sim) -> Array:
        """Give the observations, (N, O)."""
        ...

    def fallen(self, sim: Sim) -> NDArray[np.bool_]:
        """Tell which robots have fallen, (N,)."""
        ...

    def judge(
        self, model: mujoco.MjModel, dt: float, mark_NK: Array, sim: Sim, action_NA: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Give reward and whether it has fallen, (N,) each, after a step of `dt` seconds."""
        ...


def joint_labels(model: mujoco.MjModel) -> tuple[list[str], list[str]]:
    """Name each position and each velocity of a model after its joint."""
    names: tuple[list[str], list[str]] = ([], [])
    sizes: dict[Any, tuple[int, int]] = {
        mujoco.mjtJoint.mjJNT_FREE: (7, 6),
        mujoco.mjtJoint.mjJNT_BALL: (4, 3),
    }
    for row in range(model.njnt):
        size = sizes.get(mujoco.mjtJoint(model.jnt_type[row]), (1, 1))
        joint = model.joint(row).name
        for of, many, word in zip(names, size, ("position", "velocity"), strict=True):
            of += [f"{word} {joint}" + (f" {axis}" if many > 1 else "") for axis in range(many)]
    return names


def row_of(model: mujoco.MjModel, body: str) -> int:
    """Give the number of a body of the model."""
    return int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, body))
