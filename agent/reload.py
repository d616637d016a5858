"""Settings that may change while the daemon runs: read again when asked, the old ones on error.

A signal handler only notes that it was asked (`Reload.ask`); the loop takes the new settings where
it stands still (`Reload.take`). What cannot change without a restart stays as it was and is named.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import structlog
from typing_extensions import override

from agent.faults import SettingsError
from agent.settings import Json, Settings, flat

log = structlog.get_logger(__name__)

LIVE: Final = (
    "service.commit_seconds",
    "service.log_level",
    "service.max_batch",
    "service.poll_wait",
    "checkpoint.every_records",
    "checkpoint.every_seconds",
)
"""Settings that a running daemon takes up. They change how the loop runs, never what is learned or
answered, so a replay that sees the change elsewhere in the stream still gives the same bits."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that differs: its path, its value so far and the new one; None where absent."""

    path: str
    before: Json
    after: Json

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} -> {self.after!r}"


@dataclass(frozen=True, slots=True)
class Compared:
    """Settings held against those that run.

    Args:
        settings: those that run, with what may change live taken from the new ones.
        live: what changes so.
        restart: what differs, and stays as it was until a restart.
    """

    settings: Settings
    live: tuple[Change, ...]
    restart: tuple[Change, ...]


def compare(running: Settings, new: Settings) -> Compared:
    """Say what differs, and what of it can be taken up now.

    >>> from agent.service.settings import ServiceSettings
    >>> new = Settings(service=ServiceSettings(max_batch=64, threads=2))
    >>> found = compare(Settings(), new)
    >>> [str(one) for one in found.live], [str(one) for one in found.restart]
    (['service.max_batch: 1024 -> 64'], ['service.threads: 1 -> 2'])
    >>> found.settings.service.max_batch, found.settings.service.threads
    (64, 1)
    """
    then, now = flat(running), flat(new)
    changes = [
        Change(path, then.get(path), now.get(path))
        for path in sorted(then.keys() | now.keys())
        if then.get(path) != now.get(path)
    ]
    live = tuple(change for change in changes if change.path in LIVE)
    restart = tuple(change for change in changes if change.path not in LIVE)
    return Compared(_taken(running, new, live), live, restart)


def _taken(running: Settings, new: Settings, live: tuple[Change, ...]) -> Settings:
    sections: dict[str, dict[str, Any]] = {}
    for change in live:
        section, name = change.path.split(".")
        sections.setdefault(section, {})[name] = getattr(getattr(new, section), name)
    changed: dict[str, Any] = {
        section: dataclasses.replace(getattr(running, section), **values)
        for section, values in sections.items()
    }
    return dataclasses.replace(running, **changed)


class Reload:
    """Reads the settings again when a signal asks for it.

    Args:
        again: reads them as the start did: the same file, environment and flags.
        running: those that run.
    """

    def __init__(self, again: Callable[[], Settings], running: Settings) -> None:
        self._again, self._running = again, running
        self._asked = False

    def ask(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Note that someone asks; a signal handler, which does nothing else."""
        del number, frame
        self._asked = True

    def take(self) -> Settings | None:
        """Give the settings to go on with, if some that may change live did; else None.

        Every fault of settings that cannot be used is logged, and the old ones stay.
        """
        if not self._asked:
            return None
        self._asked = False
        try:
            found = compare(self._running, self._again())
        except SettingsError as error:
            for fault in error.faults:
                log.error("settings not taken up, the old ones stay", fault=fault.line())
            return None
        except (OSError, ValueError) as error:
            log.error("settings not taken up, the old ones stay", fault=str(error))
            return None
        for change in found.restart:
            log.warning("needs a restart", setting=change.path, **_values(change))
        for change in found.live:
            log.info("setting taken up", setting=change.path, **_values(change))
        if not (found.live or found.restart):
            log.info("settings read again, nothing has changed")
        if not found.live:
            return None
        self._running = found.settings
        return found.settings


def _values(change: Change) -> dict[str, Json]:
    return {"before": change.before, "after": change.after}
