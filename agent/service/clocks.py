"""Time, handed in."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time, handed in: monotonic seconds, Unix seconds, and a sleep in seconds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time  # noqa: TID251 - the one place where the clock comes from
    sleep: Callable[[float], None] = time.sleep
