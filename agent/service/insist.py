"""Trying again what a broker does not do just now."""

from collections.abc import Callable

import structlog

from agent.service.clocks import Clocks
from agent.service.health import Health
from streams.source import FencedError, Shards, SourceError

log = structlog.get_logger(__name__)

FIRST = 0.5  # seconds between the first attempt and the second
LONGEST = 2.0  # seconds between two attempts: a stop waits for it


class Insist:
    """Tries until it succeeds, in touch with the group and alive to probes meanwhile.

    Args:
        health: told of progress.
        source: kept in touch.
        clocks: time.
    """

    def __init__(self, health: Health, source: Shards, clocks: Clocks) -> None:
        self._health, self._source, self._clocks = health, source, clocks

    def __call__(
        self, attempt: Callable[[], None], lack: str, patience: float, stop: Callable[[], bool]
    ) -> bool:
        """Try until it succeeds; once asked to stop, for `patience` seconds more.

        Says whether it did. `lack` is logged each time that it does not.

        Raises:
            FencedError: another process has taken this one's place.
        """
        wait, until = FIRST, None
        while True:
            try:
                attempt()
            except FencedError:
                raise
            except SourceError as error:
                log.error(lack, why=str(error), wait=wait)
            else:
                return True
            if stop():
                self._health.drain()
                until = self._clocks.now() + patience if until is None else until
                if self._clocks.now() >= until:
                    return False
            self._health.progress(self._clocks.now())
            self._source.idle()
            self._clocks.sleep(wait)
            wait = min(2 * wait, LONGEST)
