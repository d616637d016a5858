"""The card world as a live system would send it: labels with their card, and today's times."""

from collections import deque
from collections.abc import Callable

import msgspec

from streams.records import Event, Label, Value
from streams.worlds.fraud.settings import FraudSettings
from streams.worlds.fraud.world import FIELDS, SECONDS_A_DAY

_TIME = tuple(FIELDS).index("time")


class Cards:
    """Knows whose each label is, for as long as its label may still come.

    Memory holds the events of `give_up_days`.
    """

    def __init__(self, settings: FraudSettings) -> None:
        self._keep = (settings.give_up_days + 1) * SECONDS_A_DAY
        self._of: dict[str, str] = {}
        self._order: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        return len(self._of)

    def card(self, record: Event | Label) -> str:
        """Give the record's card, in the order in which the world gives its records."""
        if isinstance(record, Label):
            return self._of.pop(record.id)
        self._of[record.id] = record.key
        self._order.append((record.time, record.id))
        while self._order[0][0] < record.time - self._keep:
            self._of.pop(self._order.popleft()[1], None)
        return record.key


class Today:
    """Gives records today's time, and names that no earlier run has given.

    Args:
        wall: Unix seconds.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._run = f"{round(wall() * 1000):x}"

    def __call__(self, record: Event | Label) -> Event | Label:
        """Give the record as if it happened now."""
        now, name = self._wall(), f"{self._run}-{record.id}"
        if isinstance(record, Label):
            return Label(name, now, record.truth)
        values: list[Value] = list(record.values)
        values[_TIME] = now
        return msgspec.structs.replace(record, id=name, time=now, values=tuple(values))
