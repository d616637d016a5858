"""What every run of robots is watched by: tally, diary, metrics, and the page that shows them."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from agent.robot.diary import Diary
from agent.robot.keeper import Fingerprint, Keeper, Kept
from agent.robot.measured import Metrics
from agent.robot.settings import RobotSettings
from agent.robot.status import Ran, Status, routes
from agent.robot.tally import Tally
from agent.robot.turn import Watcher
from agent.service.clocks import Clocks
from agent.service.health import Health
from agent.service.status import About
from agent.service.web import Web

STALE: Final = 60.0  # seconds without a step after which the loop counts as stuck

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts, and the address of the page; tally and metrics are told of every step.

    Args:
        settings: of the run.
        clocks: time.
        health: whether the loop lives.
        tally: told first.
        metrics: told then.
        diary: goes into snapshots.
        page: its address.
    """

    settings: RobotSettings
    clocks: Clocks
    health: Health
    tally: Tally
    metrics: Metrics
    diary: Diary
    page: str

    @classmethod
    def begin(
        cls,
        settings: RobotSettings,
        clocks: Clocks,
        stack: ExitStack,
        ran: Ran,
        sink: str,
        dropped: Mapping[str, int] | None = None,
    ) -> "Watched":
        """Open the port; `stack` closes it.

        Args:
            settings: of the run.
            clocks: time.
            stack: what is open.
            ran: what does not change.
            sink: where actions go, in a few words.
            dropped: counts observations that were not acted upon, by reason.

        Raises:
            PortError: the port cannot be had.
        """
        health, tally = Health(clocks.now, STALE, ("restored",)), Tally(ran.dt)
        about = About(ran.version, ran.env, sink)
        metrics = Metrics(about, tally, health, clocks.wall, settings.robots, dropped)
        status = Status(ran, tally, health, clocks.wall)
        web = stack.enter_context(Web(settings.web, routes(status, health, metrics.text)))
        log.info("serving", page=web.url, metrics=f"{web.url}metrics")
        return cls(settings, clocks, health, tally, metrics, Diary(), web.url)

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Who is told of every step, in this order."""
        return self.tally, self.metrics, self.diary

    def kept(self, same: Fingerprint, what: Kept, stack: ExitStack) -> Keeper | None:
        """Go back to the newest snapshot, and give what takes more; None where none are wished.

        Raises:
            CheckpointError: there is a snapshot that cannot be used.
        """
        if not self.settings.checkpoint.folder:
            return None
        keeper = Keeper(self.settings.checkpoint, same, self.clocks, stack)
        keeper.restore(what, self.diary)
        return keeper
