"""The journal: how the records of a shard interleaved, one entry a transaction.

An entry names the part of each lane, the offsets before and after, and the runs in which records
were taken. It stands in the same transaction as the answers and the offsets, so the entries that
lead up to the group's committed offsets are what has been answered. They are found backwards, from
the last entry that ends at the committed offsets, by the offset of each one's parent: an entry
whose transaction was given up is never met, even where a broker shows it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from streams.kafka.client import TopicPartition, plainly, reader
from streams.kafka.settings import KafkaSettings
from streams.source import Position, SourceError

_log = structlog.get_logger()

NONE = -1
"""The parent of the first entry."""

QUIET = 10
"""Polls without news that are the end as well: a transaction that a dead member has left open hides
what comes after it, and what is committed comes before."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one transaction took from a shard.

    Args:
        before, after: offsets by part, where it began and where it ended.
        parts: the lanes' parts, in the lanes' order.
        runs: a lane's place and a count of records, again and again.
        group: whose entry it is: several may share a journal.
        parent: offset of the entry before it; `NONE` for the first.
    """

    before: dict[str, int]
    after: dict[str, int]
    parts: tuple[str, ...]
    runs: tuple[int, ...]
    group: str
    parent: int = NONE


class Noted(NamedTuple):
    """An entry, and its own offset in the journal."""

    at: int
    entry: Entry


def encoded(entry: Entry) -> bytes:
    """Give an entry as JSON."""
    return msgspec.json.encode(entry)


def decoded(at: int, value: bytes | None) -> Noted | None:
    """Read an entry; None of what is none."""
    try:
        return Noted(at, msgspec.json.decode(value or b"", type=Entry))
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

    def read(self, partition: int, start: int) -> list[Noted]:
        """Give the entries from `start` on, to the end as it stands now.

        Raises:
            SourceError: the end is not reached in `connect_timeout` seconds without a new record.
        """
        tp = TopicPartition(self._settings.journal, partition)
        with plainly(self._settings, f"reading the journal {tp.topic}[{partition}]"):
            self._consumer.assign([tp])
            first: Mapping[TopicPartition, int] = self._consumer.beginning_offsets([tp])
            self._consumer.seek(tp, max(start, first[tp]))
            return self._to_the_end(tp)

    def _to_the_end(self, tp: TopicPartition) -> list[Noted]:
        found: list[Noted] = []
        until = time.monotonic() + self._settings.connect_timeout
        quiet = 0
        while True:
            records = self._consumer.poll(100).get(tp, [])
            noted = [decoded(record.offset, record.value) for record in records]
            group = self._settings.group
            found += [one for one in noted if one is not None and one.entry.group == group]
            end = self._consumer.highwater(tp)
            if end is not None and self._consumer.position(tp, timeout_ms=1000) >= end:
                return found
            quiet = 0 if records or end is None else quiet + 1
            if quiet >= QUIET:
                return found
            if records:
                until = time.monotonic() + self._settings.connect_timeout
            elif time.monotonic() > until:
                raise SourceError(
                    f"kafka {self._settings.bootstrap}: {tp.topic}[{tp.partition}] is not shown"
                    f" within {self._settings.connect_timeout:g} s; does the broker work?"
                )

    def close(self) -> None:
        """Let go; never raises."""
        if not self._closed:
            self._closed = True
            self._wire.cut()
