"""The topic of dead letters, read from end to end, and the records that letters are of.

Among the letters lie *receipts*: records without a value, whose header `requeued` names the place
of a letter that was put back (see `streams.kafka.putback`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

from streams.kafka.client import TopicPartition, Wire, faults, plainly, reader
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import ensure_topics
from streams.letters import Letter, Place

RECEIPT: Final = "requeued"
"""Header of a receipt: the place of the letter that was put back."""

_POLL_MS = 200
_ANSWER_MS = 5000
_SMALL = 65_536  # bytes asked for when one record is looked up


class Original(NamedTuple):
    """A record as it stands in its topic; `stamp` in milliseconds."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    stamp: int


class KafkaLetters:
    """Reads the topic of dead letters.

    Args:
        settings: the cluster and its topics.
        clock: monotonic seconds.

    Raises:
        SourceError: the brokers or the topic are not there, or let this client not in.
    """

    def __init__(
        self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        ensure_topics(replace(settings, create_topics=False), [settings.refused])
        self._settings, self._clock = settings, clock
        self._consumer, self._wire = reader(settings)

    def letters(self, since: float | None = None) -> Iterator[Letter]:
        """Give those written at `since` (Unix seconds) or later, each partition in its order.

        Raises:
            SourceError: the brokers no longer answer, or do not let this client read.
        """
        put_back = self._receipts(since)
        for record in self._records(since):
            if _header(record, RECEIPT) is not None:
                continue
            letter = _letter(record, put_back)
            if since is None or letter.time is None or letter.time >= since:
                yield letter

    def close(self) -> None:
        """Let go of the brokers; safe to call twice."""
        let_go(self._consumer, self._wire)

    def _receipts(self, since: float | None) -> set[str]:
        """Places of letters that were put back; a receipt is younger than its letter."""
        found = (_header(record, RECEIPT) for record in self._records(since))
        return {text for text in found if text is not None}

    def _records(self, since: float | None) -> Iterator[Any]:
        with plainly(self._settings, f"reading topic {self._settings.refused!r}"):
            parts = self._stand(since)
            until = self._clock() + _ANSWER_MS / 1000
            while not self._at_end(parts):
                batches = self._consumer.poll(_POLL_MS)
                if not batches and self._clock() > until:
                    raise faults.KafkaTimeoutError("no answer in time")
                for records in batches.values():
                    yield from records
                if batches:
                    until = self._clock() + _ANSWER_MS / 1000

    def _stand(self, since: float | None) -> list[TopicPartition]:
        """Stand at the first record of each partition that may be wanted."""
        topic = self._settings.refused
        parts = sorted(TopicPartition(topic, p) for p in self._consumer.partitions_for_topic(topic))
        self._consumer.assign(parts)
        first = dict(self._consumer.beginning_offsets(parts, timeout_ms=_ANSWER_MS))
        if since is not None:
            when = dict.fromkeys(parts, max(0, round(since * 1000)))
            found = self._consumer.offsets_for_times(when, timeout_ms=_ANSWER_MS)
            first |= {tp: max(first[tp], at.offset) for tp, at in found.items() if at is not None}
        for tp in parts:
            self._consumer.seek(tp, first[tp])
        return parts

    def _at_end(self, parts: Sequence[TopicPartition]) -> bool:
        """Whether all was read; how much there is, an answer to a fetch tells for sure."""
        ends = {tp: self._consumer.highwater(tp) for tp in parts}
        return all(
            end is not None and self._consumer.position(tp, timeout_ms=_ANSWER_MS) >= end
            for tp, end in ends.items()
        )


class Originals:
    """Looks up the records that letters are of: their keys, times and whole bytes.

    Args:
        settings: the cluster.
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        small = {"max_partition_fetch_bytes": _SMALL, **settings.consumer}
        self._settings, self._clock = settings, clock
        self._consumer, self._wire = reader(replace(settings, consumer=small))

    def find(self, place: Place) -> Original | None:
        """Give the record at that place; None if its topic does not hold it, or not any more.

        Raises:
            SourceError: the brokers do not answer, or do not let this client read.
        """
        tp = TopicPartition(place.topic, place.partition)
        with plainly(self._settings, f"looking up {place}"):
            if place.partition not in (self._consumer.partitions_for_topic(place.topic) or ()):
                return None
            if self._consumer.assignment() != {tp}:
                self._consumer.assign([tp])
            if self._consumer.beginning_offsets([tp], timeout_ms=_ANSWER_MS)[tp] > place.offset:
                return None
            self._consumer.seek(tp, place.offset)
            record = self._first(tp, place.offset)
        if record is None or record.offset != place.offset:
            return None
        return Original(record.key, record.value, record.headers, record.timestamp)

    def _first(self, tp: TopicPartition, offset: int) -> Any | None:
        until = self._clock() + _ANSWER_MS / 1000
        while self._clock() < until:
            for records in self._consumer.poll(_POLL_MS, max_records=1).values():
                return records[0]
            if (end := self._consumer.highwater(tp)) is not None and offset >= end:
                return None
        raise faults.KafkaTimeoutError("no answer in time")

    def close(self) -> None:
        """Let go of the brokers; safe to call twice."""
        let_go(self._consumer, self._wire)


def let_go(client: Any, wire: Wire) -> None:
    """Close a client that has joined no group, whatever state it is in."""
    with suppress(faults.KafkaError, OSError, RuntimeError):
        client.close(autocommit=False, timeout_ms=1500)
    wire.cut()


def _letter(record: Any, put_back: set[str]) -> Letter:
    raw = record.value or b""
    at = str(Place(record.topic, record.partition, record.offset))
    length = _header(record, "bytes") or ""
    return Letter(
        at,
        record.timestamp / 1000.0,
        _header(record, "reason") or "unknown",
        _header(record, "detail") or "",
        _header(record, "where") or "",
        raw,
        int(length) if length.isdecimal() else len(raw),
        at in put_back,
    )


def _header(record: Any, name: str) -> str | None:
    """Give a header as text; the last one counts."""
    found = [value for key, value in record.headers if key == name]
    return (found[-1] or b"").decode("utf-8", "replace") if found else None
