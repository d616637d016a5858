"""Answers robots elsewhere: observations from one Kafka topic, actions to another."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import structlog
import torch

import agent
from agent.robot import plot
from agent.robot.controllers import RobotSpec
from agent.robot.far import Answer, Desk, Fresh, Lesson
from agent.robot.gym_world import DT, GymWorld
from agent.robot.keeper import Keeper
from agent.robot.opened import driver, robot_of
from agent.robot.settings import RobotSettings
from agent.robot.status import Ran
from agent.robot.terminal import RobotTable
from agent.robot.turn import Spent, Turn, Watcher
from agent.robot.watched import Watched
from agent.service.clocks import Clocks
from agent.service.logs import configure
from agent.service.snapshot import CheckpointError
from agent.stopping import asked_to_stop
from streams.kafka.duplex import Duplex
from streams.source import SourceError

STOPPED: Final = 1
SILENCE, WAIT, ACK = 6.0, 0.05, 1.0  # seconds

log = structlog.get_logger(__name__)


def serve_robots(settings: RobotSettings, clocks: Clocks | None = None) -> int:
    """Answer until SIGTERM or SIGINT asks to stop, or so many `steps` were answered.

    Returns:
        The exit code: 0 after an ordered end; 1 when it could not go on.

    Raises:
        SettingsError: it cannot begin, with every fault.
        SourceError: the brokers or topics are not there.
        WorldError: the environment whose robot it is to be cannot be used.
        CheckpointError: there is a checkpoint that cannot be used.
        PortError: the page's port cannot be had.
        UntrainedError: weights that the controller needs are missing.
    """
    clocks = clocks or Clocks()
    configure(clocks.wall, settings.log_level)
    torch.set_num_threads(settings.threads)
    with asked_to_stop() as asked, ExitStack() as stack:
        serving = _start(settings, clocks, stack)
        try:
            while not asked() and not (settings.steps and serving.desk.steps >= settings.steps):
                serving.turn()
            serving.finish()
        except (SourceError, CheckpointError, OSError) as error:
            log.error("stopped", why=str(error))
            return STOPPED
    return 0


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts, opened and restored."""

    spec: RobotSpec
    desk: Desk
    duplex: Duplex
    keeper: Keeper | None
    watched: Watched
    watchers: Sequence[Watcher]

    def turn(self) -> None:
        """Take what has arrived, learn, answer, and tell how it went."""
        now, wall = self.watched.clocks.now, self.watched.clocks.wall
        arrived = self.duplex.poll(WAIT)
        begun = now()
        lessons, fresh = self.desk.take(arrived, wall())
        learned = now()
        if fresh:
            answers = self.desk.act(fresh, lessons, wall())
            planned = now()
            self._send(answers)
            spent = Spent(planned - learned, learned - begun, self._round_trip(fresh))
            self._tell(answers, lessons, spent)
        self.watched.health.progress(now())

    def _send(self, answers: Sequence[Answer]) -> None:
        for one in answers:
            self.duplex.send(one.robot.encode(), msgspec.json.encode(one))
        self.duplex.settle(ACK)

    def _round_trip(self, fresh: Sequence[Fresh]) -> float:
        """Give the seconds from the oldest observation until its action is with the broker."""
        return max(0.0, self.watched.clocks.wall() - min(one.time for one in fresh))

    def _tell(self, answers: Sequence[Answer], lessons: Sequence[Lesson], spent: Spent) -> None:
        rewards = [reward for lesson in lessons for reward in lesson.reward]
        noticed = [lesson.noticed for lesson in lessons]
        turn = Turn(
            step=self.desk.steps,
            now=self.watched.clocks.now(),
            wall=self.watched.clocks.wall(),
            reward_N=np.array(rewards or [0.0], np.float32),
            surprise_N=np.array([one.surprise for one in answers], np.float32),
            change=[kind for one in noticed for kind in one.change] or [""],
            body_N=np.array([int(one.body_N[0]) for one in noticed] or [-1]),
            bodies=[count for one in noticed for count in one.bodies] or [0],
            belief=[belief for one in noticed for belief in one.belief],
            truth=[""],
            altered=False,
            fallen_N=np.zeros(1, bool),
            spent=spent,
        )
        if self.keeper is not None:
            turn = self.keeper.told(turn)
        for watch in self.watchers:
            watch(turn)
        if self.keeper is not None and self.keeper.due(turn):
            self.keeper.take(self.desk, self.watched.diary, _nothing)

    def finish(self) -> None:
        """Make the last state durable, draw the picture, and say what came of it."""
        self.watched.health.drain()
        if self.keeper is not None:
            self.keeper.finish(self.desk, self.watched.diary, _nothing)
        if (path := self.watched.settings.out.plot) is not None:
            plot.draw(self.watched.diary, path, self.spec.dt, "robots elsewhere")
        dropped = {reason: count for reason, count in self.desk.dropped.items() if count}
        log.info("left", answered=self.desk.steps, dropped=dropped, lost=self.duplex.lost)


def _nothing() -> None:
    """Nothing is held back."""


def spec_of(settings: RobotSettings) -> RobotSpec:
    """Give what is driven: as the settings say, else as the environment does.

    Raises:
        WorldError: the environment cannot be used.
    """
    far, robot = settings.far, robot_of(settings.env)
    if far.observations and far.actions:
        dt = settings.dt or (robot.dt if robot is not None else DT)
        name = robot.name if robot is not None else settings.env
        return RobotSpec(name, far.observations, far.actions, dt)
    if robot is not None:
        return RobotSpec(robot.name, robot.observations, robot.actions, settings.dt or robot.dt)
    with closing(GymWorld(settings.env, 1, settings.seed, settings.dt)) as world:
        return world.spec


def _start(settings: RobotSettings, clocks: Clocks, stack: ExitStack) -> Serving:
    """Open everything and go back to the last checkpoint."""
    spec = spec_of(settings)
    entry, options = driver(settings, spec)
    far = settings.far
    stale = far.stale_steps * spec.dt
    desk = Desk(entry(spec, options), spec, settings.robots, stale, settings.seed)
    source = f"Kafka topic {far.kafka.events}"
    ran = Ran(
        agent.__version__, source, "", entry.name, settings.robots, spec.dt, settings.steps or 0,
        settings.seed,
    )  # fmt: skip
    sink = f"topic {far.kafka.predictions}"
    watched = Watched.begin(settings, clocks, stack, ran, sink, desk.dropped)
    same: dict[str, str | int | float | bool | None] = {
        "controller": entry.name, "options": str(options), "robots": settings.robots,
        "observations": spec.observations, "actions": spec.actions,
    }  # fmt: skip
    keeper = watched.kept(same, desk, stack)
    duplex = stack.enter_context(closing(Duplex(far.kafka, clocks.now)))
    watched.health.touch("broker", duplex.in_touch, SILENCE)
    watched.health.mark("restored")
    table = RobotTable(watched.tally, f"adaptd · {source}", watched.page)
    log.info("answering", observations=far.kafka.events, actions=far.kafka.predictions, stale=stale)
    watchers: tuple[Watcher, ...] = (*watched.watchers, stack.enter_context(table))
    return Serving(spec, desk, duplex, keeper, watched, watchers)
