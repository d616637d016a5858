"""Where records come from and where answers go, with the guarantees that the daemon leans on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from streams.records import Prediction, Record, Refused

Position: TypeAlias = Mapping[str, int]
"""Where a source stands: the next record to give, by part ("events[0]" → 4711). JSON-safe."""


WHOLE: Final = "all"
"""The shard of a source that is learned by one state."""


class SourceError(Exception):
    """A source or sink cannot go on by itself; the message says where and what to do."""


class AwayError(SourceError):
    """What is read or written does not answer: it may later, with the same settings."""


class FencedError(SourceError):
    """Another process has taken this one's name and place; trying on would take them back."""


class RewindError(Exception):
    """A transaction was given up: what was learned since the last commit has to be forgotten."""


class Batch(NamedTuple):
    """Records of one shard, in order; `replayed` ones were answered before, and committed."""

    shard: str
    records: Sequence[Record]
    replayed: bool = False


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

    def lag(self) -> Mapping[str, int] | None:
        """Records known to wait, by part; None while it is not known how many do."""
        ...

    def close(self) -> None:
        """Free what is held; safe to call twice; never raises because of a lost broker."""
        ...


class Shards(Protocol):
    """Gives the records of several shards side by side; a shard is what one state learns from.

    Guarantees: as of `Source`, for each shard by itself. A shard that is handed out gives nothing
    before it was sought. Shards may come and go with each `poll`; before one goes by consent, the
    function given to `revoking` is called, perhaps on another thread while `poll` waits.
    """

    def held(self) -> frozenset[str]:
        """Name the shards that are handed out to this process now."""
        ...

    def placed(self) -> frozenset[str]:
        """Name those that go on where they were: sought, and not away since."""
        ...

    def replaying(self, shard: str) -> bool:
        """Say whether a shard has records left that were answered and committed before."""
        ...

    def poll(self, most: int, wait: float) -> Sequence[Batch]:
        """Give at most `most` records of each shard, waiting `wait` seconds for the first."""
        ...

    def position(self, shard: str) -> Position:
        """Say where a shard stands: just after the last record that `poll` gave of it."""
        ...

    def seek(self, shard: str, position: Position) -> None:
        """Go on from there; parts that `position` does not name start as they would anew.

        A source with a journal replays from there what was committed since, in the same order.
        """
        ...

    def leads(self, shard: str, position: Position) -> bool:
        """Say whether one can go on from `position`: whether the journal leads on from there."""
        ...

    def commit(self, positions: Mapping[str, Position]) -> None:
        """Take note that durable checkpoints cover everything before these positions."""
        ...

    def revoking(self, call: Callable[[frozenset[str]], None]) -> None:
        """Have `call` told of shards that are about to go, in time to make them durable."""
        ...

    def rewind(self) -> None:
        """Let every shard be sought anew."""
        ...

    def idle(self) -> None:
        """Stay in touch while nothing can be taken, so that shards are not given to others."""
        ...

    def rebalances(self) -> int:
        """Say how often shards were handed out anew since the start."""
        ...

    def paused(self) -> int:
        """Say how many partitions are not read just now since enough of them waits here."""
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

    def lag(self) -> Mapping[str, int] | None:
        """Records known to wait, by part; None while it is not known how many do."""
        ...

    def close(self) -> None:
        """Free what is held; safe to call twice; never raises because of a lost broker."""
        ...


class Transactions(Protocol):
    """Answers, positions and journal that become visible together, or not at all."""

    def waiting(self) -> int:
        """Say how many records were taken since the last commit."""
        ...

    def commit(self) -> None:
        """Make all that was taken and given since the last commit durable, at once.

        Raises:
            RewindError: it was given up; the shards have to be sought anew.
            FencedError: another process has taken this one's place.
        """
        ...

    def recover(self) -> None:
        """Give up what is under way and be ready for another transaction.

        Raises:
            FencedError: another process has taken this one's place.
            SourceError: that cannot be had just now.
        """
        ...


class Commons(Protocol):
    """Holds one value a shard, the newest, for all processes of a group."""

    def give(self, shard: str, value: bytes) -> None:
        """Put a value in the place of the shard's last one; it may take a while to be seen.

        Raises:
            SourceError: it cannot be written.
        """
        ...

    def take(self) -> Mapping[str, bytes]:
        """Give the newest value of every shard.

        Raises:
            SourceError: they cannot be read.
        """
        ...

    def close(self) -> None:
        """Free what is held; never raises."""
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

    @property
    def recreations(self) -> int:
        """How often what writes had to be made anew after an error."""
        ...

    def in_touch(self) -> float:
        """Seconds since the sink last heard from what it writes to; 0 for local files."""
        ...

    def close(self) -> None:
        """Flush what can be flushed and free what is held; safe to call twice."""
        ...
