"""Holds riding labels back, so that a stream with its truth inside is met as it is in life."""

from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from streams.records import Event, Label, Record, Truth
from streams.source import Position, Source, SourceError


class Delayed:
    """A source whose riding labels come later, as `Label` records of their own.

    By `events`: right after that many later events (0: right after its own), and known at the time
    of the last of them. By `seconds`: known that long after its event, and before the first event
    of a later time. When the inner source ends, the labels that are left come, soonest due first.

    The position counts records given, in the part "delayed": `seek` reads the inner source, which
    must be replayable, from its start. The order of records does not depend on how it was polled.

    Args:
        source: what is read.
        events: labels wait for so many later events.
        seconds: labels wait for so many seconds of event time; one of the two must be given.
    """

    def __init__(
        self, source: Source, events: int | None = None, seconds: float | None = None
    ) -> None:
        if (events is None) == (seconds is None):
            raise ValueError(f"events is {events}, seconds is {seconds}; give one of the two")
        if (events or 0) < 0 or not (seconds or 0.0) >= 0.0:
            raise ValueError(f"events is {events}, seconds is {seconds}; take 0 or more")
        self._source = source
        self._events, self._seconds = events, seconds
        self._begin()

    def _begin(self) -> None:
        self._ready: deque[Record] = deque()
        self._held: list[tuple[float, int, str, Truth]] = []  # due, place, id, truth
        self._met = 0  # events
        self._time = 0.0  # of the last of them
        self._given = 0

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records."""
        if len(self._ready) < most:
            self._fill(most - len(self._ready), 0.0 if self._ready else wait)
        records = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        self._given += len(records)
        return records

    def _fill(self, most: int, wait: float) -> None:
        records = self._source.poll(most, wait)
        for record in records:
            if isinstance(record, Event):
                self._meet(record)
            else:
                self._ready.append(record)
        if not records and self._source.ended():
            self._release(float("inf"))

    def _meet(self, event: Event) -> None:
        if self._seconds is not None:
            self._release_before(event.time)
        self._ready.append(Event(event.id, event.key, event.time, event.values))
        self._met += 1
        self._time = event.time
        if event.label is not None:
            due = self._met + self._events if self._events is not None else event.time
            heappush(self._held, (due + (self._seconds or 0.0), self._met, event.id, event.label))
        if self._events is not None:
            self._release(self._met)

    def _release_before(self, time: float) -> None:
        while self._held and self._held[0][0] < time:
            self._give()

    def _release(self, due: float) -> None:
        while self._held and self._held[0][0] <= due:
            self._give()

    def _give(self) -> None:
        due, _, name, truth = heappop(self._held)
        self._ready.append(Label(name, self._time if self._seconds is None else due, truth))

    def position(self) -> Position:
        """Say how many records were given."""
        return {"delayed": self._given}

    def seek(self, position: Position) -> None:
        """Go on after so many records; reads the inner source from its start up to there."""
        self._source.seek({})
        self._begin()
        left = position.get("delayed", 0)
        while left:
            records = self.poll(min(left, 1024), 0.0) or self.poll(min(left, 1024), 1.0)
            if not records:
                raise SourceError(
                    f"the source ends {left} records before the checkpoint; "
                    "it is not the one that the checkpoint was made on, or not replayable"
                )
            left -= len(records)

    def commit(self, position: Position) -> None:
        """Do nothing: the inner source is read from its start again."""

    def assigned(self) -> bool:
        """As the source inside."""
        return self._source.assigned()

    def ended(self) -> bool:
        """Say whether the inner source has ended and every label was given."""
        return not self._ready and not self._held and self._source.ended()

    def in_touch(self) -> float:
        """Seconds since the inner source last heard from what it reads."""
        return self._source.in_touch()

    def lag(self) -> Mapping[str, int] | None:
        """Records known to wait in the inner source."""
        return self._source.lag()

    def close(self) -> None:
        """Close the inner source."""
        self._source.close()
