"""Running: what Gymnasium's version 5 of HalfCheetah, Hopper, Walker2d, Swimmer and Ant reward.

Shapes: N robots, Q positions, V velocities, O observations, A actions, K numbers of a mark.
"""

from dataclasses import dataclass
from math import inf

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.task import Array, Sim, Start, joint_labels


@dataclass(frozen=True, slots=True)
class Span:
    """An open range."""

    low: float = -inf
    high: float = inf

    def holds(self, value: Array) -> NDArray[np.bool_]:
        """Tell which values lie in it."""
        return (value > self.low) & (value < self.high)


@dataclass(frozen=True, slots=True)
class Run:
    """Forward speed, less a cost of control, with a bonus while healthy where falling ends.

    Args:
        hidden: leading positions that are not observed.
        cost: weight of the squared action.
        noise: half width of the start's noise.
        normal: whether the start's velocities are normal rather than uniform.
        ends: whether a fall ends the episode, and being upright is worth 1 a step.
        heights: of the torso, while healthy; with `ends`.
        pitches: of the torso in radians, while healthy; with `ends`.
        bound: of all positions and velocities but the first two, while healthy; with `ends`.
        clip: largest velocity that is observed.
        tumbles: whether the torso can come to lie upside down, which is told and ends nothing.
    """

    hidden: int = 1
    cost: float = 0.1
    noise: float = 0.1
    normal: bool = False
    ends: bool = False
    heights: Span = Span()
    pitches: Span = Span()
    bound: float = inf
    clip: float = inf
    tumbles: bool = False
    reads: tuple[str, ...] = ()
    stage: int = mujoco.mjtStage.mjSTAGE_NONE.value
    period: int = 0
    forces: bool = False

    def labels(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Name positions, but for the hidden ones, and velocities."""
        positions, velocities = joint_labels(model)
        return (*positions[self.hidden :], *velocities)

    def start(self, model: mujoco.MjModel, draw: np.random.Generator) -> Start:
        """Draw positions, then velocities, about the model's own."""
        qpos = model.qpos0 + draw.uniform(-self.noise, self.noise, model.nq)
        if self.normal:
            return Start(qpos, self.noise * draw.standard_normal(model.nv))
        return Start(qpos, draw.uniform(-self.noise, self.noise, model.nv))

    def target(self, draw: np.random.Generator) -> Array:
        """Refuse: a runner has no target."""
        raise NotImplementedError

    def mark(self, sim: Sim) -> Array:
        """Give where each one stands, in metres."""
        return sim.qpos[:, :1].copy()

    def observe(self, model: mujoco.MjModel, sim: Sim) -> Array:
        """Give positions and clipped velocities."""
        del model
        velocity = sim.qvel if self.clip == inf else np.clip(sim.qvel, -self.clip, self.clip)
        return np.concatenate([sim.qpos[:, self.hidden :], velocity], axis=1)

    def judge(
        self, model: mujoco.MjModel, dt: float, mark_NK: Array, sim: Sim, action_NA: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Reward speed along x, with the bonus of being upright, less the cost of control."""
        del model
        speed = (self.mark(sim)[:, 0] - mark_NK[:, 0]) / dt
        fallen = self.fallen(sim)
        upright = ~fallen if self.ends else np.zeros(len(fallen))
        return speed + upright - self.cost * np.square(action_NA).sum(axis=1), fallen

    def fallen(self, sim: Sim) -> NDArray[np.bool_]:
        """Tell which ones are not healthy, or lie upside down."""
        if self.tumbles:
            upright: Array = np.cos(sim.qpos[:, 2])
            upside_down: NDArray[np.bool_] = upright < 0
            return upside_down
        if not self.ends:
            return np.zeros(len(sim.qpos), dtype=bool)
        healthy = self.heights.holds(sim.qpos[:, 1]) & self.pitches.holds(sim.qpos[:, 2])
        rest = np.concatenate([sim.qpos[:, 2:], sim.qvel], axis=1)
        bounded: NDArray[np.bool_] = (np.abs(rest) < self.bound).all(axis=1)
        return ~(healthy & bounded)


@dataclass(frozen=True, slots=True)
class RunAnt:
    """Ant: forward speed and being upright, less costs of control and of contact forces.

    Args:
        cost: weight of the squared action.
        contact_cost: weight of the squared contact forces, each cut to [-1, 1].
        heights: of the torso, while healthy, both ends included.
        noise: of the start.
    """

    cost: float = 0.5
    contact_cost: float = 5e-4
    heights: Span = Span(0.2, 1.0)
    noise: float = 0.1
    reads: tuple[str, ...] = ("xpos", "cfrc_ext")
    stage: int = mujoco.mjtStage.mjSTAGE_NONE.value
    ends: bool = True
    period: int = 0
    forces: bool = True

    def labels(self, model: mujoco.MjModel) -> tuple[str, ...]:
        """Name positions but x and y, velocities, and six forces of each body."""
        positions, velocities = joint_labels(model)
        bodies = [model.body(row).name for row in range(1, model.nbody)]
        forces = [f"force {body} {axis}" for body in bodies for axis in range(6)]
        return (*positions[2:], *velocities, *forces)

    def start(self, model: mujoco.MjModel, draw: np.random.Generator) -> Start:
        """Draw positions, then velocities, about the model's own."""
        qpos = model.qpos0 + draw.uniform(-self.noise, self.noise, model.nq)
        return Start(qpos, self.noise * draw.standard_normal(model.nv))

    def target(self, draw: np.random.Generator) -> Array:
        """Refuse: a runner has no target."""
        raise NotImplementedError

    def mark(self, sim: Sim) -> Array:
        """Give where each torso is, in metres, as of the last physics step's beginning."""
        return sim.xpos[:, 1, :1].copy()

    def observe(self, model: mujoco.MjModel, sim: Sim) -> Array:
        """Give positions, velocities and cut contact forces."""
        del model
        forces = np.clip(sim.cfrc_ext[:, 1:], -1.0, 1.0).reshape(len(sim.qpos), -1)
        return np.concatenate([sim.qpos[:, 2:], sim.qvel, forces], axis=1)

    def judge(
        self, model: mujoco.MjModel, dt: float, mark_NK: Array, sim: Sim, action_NA: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Reward speed along x and being upright, less both costs."""
        del model
        speed = (self.mark(sim)[:, 0] - mark_NK[:, 0]) / dt
        fallen = self.fallen(sim)
        forces = np.square(np.clip(sim.cfrc_ext, -1.0, 1.0)).sum(axis=(1, 2))
        costs = self.cost * np.square(action_NA).sum(axis=1) + self.contact_cost * forces
        return speed + ~fallen - costs, fallen

    def fallen(self, sim: Sim) -> NDArray[np.bool_]:
        """Tell which ones are not healthy."""
        height = sim.qpos[:, 2]
        finite = np.isfinite(sim.qpos).all(axis=1) & np.isfinite(sim.qvel).all(axis=1)
        return ~(finite & (height >= self.heights.low) & (height <= self.heights.high))
