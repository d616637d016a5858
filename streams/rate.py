"""Lets so many a second through, evenly, and never more at once than a short pause explains."""

from collections.abc import Callable

SHORTEST, LONGEST = 0.001, 0.1  # seconds of one nap: a wish to stop is heard in that time
CREDIT = 1.0  # seconds that may be caught up after a pause


class Rate:
    """A tap.

    Args:
        rate: items a second; 0 for as many as are asked for.
        clock: seconds, never going back.
        sleep: waits that many seconds.
    """

    def __init__(
        self, rate: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        if not 0 <= rate < float("inf"):
            raise ValueError(f"rate is {rate}: give items a second, or 0 for no limit")
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._room, self._seen = 0.0, clock()

    def room(self, most: int) -> int:
        """Say how many may go now, at most `most`; nap a moment before saying none."""
        if self._rate == 0:
            return most
        self._fill()
        if self._room < 1:
            self._sleep(max(SHORTEST, min(LONGEST, (1 - self._room) / self._rate)))
            self._fill()
        return min(most, int(self._room))

    def spend(self, items: int) -> None:
        """Take note that so many went."""
        self._room -= items

    def _fill(self) -> None:
        now = self._clock()
        self._room += (now - self._seen) * self._rate
        self._room = min(self._room, max(1.0, CREDIT * self._rate))
        self._seen = now
