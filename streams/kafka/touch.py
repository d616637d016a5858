"""How long ago a broker last answered, by the daemon's own clock."""

from collections.abc import Callable
from typing import Protocol

Clock = Callable[[], float]


class Hears(Protocol):
    """Whatever knows when it last heard something, on a monotonic clock of its own."""

    def heard(self) -> float:
        """Give that time; 0.0 for never."""
        ...


class Touch:
    """Turns "something new was heard" into seconds of `clock`; may be asked from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = 0.0
        self._since = clock()

    def age(self, wire: Hears) -> float:
        """Give the seconds since something new was heard, as far as these calls could see."""
        heard = wire.heard()
        if heard > self._latest:
            self._latest = heard
            self._since = self._clock()
        return max(0.0, self._clock() - self._since)
