"""Puts a run of robots together from its settings, and runs it."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

import structlog
import torch
from rich.console import Console

import agent
from agent.robot import plot, summary
from agent.robot.film_log import FilmLog
from agent.robot.keeper import Keeper
from agent.robot.life_log import BoardLog, CsvLog
from agent.robot.loop import Loop
from agent.robot.opened import Opened, driver, fingerprint, open_world
from agent.robot.settings import RobotSettings
from agent.robot.status import Ran
from agent.robot.terminal import RobotTable
from agent.robot.trained import UntrainedError, noting
from agent.robot.turn import Turn, Watcher
from agent.robot.watched import Watched
from agent.robot.world import WorldError
from agent.service.clocks import Clocks
from agent.service.logs import configure
from agent.service.snapshot import CheckpointError
from agent.stopping import asked_to_stop

STOPPED, WRONG = 1, 2

log = structlog.get_logger(__name__)


def run_robots(settings: RobotSettings, console: Console, clocks: Clocks | None = None) -> int:
    """Run a life until it is over, or SIGTERM or SIGINT asks to stop.

    Args:
        settings: everything that can be set.
        console: where the summary goes.
        clocks: time.

    Returns:
        The exit code: 0 after an ordered end; 1 when it could not go on, or its last state could
        not be made durable.

    Raises:
        SettingsError: it cannot begin, with every fault.
        WorldError: the environment cannot be used.
        CheckpointError: there is a checkpoint that cannot be used.
        PortError: the page's port cannot be had.
        UntrainedError: weights that the controller needs are missing.
    """
    clocks = clocks or Clocks()
    configure(clocks.wall, settings.log_level)
    torch.set_num_threads(settings.threads)
    with asked_to_stop() as asked, ExitStack() as stack:
        running = _start(settings, clocks, stack)
        try:
            running.live(asked)
        except WorldError as error:
            log.error("stopped", why=str(error))
            return STOPPED
        finally:
            running.close()
        try:
            running.finish(console)
        except (CheckpointError, OSError) as error:
            log.error("stopped", why=str(error))
            return STOPPED
        running.linger(asked)
    return 0


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a run, opened and restored."""

    opened: Opened
    loop: Loop
    keeper: Keeper | None
    watched: Watched
    watchers: tuple[Watcher, ...]
    csv: CsvLog | None
    ends: ExitStack
    title: str

    def live(self, asked: Callable[[], bool]) -> None:
        """Step until the life is over or it is time to stop."""
        dt, began = self.opened.world.spec.dt, self.watched.clocks.now()
        first = self.loop.state.step
        while not asked() and (not self.opened.steps or self.loop.state.step < self.opened.steps):
            turn = self.loop.turn()
            if self.keeper is not None:
                turn = self.keeper.told(turn)
            for watch in self.watchers:
                watch(turn)
            self.watched.health.progress(turn.now)
            if self.keeper is not None and self.keeper.due(turn):
                self.keeper.take(self.loop, self.watched.diary, self.flush)
            if self.watched.settings.real_time:
                ahead = (turn.step - first) * dt - (self.watched.clocks.now() - began)
                self.watched.clocks.sleep(max(0.0, ahead))

    def flush(self) -> None:
        """Hand over what logs hold back."""
        if self.csv is not None:
            self.csv.flush()

    def close(self) -> None:
        """Stop drawing and close the logs."""
        self.watched.health.drain()
        self.ends.close()

    def finish(self, console: Console) -> None:
        """Make the last state durable, draw the picture, and say what came of it."""
        if self.keeper is not None:
            self.keeper.finish(self.loop, self.watched.diary, lambda: None)
        dt = self.opened.world.spec.dt
        if self.watched.settings.out.plot is not None:
            plot.draw(self.watched.diary, self.watched.settings.out.plot, dt, self.title)
        if len(self.watched.diary):
            summary.tell(self.watched.diary, dt, console)
        self.watched.health.end()
        log.info("left", step=self.loop.state.step)

    def linger(self, asked: Callable[[], bool]) -> None:
        """Serve the page on, where wished."""
        if self.watched.settings.stay and not asked():
            log.info(
                "the life is over; serving its page until asked to stop", page=self.watched.page
            )
            while not asked():
                self.watched.clocks.sleep(0.2)


def _start(settings: RobotSettings, clocks: Clocks, stack: ExitStack) -> Running:
    """Open everything and go back to the last checkpoint."""
    opened = open_world(settings)
    spec = opened.world.spec
    stack.enter_context(closing(opened.world))
    entry, options = driver(settings, spec)
    try:
        with noting() as weights:
            loop = Loop(opened.world, entry(spec, options), settings.seed, clocks)
    except UntrainedError as error:
        raise UntrainedError(f"{entry.name}: {error}") from error
    ran = Ran(
        agent.__version__, settings.env, opened.life, entry.name, settings.robots, spec.dt,
        opened.steps, settings.seed,
    )  # fmt: skip
    watched = Watched.begin(settings, clocks, stack, ran, entry.name)
    same = fingerprint(settings, opened, entry.name, options, weights)
    keeper = watched.kept(same, loop, stack)
    watched.health.mark("restored")
    title = " · ".join(filter(None, (settings.env, entry.name, opened.life)))[:150]
    ends = stack.enter_context(ExitStack())
    csv, logs = _logs(settings, opened, loop.state.step, ends)
    table = RobotTable(watched.tally, title[:100], watched.page, opened.steps)
    watchers: tuple[Watcher, ...] = (*watched.watchers, *logs, ends.enter_context(table))
    return Running(opened, loop, keeper, watched, watchers, csv, ends, title)


def _logs(
    settings: RobotSettings, opened: Opened, since: int, ends: ExitStack
) -> tuple[CsvLog | None, list[Watcher]]:
    """Open the files that steps are written to; `ends` closes them."""
    out, found, csv = settings.out, list[Callable[[Turn], None]](), None
    try:
        if out.csv is not None:
            csv = ends.enter_context(closing(CsvLog(out.csv, opened.world.spec.dt, since)))
            found.append(csv)
        if out.tensorboard is not None:
            found.append(ends.enter_context(closing(BoardLog(out.tensorboard, since))))
        if out.video is not None:
            film = FilmLog(out.video, opened.robot, opened.world, since)
            found.append(ends.enter_context(closing(film)))
    except OSError as error:
        raise WorldError(f"{error.filename}: {error.strerror}; give another place") from error
    return csv, found
