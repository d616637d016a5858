"""The journal: how the records of a shard interleaved, one entry a transaction.

An entry names the part of each lane, the offsets before and after, and the runs in which records
were taken. It stands in the same transaction as the answers and the offsets, so the entries that
lead up to the last committed one are what has been answered. Which are committed is read from the
markers in the log, and they are found backwards from the last one, by the offset of each one's
parent: an entry whose transaction was given up is never met, even where a broker shows it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import structlog

from streams.kafka.client import plainly, producer, reader
from streams.kafka.markers import Fate, fates, noting
from streams.kafka.outlet import end
from streams.kafka.settings import KafkaSettings
from streams.kafka.tail import to_the_end

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


def chain(notes: Sequence[Noted], head: int) -> list[Noted] | None:
    """Give the entries from the one after `head` to the last one; None if none lead there.

    Args:
        notes: what was committed, by offset.
        head: offset of the last entry that is covered already; `NONE` for none.
    """
    by_offset = {noted.at: noted for noted in notes}
    found: list[Noted] = []
    step: Noted | None = notes[-1] if notes else None
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
        self._consumer, self._wire = reader(settings, "read_uncommitted")
        self._seen = noting(self._consumer)
        self._closed = False

    def partitions(self) -> int:
        """Count the topic's partitions. Raises `SourceError` if it is not there."""
        with plainly(self._settings, "looking at the journal"):
            return len(self._consumer.partitions_for_topic(self._settings.journal) or ())

    def read(self, partition: int, start: int) -> tuple[list[Noted], list[Noted]]:
        """Give the group's committed entries from `start` on, to the end as it stands now.

        Beside them: those whose transactions are still open.

        Raises:
            SourceError: no end is shown in `connect_timeout` seconds.
        """
        self._seen.clear()
        topic = self._settings.journal
        records = to_the_end(self._settings, self._consumer, topic, partition, start)
        ends = fates(self._seen, [one.offset for one in records])
        notes = [decoded(one.offset, one.value, one.headers or ()) for one in records]
        found: dict[Fate, list[Noted]] = {fate: [] for fate in Fate}
        for noted, fate in zip(notes, ends, strict=True):
            if noted is not None and noted.entry.group == self._settings.group:
                found[fate].append(noted)
        return found[Fate.COMMITTED], found[Fate.OPEN]

    def end(self, writer: str) -> None:
        """Have the broker end that writer's transaction; it writes no more.

        Raises:
            SourceError: no broker answers in time.
        """
        _log.warning("ending the transaction that a lost member left open", writer=writer)
        client, _ = producer(self._settings, writer)
        end(client, 1.0)

    def close(self) -> None:
        """Let go; never raises."""
        if not self._closed:
            self._closed = True
            self._wire.cut()
