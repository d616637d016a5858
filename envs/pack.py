"""Robots of one layout on `mujoco.batch.Batch`: bodies may differ, the parts are the same.

Shapes: N robots, O observations, A actions, S numbers of a whole state, K of a mark.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.body import Body
from envs.inplace import EDITED
from envs.robots import Robot, shape
from envs.task import Array, Start

try:
    from mujoco.batch import Batch
except ImportError:  # MuJoCo before 4
    Batch = None

BATCHED = Batch is not None


class Pack:
    """N robots that step at once.

    Where all bodies have one shape, they differ in single fields of one model, each written in its
    row; where lengths differ, each robot runs on a model of its own.

    Args:
        robot: what they are.
        bodies: one for each, all with the same limbs removed.
        threads: how many step at the same time.

    Raises:
        RuntimeError: this MuJoCo has no batch.
    """

    def __init__(self, robot: Robot, bodies: Sequence[Body], threads: int = 1) -> None:
        if not BATCHED:
            raise RuntimeError("mujoco.batch comes with MuJoCo 4; take batched=False, or update it")
        self.robot = robot
        self.bodies = list(bodies)
        self._models = [robot.model(body) for body in bodies]
        self._threads = threads
        self._batch = self._begin()
        self._batch.reset()
        self._forces_NB6 = np.zeros((len(self.bodies), self.model.nbody, 6))
        self.mark_NK = robot.task.mark(self)

    @property
    def qpos(self) -> Array:
        """Positions, (N, Q)."""
        return self._bound("qpos")

    @property
    def qvel(self) -> Array:
        """Velocities, (N, V)."""
        return self._bound("qvel")

    @property
    def xpos(self) -> Array:
        """Places of bodies, (N, B, 3)."""
        return self._bound("xpos")

    @property
    def mocap_pos(self) -> Array:
        """Places of what is moved by hand, (N, M, 3)."""
        return self._bound("mocap_pos")

    @property
    def cfrc_ext(self) -> Array:
        """Contact forces on bodies, (N, B, 6); zero unless the task asks for them."""
        return self._forces_NB6

    @property
    def model(self) -> mujoco.MjModel:
        """A model of this layout."""
        return self._batch.model

    def embody(self, rows: Sequence[int], bodies: Sequence[Body]) -> None:
        """Give some robots other bodies; their states stay."""
        for row, body in zip(rows, bodies, strict=True):
            self.bodies[row], self._models[row] = body, self.robot.model(body)
        if self._shape is not None and any(shape(body) != self._shape for body in bodies):
            states = self._batch.state.copy()
            self._batch = self._begin()
            self._batch.state[:] = states
        elif self._shape is None:
            self._batch.set_models(self._models)
        else:
            self._write(rows)
        self._refresh(np.unique(rows))

    def place(self, rows: Sequence[int], starts: Sequence[Start]) -> None:
        """Begin anew where each start says; rows ascend."""
        ids = np.asarray(rows, dtype=np.int32)
        self._batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        for row, start in zip(rows, starts, strict=True):
            self.qpos[row], self.qvel[row] = start.qpos_Q, start.qvel_V
            if start.target_3 is not None:
                self.mocap_pos[row, 0] = start.target_3
        self._batch.forward(ids)
        self._feel(ids)
        self.mark_NK[ids] = self.robot.task.mark(self)[ids]

    def step(self, action_NA: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Act for one step of control; gives reward and whether each has fallen, (N,)."""
        task = self.robot.task
        self._bound("ctrl")[:] = action_NA
        self._batch.step(nstep=self.robot.frame_skip, stage=task.stage)
        self._feel(np.arange(len(self.bodies)))
        told = task.judge(self.model, self.robot.dt, self.mark_NK, self, action_NA)
        self.mark_NK = task.mark(self)
        return told

    def aim(self, row: int, target_3: Array) -> None:
        """Move one robot's target."""
        self.mocap_pos[row, 0] = target_3

    def observe(self) -> Array:
        """Give what each observes now, (N, O)."""
        return self.robot.task.observe(self.model, self)

    def seconds(self) -> Array:
        """Give the seconds since each one's start, (N,)."""
        return self._bound("time").copy()

    def states(self) -> Array:
        """Give each one's whole state and mark, (N, S + K)."""
        return np.concatenate([self._batch.state, self.mark_NK], axis=1)

    def put(self, states: Array) -> None:
        """Put back what `states` gave."""
        size = self._batch.state.shape[1]
        self._batch.state[:] = states[:, :size]
        self._refresh(np.arange(len(self.bodies)))
        self.mark_NK = states[:, size:].copy()

    def _bound(self, name: str) -> Array:
        field: Array = self._batch.bind(name)
        return field

    def _begin(self) -> Any:
        shapes = {shape(body) for body in self.bodies}
        self._shape = shapes.pop() if len(shapes) == 1 else None
        first = self._models[0] if self._shape is None else self.robot.model(self._shape)
        forces = self.robot.task.forces
        self._batch = Batch(first, len(self.bodies), self._threads, persistent=forces)
        self._scratch = mujoco.MjData(first)
        for name in self.robot.task.reads:
            self._batch.bind(name)
        self._plain = {name: getattr(first, name) for name in EDITED}
        self._rows: dict[str, Any] = {}
        if self._shape is None:
            self._batch.set_models(self._models)
        else:
            self._write(range(len(self.bodies)))
        return self._batch

    def _write(self, rows: Sequence[int]) -> None:
        """Write what differs from the shared model into the robots' rows."""
        for row in rows:
            for name, plain in self._plain.items():
                own = getattr(self._models[row], name)
                if name not in self._rows and np.array_equal(own, plain):
                    continue
                self._rows.setdefault(name, self._batch.expand(name))[row] = own

    def _feel(self, ids: NDArray[np.integer]) -> None:
        """Compute contact forces as Gymnasium does: from what the last part of a step left."""
        if not self.robot.task.forces:
            return
        for row in ids:
            self._batch.get_data(int(row), self._scratch)
            mujoco.mj_rnePostConstraint(self._models[row], self._scratch)
            self._forces_NB6[row] = self._scratch.cfrc_ext

    def _refresh(self, ids: NDArray[np.integer]) -> None:
        """Compute the places of all parts anew, after a state or a body was changed."""
        if self.robot.task.reads:
            self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_POS.value)
        self.mark_NK[ids] = self.robot.task.mark(self)[ids]
