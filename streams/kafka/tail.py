"""A partition read from some place to its end, as it stands now."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from streams.kafka.client import TopicPartition, plainly
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError

QUIET = 10
"""Polls without news that end it as well: a transaction that a dead member has left open hides what
comes after it, until the broker gives it up."""


class Tail(NamedTuple):
    """The records, and the offset from which a transaction left open hides more; None: nowhere."""

    records: list[Any]
    hidden: int | None


def to_the_end(
    settings: KafkaSettings, consumer: Any, topic: str, partition: int, start: int
) -> Tail:
    """Give the records of a partition from offset `start` on.

    Args:
        settings: the cluster.
        consumer: of no group; it is assigned this partition alone.
        topic: which.
        partition: its number.
        start: where to begin; at the log's own beginning where that is later.

    Raises:
        SourceError: no end is shown in `connect_timeout` seconds.
    """
    tp = TopicPartition(topic, partition)
    with plainly(settings, f"reading {topic}[{partition}]"):
        consumer.assign([tp])
        first: Mapping[TopicPartition, int] = consumer.beginning_offsets([tp])
        consumer.seek(tp, max(start, first[tp]))
        return _all(settings, consumer, tp)


def _all(settings: KafkaSettings, consumer: Any, tp: TopicPartition) -> Tail:
    found: list[Any] = []
    until, quiet = time.monotonic() + settings.connect_timeout, 0
    while True:
        records = consumer.poll(100).get(tp, [])
        found += records
        end = consumer.highwater(tp)
        if end is not None and consumer.position(tp, timeout_ms=1000) >= end:
            return Tail(found, None)
        quiet = 0 if records or end is None else quiet + 1
        if quiet >= QUIET:
            return Tail(found, consumer.position(tp, timeout_ms=1000))
        if records:
            until = time.monotonic() + settings.connect_timeout
        elif time.monotonic() > until:
            raise SourceError(
                f"kafka {settings.bootstrap}: {tp.topic}[{tp.partition}] is not shown within"
                f" {settings.connect_timeout:g} s; does the broker work?"
            )
