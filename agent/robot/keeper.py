"""Takes snapshots of a life now and then, and goes back to the newest one."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, Protocol

import structlog
from numpy.typing import NDArray
from torch import Tensor

from agent.robot.diary import Diary
from agent.robot.settings import RobotCheckpointSettings
from agent.robot.turn import Turn
from agent.robot.world import Json
from agent.service.checkpoint import CheckpointStore, Saved
from agent.service.clocks import Clocks
from agent.service.lock import locked
from agent.service.report import Checkpoint
from agent.service.snapshot import CheckpointError
from agent.service.writer import Writer

WAIT: Final = 60.0  # seconds that the last snapshot may take
Fingerprint = Mapping[str, str | int | float | bool | None]

log = structlog.get_logger(__name__)


class Kept(Protocol):
    """What is photographed: a loop of control."""

    @property
    def steps(self) -> int:
        """Steps of control so far."""
        ...

    def photograph(self) -> tuple[dict[str, Tensor | NDArray[Any]], Json]:
        """Give all that changes."""
        ...

    def restore(self, arrays: Mapping[str, Tensor | NDArray[Any]], meta: Json) -> bool:
        """Go back; say whether what follows is what followed then."""
        ...


class Keeper:
    """Holds the folder, writes snapshots beside the loop, and tells of the last one.

    Args:
        settings: where and how often; the folder is not empty.
        fingerprint: the settings that must be the same when a life goes on, by path.
        clocks: time.
        stack: closes what is opened.

    Raises:
        CheckpointError: the folder is in use, or cannot be written.
    """

    def __init__(
        self,
        settings: RobotCheckpointSettings,
        fingerprint: Fingerprint,
        clocks: Clocks,
        stack: ExitStack,
    ) -> None:
        self._settings, self._clocks = settings, clocks
        stack.enter_context(locked(settings.folder))
        self._store = CheckpointStore(
            settings.folder, settings.keep, fingerprint, clocks.wall, options=settings.options
        )
        self._writer = stack.enter_context(Writer(clocks.now))
        self._last: Checkpoint | None = None
        self._failures = 0
        self._step, self._time = 0, clocks.now()

    def restore(self, loop: Kept, diary: Diary) -> int:
        """Go back to the newest snapshot.

        Returns:
            The steps that it covers; 0 where there is none.

        Raises:
            CheckpointError: there are some, but none can be used.
        """
        found = self._store.load()
        if found is None:
            return 0
        arrays, meta = found
        if not loop.restore(arrays, meta["loop"]):
            log.warning(
                "the environment cannot go back in its episode; a new one begins, with all that was"
                " learned",
                remedy="give it state() and restore(arrays)",
            )
        diary.restore({"diary": arrays["diary"]}, meta["diary"])  # type: ignore[dict-item]  # it was NumPy's
        self._step = loop.steps
        log.info("resumed", step=self._step, path=self._store.path)
        return self._step

    def told(self, turn: Turn) -> Turn:
        """Put what is known of snapshots into a step's report."""
        while (error := self._writer.failed()) is not None:
            self._failures += 1
            log.error("checkpoint failed", why=str(error))
        return replace(turn, checkpoint=self._last, checkpoint_failures=self._failures)

    def due(self, turn: Turn) -> bool:
        """Say whether it is time for a snapshot."""
        often = self._settings
        return (
            turn.step - self._step >= often.every_steps
            or turn.now - self._time >= often.every_seconds
        )

    def take(self, loop: Kept, diary: Diary, flush: Callable[[], None]) -> None:
        """Photograph the life and have it written.

        Args:
            loop: is photographed.
            diary: goes with it.
            flush: hands logs over first, so that none lacks a step that the snapshot covers.
        """
        flush()
        arrays, meta = loop.photograph()
        rows, names = diary.state()
        wall = self._clocks.wall()

        def done(saved: Saved) -> None:
            self._last = Checkpoint(saved.seconds, saved.bytes, wall)

        try:
            self._writer.submit(
                self._store, {**arrays, **rows}, {"loop": meta, "diary": names}, done
            )
        except CheckpointError as error:
            self._failures += 1
            log.error("checkpoint failed", why=str(error))
        self._step, self._time = loop.steps, self._clocks.now()

    def finish(self, loop: Kept, diary: Diary, flush: Callable[[], None]) -> None:
        """Take the last snapshot and wait for it. Raises `CheckpointError` where it fails."""
        if loop.steps > self._step or self._last is None:
            self.take(loop, diary, flush)
        self._writer.drain(WAIT)
