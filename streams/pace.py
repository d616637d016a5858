"""Replays event time at a speed."""

from collections.abc import Callable


class Pace:
    """Holds records back until their event time, counted from the first one, has come.

    Args:
        speed: seconds of event time a second of the clock.
        clock: seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self, speed: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._speed, self._clock, self._sleep = speed, clock, sleep
        self._shift: float | None = None  # clock minus scaled event time, once a record was due

    def restart(self) -> None:
        """Count from the next record on."""
        self._shift = None

    def due(self, time: float, wait: float) -> bool:
        """Say whether a record of that event time is due, after at most `wait` seconds' sleep."""
        if self._shift is None:
            self._shift = self._clock() - time / self._speed
        left = self._shift + time / self._speed - self._clock()
        if left <= 0.0:
            return True
        if wait > 0.0:
            self._sleep(min(wait, left))
        return left <= wait
