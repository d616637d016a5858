"""The card world as a source: purchases as they happen, labels when they become known."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from streams.records import Event, Label, Record
from streams.schema import Kind, Schema
from streams.source import Position, SourceError
from streams.worlds.fraud.book import EPOCH, Book
from streams.worlds.fraud.people import People
from streams.worlds.fraud.settings import FraudSettings, Task

FIELDS: dict[str, Kind] = {
    "time": "time",
    "amount": "numeric",
    "distance_km": "numeric",
    "card_seconds_since": "numeric",
    "card_count_1d": "numeric",
    "card_count_7d": "numeric",
    "card_mean_1d": "numeric",
    "card_mean_7d": "numeric",
    "terminal_count_1d": "numeric",
    "terminal_count_7d": "numeric",
    "terminal_fraud_share": "numeric",
    "channel": "categorical",
    "category": "categorical",
}
SECONDS_A_DAY = 86_400.0


class FraudWorld:
    """A replayable source whose tasks are known; position: the day, and the record within it.

    `seek` makes the day anew from at most `give_up_days` + 15 days before it, wherever it is: a
    few milliseconds for each of these days. Memory holds that many days of purchases.
    """

    def __init__(
        self,
        settings: FraudSettings,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._clock, self._sleep = settings, clock, sleep
        self._people = People.draw(settings)
        self._last = None if settings.days is None else settings.days + settings.give_up_days
        self._start: tuple[float, float] | None = None  # on the clock, and in event time
        self._records: Sequence[Event | Label] = []
        self._at = 0
        self.seek({})

    @staticmethod
    def schema() -> Schema:
        """Say what its records hold: labels come on their own, "fraud" or "genuine"."""
        return Schema(
            fields=dict(FIELDS),
            classes=("genuine", "fraud"),
            target="truth",
            id="id",
            key="card",
            time="time",
        )

    def tasks_at(self, seconds: float) -> frozenset[Task]:
        """For judges only: the patterns that are active at that event time."""
        day = int((seconds - EPOCH) // SECONDS_A_DAY)
        return frozenset(a.task for a in self._settings.schedule if a.strength(day) > 0)

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records of what is due; flat out, the day's next ones."""
        while self._at == len(self._records) and not self.ended():
            self._turn()
        due = min(self._at + most, len(self._records))
        if self._settings.speed is not None and self._at < due:
            due = min(due, self._due(wait, self._settings.speed))
        given = self._records[self._at : due]
        self._at = due
        return given

    def position(self) -> Position:
        """Say where it stands."""
        return {"day": self._day, "record": self._at}

    def seek(self, position: Position) -> None:
        """Go on from there."""
        day, record = position.get("day", 0), position.get("record", 0)
        if day < 0 or (self._last is not None and day > self._last):
            raise SourceError(f"seek: day {day} is not in this world; was it another's position?")
        self._book = Book(self._people, self._settings, day)
        self._start = None
        self._turn()
        if not 0 <= record <= len(self._records):
            raise SourceError(
                f"seek: day {day} has {len(self._records)} records, none at {record}; the position"
                " is of a world with other settings"
            )
        self._at = record

    def commit(self, position: Position) -> None:
        """Do nothing: a world forgets nothing that it could give again."""

    def assigned(self) -> bool:
        """The world is here."""
        return True

    def ended(self) -> bool:
        """Say whether the last label has come; never, where days are unlimited."""
        return self._day == self._last and self._at == len(self._records)

    def in_touch(self) -> float:
        """Zero: there is no other side."""
        return 0.0

    def lag(self) -> Mapping[str, int]:
        """Nothing waits."""
        return {}

    def close(self) -> None:
        """Let go of the day's records."""
        self._records = []
        self._at = 0

    def _turn(self) -> None:
        self._day = self._book.day
        self._records, self._times = self._book.turn()
        self._at = 0

    def _due(self, wait: float, speed: float) -> int:
        """Say up to which record all is due at this speed, after a nap if none is."""
        following = float(self._times[self._at])
        if self._start is None:
            self._start = (self._clock(), following)
        began, origin = self._start
        short = (following - origin) / speed - (self._clock() - began)
        if short > 0:
            self._sleep(min(wait, short))
        now = origin + (self._clock() - began) * speed
        return max(self._at, int(np.searchsorted(self._times, now, side="right")))
