"""Where a shard goes on: by its checkpoint, the group's committed offsets and the journal."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import structlog

from streams.kafka.client import TopicPartition
from streams.kafka.group import Members
from streams.kafka.journal import NONE, Journal, Noted, chain, last_to
from streams.kafka.place import Placing, part_of
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Clock
from streams.source import WHOLE, AwayError, Position, SourceError

_log = structlog.get_logger()

AGAIN = 3.0  # seconds until what is hidden is looked for again
PATIENCE = 1.5  # times the transaction's timeout: brokers look for old ones from time to time
Found = TypeVar("Found")


class Start(NamedTuple):
    """Where each partition is read on, what is replayed first, and the journal's last entry."""

    places: dict[TopicPartition, int]
    replay: list[Noted]
    head: int


class Restoring:
    """Finds starts.

    A checkpoint's position names offsets by part and, with a journal, the part of the journal:
    the offset after the last entry that the checkpoint covers.

    Args:
        settings: the cluster and its topics.
        placing: finds offsets without a journal.
        members: knows a shard's partitions.
        clock: seconds, never going back.
        journal: whether there is one.

    Raises:
        SourceError: the journal's topic is not there.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        placing: Placing,
        members: Members,
        clock: Clock,
        *,
        journal: bool,
    ) -> None:
        self._settings, self._placing, self._members = settings, placing, members
        self._clock = clock
        self._hidden: dict[int, tuple[str, float]] = {}  # by whom, and when to look again
        self._since: dict[str, float] = {}  # when it was first met, by writer or else by part
        self._journal: Journal | None = None
        if journal:
            partitions = placing.partitions(settings.events)
            ensure_topics(settings, [settings.journal], partitions)
            self._journal = Journal(settings)
            self._check(partitions)

    @property
    def journaled(self) -> bool:
        """Whether there is a journal."""
        return self._journal is not None

    def mark(self, shard: str, head: int) -> Position:
        """Give the journal's part of a position; empty without a journal, or before any entry."""
        return {} if self._journal is None or head == NONE else {self._part(shard): head + 1}

    def leads(self, shard: str, position: Position) -> bool:
        """Say whether one can go on from a checkpoint's position."""
        return self._journal is None or self._way(self._journal, shard, position) is not None

    def start(self, shard: str, parts: Sequence[TopicPartition], position: Position) -> Start:
        """Find where a shard goes on.

        Raises:
            SourceError: the log does not hold the place, or the journal does not lead there.
        """
        if self._journal is None:
            return Start(self._placing.places(parts, position), [], NONE)
        way = self._way(self._journal, shard, position)
        if way is None:
            raise SourceError(
                f"kafka {self._settings.bootstrap}: the journal {self._part(shard)} does not lead"
                " from the checkpoint to the committed offsets; has it lost entries? keep it"
                " longer than checkpoints get old, or begin anew with other checkpoints"
            )
        if way:
            records = sum(sum(noted.entry.runs[1::2]) for noted in way)
            _log.info("replaying", shard=shard, transactions=len(way), records=records)
        head = self._head(self._journal, shard, position)
        return Start(self._placing.places(parts, position), way, head)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def _way(self, journal: Journal, shard: str, position: Position) -> list[Noted] | None:
        """Give the entries from a checkpoint to the last commit; None if none lead there."""
        if not position:  # begins anew, where the answers end
            return []
        after = position.get(self._part(shard), 0)
        head = after - 1 if after else NONE

        def look(notes: list[Noted], committed: Position) -> list[Noted] | None:
            if all(position.get(part, 0) >= offset for part, offset in committed.items()):
                return []  # nothing was committed yet, or the checkpoint knew no journal
            return chain(notes, head, committed)

        return self._found(journal, shard, max(0, head), look)

    def _head(self, journal: Journal, shard: str, position: Position) -> int:
        """Give the last entry that is covered before any replay."""
        after = position.get(self._part(shard), 0)
        if after:
            return after - 1
        if position or not self._committed(shard):
            return NONE
        last = self._found(journal, shard, 0, last_to)
        return NONE if last is None else last.at

    def _found(
        self,
        journal: Journal,
        shard: str,
        start: int,
        look: Callable[[list[Noted], Position], Found | None],
    ) -> Found | None:
        """Look in the journal from `start` on for what leads to the committed offsets.

        One that a lost member left open hides what was committed after it, and a broker may hold
        back the group's offsets as long. It is ended; where its writer is not known, waited for;
        and where the broker never gives it up, read past.

        Raises:
            AwayError: the broker has time left to give it up.
        """
        now, partition = self._clock(), _partition(shard)
        writer, again = self._hidden.get(partition, ("", now))
        if now >= again:
            committed = self._committed(shard)
            notes, hidden = journal.read(partition, start)
            if hidden is not None:
                writer = journal.opener(partition, hidden)
                if writer and writer not in self._since:
                    journal.end(writer)
                    committed = self._committed(shard)
                    notes, hidden = journal.read(partition, start)
            if hidden is None:
                self._hidden.pop(partition, None)
                self._since.pop(writer or self._part(shard), None)
                return look(notes, committed)
            self._hidden[partition] = writer, now + AGAIN
        since = self._since.setdefault(writer or self._part(shard), now)
        limit = self._settings.transaction_timeout
        if now - since < PATIENCE * limit:
            raise AwayError(
                f"kafka {self._settings.bootstrap}: in {self._part(shard)} a member that died left"
                " a transaction open, which hides what was committed after it; the broker gives it"
                f" up after transaction_timeout ({limit:g} s)"
            )
        _log.warning("the broker leaves a transaction open; read past it", part=self._part(shard))
        return look(journal.read_open(partition, start), self._committed(shard))

    def _committed(self, shard: str) -> Position:
        return self._placing.committed(self._members.parts(shard))

    def _part(self, shard: str) -> str:
        return part_of(TopicPartition(self._settings.journal, _partition(shard)))

    def _check(self, partitions: int) -> None:
        if self._journal is None or self._settings.membership == "all":
            return
        here = self._journal.partitions()
        if here < partitions:
            raise SourceError(
                f"kafka {self._settings.bootstrap}: {self._settings.journal} has {here} partitions,"
                f" {self._settings.events} {partitions}; give the journal as many"
            )


def _partition(shard: str) -> int:
    """Give the journal's partition for a shard."""
    return 0 if shard == WHOLE else int(shard)
