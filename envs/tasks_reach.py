"""Reaching: the planar arm's task, and Gymnasium's Reacher of version 5.

Shapes: N robots, J joints, O observations, A actions, K numbers of a mark.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.task import Array, Sim, Start, joint_labels, row_of

TIP, TARGET = "tip", "target"


@dataclass(frozen=True, slots=True)
class Reach:
    """Hold the tip at a target that moves now and then; the reward is minus the distance.

    Args:
        near: smallest distance of a target from the base, in metres.
        far: largest distance.
        period: steps of control that a target stays.
        bend: half width of the joints' angles at the start, in radians.
    """

    near: float = 0.1
    far: float = 0.28
    period: int = 50
    bend: float = 1.5
    reads: tuple[str, ...] = ("xpos",)
    stage: int = mujoco.mjtStage.mjSTAGE_POS.value
    ends: bool = False
    forces: bool = False

    def labels(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Name cosines, sines and velocities of the joints, then tip and target."""
        joints = [model.joint(row).name for row in range(model.njnt)]
        turns = [f"{word} {joint}" for word in ("cos", "sin", "velocity") for joint in joints]
        return (*turns, "tip x", "tip y", "target x", "target y")

    def start(self, model: mujoco.MjModel, draw: np.random.Generator) -> Start:
        """Draw the joints' angles and a target."""
        qpos = draw.uniform(-self.bend, self.bend, model.nq)
        return Start(qpos, np.zeros(model.nv), self.target(draw))

    def target(self, draw: np.random.Generator) -> Array:
        """Draw a place in the ring between near and far."""
        distance, angle = draw.uniform(self.near, self.far), draw.uniform(-np.pi, np.pi)
        return np.array([distance * np.cos(angle), distance * np.sin(angle), 0.0])

    def mark(self, sim: Sim) -> Array:
        """Give nothing: the reward depends on the new state alone."""
        return np.zeros((len(sim.qpos), 0))

    def observe(self, model: mujoco.MjModel, sim: Sim) -> Array:
        """Give cos, sin, velocity (rad/s) of the joints; tip and target in metres."""
        turns = [np.cos(sim.qpos), np.sin(sim.qpos), sim.qvel]
        tip = sim.xpos[:, row_of(model, TIP), :2]
        return np.concatenate([*turns, tip, sim.mocap_pos[:, 0, :2]], axis=1)

    def judge(
        self, model: mujoco.MjModel, dt: float, mark_NK: Array, sim: Sim, action_NA: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Reward minus the distance in metres; an arm never falls."""
        del dt, mark_NK, action_NA
        apart = sim.xpos[:, row_of(model, TIP), :2] - sim.mocap_pos[:, 0, :2]
        return -np.sqrt(np.square(apart).sum(axis=1)), self.fallen(sim)

    def fallen(self, sim: Sim) -> NDArray[np.bool_]:
        """Tell that no arm ever falls."""
        return np.zeros(len(sim.qpos), dtype=bool)


@dataclass(frozen=True, slots=True)
class ReachOnce:
    """Reacher: one target an episode, which is two joints of the model.

    Args:
        tip: body at the arm's end.
        far: half width of the square, and radius of the circle, that targets are drawn from.
    """

    tip: str = "fingertip"
    far: float = 0.2
    reads: tuple[str, ...] = ("xpos",)
    stage: int = mujoco.mjtStage.mjSTAGE_NONE.value
    ends: bool = False
    period: int = 0
    forces: bool = False

    def labels(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Name cosines and sines of the joints, target, velocities, and tip less target."""
        positions, velocities = joint_labels(model)
        joints = [one.removeprefix("position ") for one in positions[:-2]]
        turns = [f"{word} {joint}" for word in ("cos", "sin") for joint in joints]
        return (*turns, *positions[-2:], *velocities[:-2], "apart x", "apart y")

    def start(self, model: mujoco.MjModel, draw: np.random.Generator) -> Start:
        """Draw angles, a target by rejection, and velocities."""
        qpos = draw.uniform(-0.1, 0.1, model.nq) + model.qpos0
        goal = draw.uniform(-self.far, self.far, 2)
        while np.linalg.norm(goal) >= self.far:
            goal = draw.uniform(-self.far, self.far, 2)
        qpos[-2:] = goal
        qvel = draw.uniform(-0.005, 0.005, model.nv)
        qvel[-2:] = 0
        return Start(qpos, qvel)

    def target(self, draw: np.random.Generator) -> Array:
        """Refuse: the target is a part of the start."""
        raise NotImplementedError

    def mark(self, sim: Sim) -> Array:
        """Give nothing: the reward depends on the new state alone."""
        return np.zeros((len(sim.qpos), 0))

    def observe(self, model: mujoco.MjModel, sim: Sim) -> Array:
        """Give cos, sin, target, velocities, and tip less target."""
        angles, apart = sim.qpos[:, :-2], self._apart(model, sim)[:, :2]
        turns = [np.cos(angles), np.sin(angles), sim.qpos[:, -2:], sim.qvel[:, :-2]]
        return np.concatenate([*turns, apart], axis=1)

    def judge(
        self, model: mujoco.MjModel, dt: float, mark_NK: Array, sim: Sim, action_NA: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Reward minus distance and squared action; an arm never falls."""
        del dt, mark_NK
        distance = np.sqrt(np.square(self._apart(model, sim)).sum(axis=1))
        return -distance - np.square(action_NA).sum(axis=1), self.fallen(sim)

    def fallen(self, sim: Sim) -> NDArray[np.bool_]:
        """Tell that no arm ever falls."""
        return np.zeros(len(sim.qpos), dtype=bool)

    def _apart(self, model: mujoco.MjModel, sim: Sim) -> Array:
        return sim.xpos[:, row_of(model, self.tip)] - sim.xpos[:, row_of(model, TARGET)]
