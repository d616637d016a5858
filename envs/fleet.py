"""Many robots at once, one body each; a body may change at any step, and the robot goes on.

Shapes: N robots, O observations and A actions of the intact robot. What a robot has lost with a
limb is observed as 0, and its actions there do nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.body import Body
from envs.carry import carry
from envs.crew import Crew
from envs.pack import BATCHED, Pack
from envs.robots import ROBOTS, Robot
from envs.task import Array
from envs.troop import Troop

Layout = tuple[str, ...]  # the limbs that are gone
Row = tuple[Body, Array]  # a robot's body and whole state


class Fleet:
    """N robots that step at once, without resets of their own.

    Args:
        robot: which one, or its name.
        bodies: one for each robot.
        seed: of starts and targets; each robot has a chance of its own.
        threads: how many step at the same time.
        batched: on `mujoco.batch.Batch` or on Gymnasium's vector environments; None: on the batch
            where this MuJoCo has it.

    Raises:
        ValueError: a body that this robot cannot have, or a robot that is not known.
    """

    def __init__(
        self,
        robot: Robot | str,
        bodies: Sequence[Body],
        seed: int = 0,
        *,
        threads: int = 1,
        batched: bool | None = None,
    ) -> None:
        self.robot = named(robot) if isinstance(robot, str) else robot
        self._seed, self._threads = seed, threads
        self._batched = BATCHED if batched is None else batched
        self._draws_N = np.zeros(len(bodies), dtype=np.int64)
        self._assemble([(body, np.zeros(0)) for body in bodies])
        self._obs_NO = self._observe()

    def __len__(self) -> int:
        return len(self._draws_N)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """Each robot's body."""
        return tuple(body for body, _ in self._rows(states=False))

    def observe(self) -> NDArray[np.float32]:
        """Give what each robot observed last, (N, O)."""
        return self._obs_NO.copy()

    def reset(self, ids: Iterable[int] | None = None) -> NDArray[np.float32]:
        """Begin anew with some robots, None: with all; gives the observations of all, (N, O)."""
        wanted = set(range(len(self)) if ids is None else map(int, ids))
        for layout, crew in self._crews.items():
            members = self._members[layout]
            rows = [row for row, robot in enumerate(members) if int(robot) in wanted]
            starts = [self.robot.task.start(crew.model, self._draw(members[row])) for row in rows]
            if rows:
                crew.place(rows, starts)
        fresh = sorted(wanted)
        self._obs_NO[fresh] = self._observe()[fresh]
        return self.observe()

    def step(
        self, action_NA: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Act for one step of control; actions are cut to [-1, 1], the whole range of each motor.

        Returns:
            Observations (N, O), rewards (N,), and which robots have fallen (N,); where
            `robot.falls`, Gymnasium would end those episodes: reset them.
        """
        actions = np.clip(np.asarray(action_NA, dtype=np.float64), -1.0, 1.0)
        reward_N, fallen_N = np.zeros(len(self)), np.zeros(len(self), dtype=bool)
        for layout, crew in self._crews.items():
            members = self._members[layout]
            middle, half = self._strengths[layout]
            own = middle + half * actions[members][:, self._own_actions[layout]]
            reward_N[members], fallen_N[members] = crew.step(own)
            self._aim(crew, members)
        self._obs_NO = self._observe()
        return self.observe(), reward_N.astype(np.float32), fallen_N

    def embody(self, ids: Iterable[int], bodies: Sequence[Body]) -> None:
        """Give some robots other bodies, here and now: place, speed and clock stay.

        Raises:
            ValueError: a body that this robot cannot have.
        """
        told = dict(zip(map(int, ids), bodies, strict=True))
        for body in told.values():
            self.robot.check(body)
        before = self.bodies
        if any(before[robot].removed != body.removed for robot, body in told.items()):
            self._reassemble(told)
        for layout, crew in self._crews.items():
            rows = [row for row, robot in enumerate(self._members[layout]) if robot in told]
            if rows:
                crew.embody(rows, [told[int(self._members[layout][row])] for row in rows])
        changed = sorted(told)
        self._obs_NO[changed] = self._observe()[changed]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Give all there is, as arrays; `restore` goes on from there bit for bit."""
        rows = self._rows()
        physics = np.zeros((len(rows), max(len(state) for _, state in rows)))
        for robot, (_, state) in enumerate(rows):
            physics[robot, : len(state)] = state
        told = json.dumps([body.to_dict() for body, _ in rows])
        return {
            "physics": physics,
            "draws": self._draws_N.copy(),
            "observations": self.observe(),
            "bodies": np.frombuffer(told.encode(), dtype=np.uint8).copy(),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` gave, with a fleet of the same robot, size and seed.

        Raises:
            ValueError: the state is of another number of robots.
        """
        told = json.loads(np.asarray(state["bodies"], dtype=np.uint8).tobytes())
        bodies = [Body.from_dict(one) for one in told]
        if len(bodies) != len(self):
            raise ValueError(f"a state of {len(bodies)} robots for a fleet of {len(self)}")
        physics = np.asarray(state["physics"], dtype=np.float64)
        self._assemble(list(zip(bodies, physics, strict=True)))
        self._draws_N = np.asarray(state["draws"], dtype=np.int64).copy()
        self._obs_NO = np.asarray(state["observations"], dtype=np.float32).copy()

    def data(self, robot: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Give one robot's model, with textures, and its data: to be rendered, or looked at."""
        body, row = self._rows()[robot]
        model = self.robot.model(body, visual=True)
        data = mujoco.MjData(model)
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        mujoco.mj_setState(model, data, row[:size], mujoco.mjtState.mjSTATE_INTEGRATION.value)
        mujoco.mj_forward(model, data)
        return model, data

    def _assemble(self, rows: Sequence[Row]) -> None:
        """Put robots of one layout together."""
        layouts = sorted({body.removed for body, _ in rows})
        crew_of = Pack if self._batched else Troop
        self._crews: dict[Layout, Crew] = {}
        self._members: dict[Layout, NDArray[np.intp]] = {}
        self._strengths: dict[Layout, tuple[Array, Array]] = {}
        self._own_actions: dict[Layout, list[int]] = {}
        self._own_observations: dict[Layout, list[int]] = {}
        for layout in layouts:
            members = [robot for robot, (body, _) in enumerate(rows) if body.removed == layout]
            crew = crew_of(self.robot, [rows[robot][0] for robot in members], self._threads)
            size = crew.states().shape[1]
            if all(rows[robot][1].size for robot in members):
                crew.put(np.stack([_fitted(rows[robot][1], size) for robot in members]))
            self._crews[layout], self._members[layout] = crew, np.asarray(members)
            self._strengths[layout] = _strengths(crew.model)
            actuators = [crew.model.actuator(row).name for row in range(crew.model.nu)]
            self._own_actions[layout] = [self.robot.actuators.index(name) for name in actuators]
            labels = self.robot.task.labels(crew.model)
            self._own_observations[layout] = [self.robot.labels.index(name) for name in labels]

    def _reassemble(self, told: Mapping[int, Body]) -> None:
        rows = []
        for robot, (body, row) in enumerate(self._rows()):
            if robot in told:
                rows.append((told[robot], self._carried(body, row, told[robot])))
            else:
                rows.append((body, row))
        self._assemble(rows)

    def _carried(self, before: Body, row: Array, after: Body) -> Array:
        old, new = self.robot.model(before), self.robot.model(after)
        size = mujoco.mj_stateSize(old, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        return carry(old, row[:size], new)

    def _rows(self, *, states: bool = True) -> list[Row]:
        rows: list[Row] = [(Body(), np.zeros(0))] * len(self)
        for layout, crew in self._crews.items():
            own = crew.states() if states else np.zeros((len(crew.bodies), 0))
            for robot, body, state in zip(self._members[layout], crew.bodies, own, strict=True):
                rows[robot] = (body, state)
        return rows

    def _observe(self) -> NDArray[np.float32]:
        seen = np.zeros((len(self), self.robot.observations), dtype=np.float32)
        for layout, crew in self._crews.items():
            rows = self._members[layout][:, None]
            seen[rows, self._own_observations[layout]] = crew.observe()
        return seen

    def _aim(self, crew: Crew, members: NDArray[np.intp]) -> None:
        """Draw new targets where it is time."""
        period = self.robot.task.period
        if not period:
            return
        steps = np.rint(crew.seconds() / self.robot.dt).astype(np.int64)
        for row in np.flatnonzero(steps % period == 0):
            crew.aim(int(row), self.robot.task.target(self._draw(members[row])))

    def _draw(self, robot: np.intp) -> np.random.Generator:
        """Give this robot's next chance: a function of seed, robot and how often it drew."""
        self._draws_N[robot] += 1
        counter = [0, int(self._draws_N[robot]), 0, 0]
        key = [self._seed, int(robot)]
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


def named(robot: str) -> Robot:
    """Give a robot by its name.

    Raises:
        ValueError: the unknown name, and the known ones.
    """
    if robot not in ROBOTS:
        raise ValueError(f"no robot {robot!r}; known: {', '.join(ROBOTS)}")
    return ROBOTS[robot]


def _strengths(model: mujoco.MjModel) -> tuple[Array, Array]:
    """Give middle and half width of each motor's controls; -1 to 1 where they have no limits."""
    limited = model.actuator_ctrllimited.astype(bool)[:, None]
    low, high = np.where(limited, model.actuator_ctrlrange, (-1.0, 1.0)).T
    return (low + high) / 2, (high - low) / 2


def _fitted(row: Array, size: int) -> Array:
    fitted = np.zeros(size)
    fitted[: len(row)] = row[:size]
    return fitted
