"""Robots whose bodies change once, under any controller, and how each fared around the change.

What reaches for goals is judged by centimetres from the target, in the second half of each
target's time; what runs is judged by its reward a step.

Shapes: T steps, N robots, O observations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agent.control.controller import Controller
from agent.learners.base import State
from agent.robot import train_cheetah
from agent.robot.controllers import RobotSpec, default_for, drivers, find
from agent.robot.reaching import REACHING
from agent.robot.runner import RUNNERS
from agent.robot.trained import UntrainedError
from benchmarks.robots import arm_rows, others
from benchmarks.robots import ways as cheetah
from benchmarks.robots.rivals import Told
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS, Robot

Floats = NDArray[np.float64]
TARGET = 50  # steps that a target stays
BEFORE, AFTER = 2 * TARGET, 4 * TARGET  # steps of what reaches
FIRST, SETTLED, UNTIL = 5.0, 2.5, 7.5  # seconds of what runs: before; from and until, after
DEAF = ("hold", "random")  # they learn nothing
DEFAULT, TOLD, PLAIN = "default", "told the truth", "robust or static"


@dataclass(frozen=True, slots=True)
class Way:
    """How robots are driven.

    Args:
        controller: what drives.
        inform: given the controller's state and the true bodies, gives the state that knows them.
    """

    controller: Controller
    inform: Callable[[State, Sequence[Body]], State] | None = None


@dataclass(frozen=True, slots=True)
class Lived:
    """What happened.

    Args:
        score_TN: of each step: centimetres from the target, or reward.
        told_TN: whether a change was told of.
    """

    score_TN: Floats
    told_TN: NDArray[np.bool_]


def learned() -> list[str]:
    """Name the robots whose default controller was learned; where weights are missing, say so."""
    found = []
    for robot in ROBOTS:
        name = default_for(robot)
        if name in DEAF:
            continue
        try:
            made(robot, name)
        except UntrainedError as error:
            print(f"{name} is left out: {error}")
        else:
            found.append(robot)
    return found


def ways(robot: str) -> Mapping[str, Callable[[int], Way]]:
    """Give what is compared, each made from a seed, as far as there is such a one here."""
    found = {DEFAULT: _always(robot, default_for(robot))}
    if robot == arm_rows.ROBOT:
        found[TOLD] = _told_window
    if robot == train_cheetah.ROBOT:
        found[TOLD] = lambda _: knowing(cheetah.told(specialists=True), ROBOTS[robot])
    if robot in RUNNERS:
        make = others.ways(RUNNERS[robot])[TOLD]
        found[TOLD] = lambda _: knowing(make(), ROBOTS[robot])
    plain = [name for name in drivers(robot) if name.endswith(("/robust", "/static"))]
    if plain:
        found[PLAIN] = _always(robot, plain[0])
    return found


def _always(robot: str, name: str) -> Callable[[int], Way]:
    return lambda _: Way(made(robot, name))


def _told_window(seed: int) -> Way:
    told = arm_rows.told(seed)
    return Way(told.controller, told.inform)


def made(robot: str, name: str) -> Controller:
    """Make a registered controller for a robot."""
    of = ROBOTS[robot]
    return find(name)(RobotSpec(robot, of.observations, of.actions, of.dt))


def knowing(controller: Controller, robot: Robot) -> Way:
    """Tell a controller the true gains; those of motors that are gone are 0."""
    assert isinstance(controller, Told)  # noqa: S101 - so it was made

    def inform(state: State, bodies: Sequence[Body]) -> State:
        return controller.inform(state, torch.tensor([felt(robot, body) for body in bodies]))

    return Way(controller, inform)


def felt(robot: Robot, body: Body) -> list[float]:
    """Give a body's gains; 0 where the motor went with its limb."""
    model = robot.model(body)
    there = {model.actuator(row).name for row in range(model.nu)}
    return [body.factor("gear", name) if name in there else 0.0 for name in robot.actuators]


def spans(robot: Robot) -> tuple[int, int]:
    """Give the steps before the change, and after it."""
    if robot.name in REACHING:
        return BEFORE, AFTER
    return round(FIRST / robot.dt), round(UNTIL / robot.dt)


def live(robot: Robot, way: Way, bodies: Sequence[Body], seed: int) -> Lived:
    """Let robots run intact and then, unannounced, with these bodies; one body a robot."""
    torch.set_num_threads(1)
    (before, after), controller = spans(robot), way.controller
    fleet = Fleet(robot, [Body()] * len(bodies), seed=seed)
    state, draw = controller.begin(len(bodies)), torch.Generator().manual_seed(seed)
    obs_NO, score, told = torch.from_numpy(fleet.reset()), list[Floats](), list[list[bool]]()
    for step in range(before + after):
        if step in {0, before}:
            now = bodies if step else [Body()] * len(bodies)
            fleet.embody(range(len(now)), now)
            state = way.inform(state, now) if way.inform else state
        state, action_NA = controller.act(state, obs_NO, draw)
        seen_NO, reward_N, down_N = fleet.step(action_NA.numpy())
        next_NO = torch.from_numpy(seen_NO)
        state, noticed = controller.learn(state, obs_NO, action_NA, next_NO)
        told.append([bool(kind) for kind in noticed.change])
        score.append(scored(robot, seen_NO, reward_N))
        fresh_N = ended(robot, step + 1, down_N)
        if fresh_N.any():
            state = controller.reset(state, torch.from_numpy(fresh_N))
            next_NO = torch.from_numpy(fleet.reset(np.flatnonzero(fresh_N)))
        obs_NO = next_NO
    return Lived(np.stack(score), np.array(told))


def ended(robot: Robot, step: int, down_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell who begins anew: those that fell, where a fall ends an episode; or whose time is up."""
    once = robot.name in REACHING and not robot.task.period
    if once and step % TARGET == 0:
        return np.ones_like(down_N)
    return down_N & robot.falls


def scored(robot: Robot, obs_NO: NDArray[np.float32], reward_N: NDArray[np.float32]) -> Floats:
    """Give the centimetres from the target, or the reward."""
    if robot.name not in REACHING:
        return reward_N.astype(np.float64)
    if robot.task.period:  # the observation may tell of the next target already
        return -100 * reward_N.astype(np.float64)
    offset = list(REACHING[robot.name].objective.point)
    far_N: Floats = 100 * np.linalg.norm(obs_NO[:, offset].astype(np.float64), axis=1)
    return far_N


def around(robot: Robot, score_TN: Floats) -> dict[str, Floats]:
    """Give each robot's mean after the change, by name of the window: what reaches has two."""
    before, _ = spans(robot)
    after_TN = score_TN[before:]
    if robot.name not in REACHING:
        window = slice(round(SETTLED / robot.dt), round(UNTIL / robot.dt))
        return {f"{SETTLED} to {UNTIL} s": after_TN[window].mean(0)}
    half_KN = after_TN.reshape(-1, TARGET, after_TN.shape[1])[:, TARGET // 2 :].mean(1)
    ends_K = np.arange(1, len(half_KN) + 1) * TARGET * robot.dt
    soon_K = (ends_K - TARGET * robot.dt / 2 >= 1 - 1e-9) & (ends_K <= 2 + 1e-9)
    return {"1 to 2 s": half_KN[soon_K].mean(0), "later": half_KN[ends_K > 2 + 1e-9].mean(0)}
