"""Where records come from and where answers go, with the guarantees that the daemon leans on."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from streams.records import Prediction, Record, Refused

Position: TypeAlias = Mapping[str, int]
"""Where a source stands: the next record to give, by part ("events[0]" → 4711). JSON-safe."""


class SourceError(Exception):
    """A source or sink cannot go on by itself; the message says where and what to do."""


class Source(Protocol):
    """Gives records in order.

    Guarantees: records of one part come in their order, each once between two `seek`s. After
    `seek(position())` a *replayable* source gives the very same records in the very same order
    (files, worlds, a topic whose labels ride); others give each part's records in order, but may
    interleave parts differently (two topics).
    """

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records, waiting at most `wait` seconds for the first; maybe none."""
        ...

    def position(self) -> Position:
        """Say where it stands: just after the last record that `poll` gave."""
        ...

    def seek(self, position: Position) -> None:
        """Go on from there; parts that `position` does not name start as they would anew."""
        ...

    def commit(self, position: Position) -> None:
        """Take note that a durable checkpoint covers everything before `position`."""
        ...

    def assigned(self) -> bool:
        """True once it has something to read from; a consumer group may take a while."""
        ...

    def ended(self) -> bool:
        """True when no record will ever come again (a file read to its end)."""
        ...

    def in_touch(self) -> float:
        """Seconds since the source last heard from what it reads; 0 for local files."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Records known to wait, by part; empty where that is not known."""
        ...

    def close(self) -> None:
        """Free what is held; safe to call twice; never raises because of a lost broker."""
        ...


class Sink(Protocol):
    """Takes answers and refusals.

    Guarantee: when `flush` returns, all that was given before is durable where the sink writes;
    if it cannot be, `flush` raises `SourceError`, and the daemon goes back to its last checkpoint.
    """

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Take these answers, in order."""
        ...

    def refused(self, refused: Sequence[Refused]) -> None:
        """Take these dead letters, with their reason and their original bytes."""
        ...

    def flush(self) -> None:
        """Wait until all is durable."""
        ...

    def position(self) -> Position:
        """Say where it stands, all included that was given; empty if it cannot go back."""
        ...

    def seek(self, position: Position) -> None:
        """Take back what was given after that position; a sink that cannot go back does nothing.

        What `position` does not name stays. After a crash an answer may then come twice only from
        a sink whose `position` is empty.
        """
        ...

    def in_touch(self) -> float:
        """Seconds since the sink last heard from what it writes to; 0 for local files."""
        ...

    def close(self) -> None:
        """Flush what can be flushed and free what is held; safe to call twice."""
        ...
