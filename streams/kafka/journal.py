"""The journal: how the records of a shard interleaved, one entry a transaction.

An entry names the part of each lane, the offsets before and after, and the runs in which records
were taken. It stands in the same transaction as the answers and the offsets, so the entries that
lead up to the group's committed offsets are what has been answered. They are found backwards, from
the last entry that ends at the committed offsets, by the offset of each one's parent: an entry
whose transaction was given up is never met, even where a broker shows it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from streams.kafka.client import plainly, producer, reader
from streams.kafka.outlet import end
from streams.kafka.settings import KafkaSettings
from streams.kafka.tail import Tail, to_the_end
from streams.source import Position

_log = structlog.get_logger()

NONE = -1
"""The parent of the first entry."""
WRITER = "writer"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one transaction took from a shard.

    Args:
        before, after: offsets by part, where it began and where it ended.
        parts: the lanes' parts, in the lanes' order.
        runs: a lane's place and a count of records, again and again.
        group: whose entry it is: several may share a journal.
        parent: offset of the entry before it; `NONE` for the first.
        unread: by part, offsets of records that were refused for what was not known then: by the
            time of a replay their schema may have come, but they were answered without it.
    """

    before: dict[str, int]
    after: dict[str, int]
    parts: tuple[str, ...]
    runs: tuple[int, ...]
    group: str
    parent: int = NONE
    unread: dict[str, tuple[int, ...]] = {}


class Noted(NamedTuple):
    """An entry, its own offset in the journal, and the transactional id of who wrote it."""

    at: int
    entry: Entry
    writer: str = ""


def encoded(entry: Entry) -> bytes:
    """Give an entry as JSON."""
    return msgspec.json.encode(entry)


def signed(writer: str) -> list[tuple[str, bytes]]:
    """Give the headers of an entry: whoever finds it in a transaction left open can end that."""
    return [(WRITER, writer.encode())]


def decoded(
    at: int, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
) -> Noted | None:
    """Read an entry; None of what is none."""
    writer = dict(headers).get(WRITER, b"").decode("utf-8", "replace")
    try:
        return Noted(at, msgspec.json.decode(value or b"", type=Entry), writer)
    except msgspec.DecodeError:
        _log.warning("no entry of a journal", offset=at)
        return None


def last_to(notes: Sequence[Noted], committed: Position) -> Noted | None:
    """Give the last entry that ends at the committed offsets."""
    for noted in reversed(notes):
        if noted.entry.after == dict(committed):
            return noted
    return None


def chain(notes: Sequence[Noted], head: int, committed: Position) -> list[Noted] | None:
    """Give the entries from the one after `head` to the committed offsets; None if none lead there.

    Args:
        notes: what the journal shows, by offset.
        head: offset of the last entry that is covered already; `NONE` for none.
        committed: offsets by part.
    """
    target = last_to(notes, committed)
    if target is None:
        return None
    by_offset = {noted.at: noted for noted in notes}
    found: list[Noted] = []
    step: Noted | None = target
    while step is not None and step.at != head:
        found.append(step)
        if step.entry.parent == head:
            return found[::-1]
        step = by_offset.get(step.entry.parent)
    return None if step is None else found[::-1]


class Journal:
    """Reads the journal's partitions.

    Args:
        settings: the cluster and the topic.

    Raises:
        SourceError: no broker answers.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer, self._wire = reader(settings)
        self._closed = False

    def partitions(self) -> int:
        """Count the topic's partitions. Raises `SourceError` if it is not there."""
        with plainly(self._settings, "looking at the journal"):
            return len(self._consumer.partitions_for_topic(self._settings.journal) or ())

    def read(self, partition: int, start: int) -> tuple[list[Noted], int | None]:
        """Give the group's committed entries from `start` on, to the end as it stands now.

        Beside them: the offset from which a transaction that was left open hides more, if any.

        Raises:
            SourceError: no end is shown in `connect_timeout` seconds.
        """
        tail = self._tail(self._consumer, partition, start)
        return self._noted(tail.records), tail.hidden

    def read_open(self, partition: int, start: int) -> list[Noted]:
        """Give all entries from `start` on, those of open or given up transactions among them.

        Raises:
            SourceError: as `read`.
        """
        consumer, wire = reader(self._settings, "read_uncommitted")
        try:
            return self._noted(self._tail(consumer, partition, start).records)
        finally:
            wire.cut()

    def opener(self, partition: int, hidden: int) -> str:
        """Give the transactional id of who left open what hides the entries from `hidden` on.

        It is no member that this partition is still handed out to: that is whoever asks. Empty
        where the journal does not say, or names another group's member.
        """
        writers = [one.writer for one in self.read_open(partition, hidden) if one.at >= hidden]
        writer = writers[0] if writers else ""
        return writer if writer.startswith(f"{self._settings.group}-") else ""

    def end(self, writer: str) -> None:
        """Have the broker end that writer's transaction; it writes no more.

        Raises:
            SourceError: no broker answers in time.
        """
        _log.warning("ending the transaction that a lost member left open", writer=writer)
        client, _ = producer(self._settings, writer)
        end(client, 1.0)

    def _tail(self, consumer: Any, partition: int, start: int) -> Tail:
        return to_the_end(self._settings, consumer, self._settings.journal, partition, start)

    def _noted(self, records: Sequence[Any]) -> list[Noted]:
        noted = [decoded(one.offset, one.value, one.headers or ()) for one in records]
        group = self._settings.group
        return [one for one in noted if one is not None and one.entry.group == group]

    def close(self) -> None:
        """Let go; never raises."""
        if not self._closed:
            self._closed = True
            self._wire.cut()
