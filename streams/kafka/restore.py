"""Where a shard goes on: by its checkpoint and the journal; without one, by the group's offsets."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from streams.kafka.client import TopicPartition
from streams.kafka.group import Members
from streams.kafka.journal import NONE, Journal, Noted, chain
from streams.kafka.place import Placing, part_of
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Clock
from streams.source import WHOLE, AwayError, Position, SourceError

_log = structlog.get_logger()

AGAIN = 3.0  # seconds until what is hidden is looked for again
PATIENCE = 1.5  # times the transaction's timeout: brokers look for old ones from time to time


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
        self._again: dict[int, float] = {}  # when to look again, by the journal's partition
        self._since: dict[str, float] = {}  # when what is open was first met, by its writer
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
        if self._journal is None or not position:
            return True
        notes = self._notes(self._journal, shard, position)
        return self._way(shard, position, notes) is not None

    def start(self, shard: str, parts: Sequence[TopicPartition], position: Position) -> Start:
        """Find where a shard goes on.

        Raises:
            SourceError: the log does not hold the place, or the journal does not lead there.
        """
        if self._journal is None:
            return Start(self._placing.places(parts, position), [], NONE)
        notes = self._notes(self._journal, shard, position)
        if not position:  # begins anew, where the answers end
            after, head = (notes[-1].entry.after, notes[-1].at) if notes else ({}, NONE)
            return Start(self._placing.places(parts, after, "the journal"), [], head)
        way = self._way(shard, position, notes)
        if way is None:
            raise SourceError(
                f"kafka {self._settings.bootstrap}: the journal {self._part(shard)} does not lead"
                " from the checkpoint to the committed offsets; has it lost entries? keep it"
                " longer than checkpoints get old, or begin anew with other checkpoints"
            )
        if way:
            records = sum(sum(noted.entry.runs[1::2]) for noted in way)
            _log.info("replaying", shard=shard, transactions=len(way), records=records)
        head = position.get(self._part(shard), 0) - 1
        return Start(self._placing.places(parts, position), way, max(NONE, head))

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def _way(self, shard: str, position: Position, notes: list[Noted]) -> list[Noted] | None:
        """Give the entries from a checkpoint to the last one; None if none lead there.

        The group's offsets may lag behind the journal (a broker holds them back while a transaction
        is open); where they are ahead of it, it has lost entries.
        """
        committed = self._placing.committed(self._members.parts(shard))
        if not notes:
            return [] if _covers(position, committed) else None
        last = notes[-1].entry.after
        if not _covers(last, committed):
            return [] if _covers(position, committed) else None
        if self._part(shard) in position:
            return chain(notes, position[self._part(shard)] - 1)
        return [] if _covers(position, last) else chain(notes, NONE)  # it knew no journal

    def _notes(self, journal: Journal, shard: str, position: Position) -> list[Noted]:
        """Give the committed entries from the last one that a checkpoint covers on.

        A transaction that a lost member left open may yet be committed, for all that is known here.
        It is ended; where its writer is not known, waited for; and where the broker never gives it
        up, it is taken for given up.

        Raises:
            AwayError: the broker has time left to give it up.
        """
        now, partition = self._clock(), _partition(shard)
        start = max(0, position.get(self._part(shard), 0) - 1)
        if now < self._again.get(partition, now):
            raise self._away(shard)
        notes, left = journal.read(partition, start)
        writers = {one.writer or self._part(shard) for one in left}
        if ended := [one for one in writers - self._since.keys() if self._ours(one)]:
            self._since |= dict.fromkeys(ended, now)
            for writer in ended:
                journal.end(writer)
            notes, left = journal.read(partition, start)
        if not left:
            for writer in writers:
                self._since.pop(writer, None)
            self._again.pop(partition, None)
            return notes
        since = [self._since.setdefault(writer, now) for writer in writers]
        if now - max(since) < PATIENCE * self._settings.transaction_timeout:
            self._again[partition] = now + AGAIN
            raise self._away(shard)
        _log.warning("the broker leaves a transaction open; read past it", part=self._part(shard))
        return notes

    def _ours(self, writer: str) -> bool:
        """Say whether it is a member of this group, and not whoever asks."""
        group = self._settings.membership == "group"
        return group and writer.startswith(f"{self._settings.group}-")

    def _away(self, shard: str) -> AwayError:
        return AwayError(
            f"kafka {self._settings.bootstrap}: in {self._part(shard)} a member that died left"
            " a transaction open, which may yet count; the broker gives it up after"
            f" transaction_timeout ({self._settings.transaction_timeout:g} s)"
        )

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


def _covers(position: Position, committed: Position) -> bool:
    """Whether a position is at the committed offsets or beyond."""
    return all(position.get(part, 0) >= offset for part, offset in committed.items())
