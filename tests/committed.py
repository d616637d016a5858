"""What a reader of committed transactions sees, by the markers in the log itself.

A broker tells such a reader which transactions were given up, and hides what stands behind an open
one; not every broker does, and one (tansu) never gives up what a dead member has left open. Here
all is read, with the markers that stand in the log, so that what is committed is known whatever the
broker says. It shares no code with what it judges, which reads markers too.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher

from tests.broker import Broker


class _Batch(NamedTuple):
    first: int
    last: int
    producer: int
    ends: str | None  # "commit" or "abort" for a marker


Log = dict[TopicPartition, dict[int, _Batch]]


def committed(broker: Broker, topic: str, partitions: int = 1, quiet: float = 2.0) -> list[Any]:
    """Give the records of a topic whose transactions were committed, or that were in none."""
    with _batches() as seen:
        found = _all(broker, topic, partitions, quiet)
    hidden = {tp: _hidden(list(batches.values())) for tp, batches in seen.items()}
    return [
        one
        for one in found
        if not any(
            batch.first <= one.offset <= batch.last
            for batch in hidden.get(TopicPartition(topic, one.partition), ())
        )
    ]


def _hidden(batches: list[_Batch]) -> list[_Batch]:
    """Give the batches that no commit covers: given up, or left open."""
    hidden: list[_Batch] = []
    open_: dict[int, list[_Batch]] = defaultdict(list)
    for batch in sorted(batches):
        if batch.ends is None:
            open_[batch.producer].append(batch)
            continue
        ended = open_.pop(batch.producer, [])
        if batch.ends == "abort":
            hidden += ended
    return hidden + [batch for left in open_.values() for batch in left]


class _Noting:
    """Records as they came, that note each batch of a transaction on its way out."""

    def __init__(self, records: Any, seen: dict[int, _Batch]) -> None:
        self._records, self._seen = records, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is not None and batch.is_transactional:
            ends = None
            if batch.is_control_batch:  # whoever takes it skips it, and need not read it
                ends = "abort" if next(iter(batch)).abort else "commit"
            one = _Batch(batch.base_offset, batch.last_offset, batch.producer_id, ends)
            self._seen[batch.base_offset] = one
        return batch


@contextmanager
def _batches() -> Iterator[Log]:
    seen: Log = defaultdict(dict)
    real = Fetcher.PartitionRecords._unpack_records

    def unpack(self: Any, tp: TopicPartition, records: Any, *more: Any) -> Any:
        return real(self, tp, _Noting(records, seen[tp]), *more)

    with patch.object(Fetcher.PartitionRecords, "_unpack_records", unpack):
        yield seen


def _all(
    broker: Broker, topic: str, partitions: int, quiet: float, level: str = "read_uncommitted"
) -> list[Any]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        enable_auto_commit=False,
        isolation_level=level,
        check_crcs=False,  # markers are read before the client would look at theirs
        max_poll_records=5000,
    )
    try:
        parts = [TopicPartition(topic, part) for part in range(partitions)]
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, 0)
        found: list[Any] = []
        last = time.monotonic()
        while time.monotonic() - last < quiet:
            for records in consumer.poll(200).values():
                found += records
                last = time.monotonic()
        return found
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
