"""A partition read from some place to its end, as it stands now."""

import time
from collections.abc import Mapping
from typing import Any

from streams.kafka.client import TopicPartition, plainly
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError


def to_the_end(
    settings: KafkaSettings, consumer: Any, topic: str, partition: int, start: int
) -> list[Any]:
    """Give the records of a partition from offset `start` on.

    Args:
        settings: the cluster.
        consumer: of no group, and one that open transactions hide nothing from; it is assigned this
            partition alone.
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


def _all(settings: KafkaSettings, consumer: Any, tp: TopicPartition) -> list[Any]:
    found: list[Any] = []
    until = time.monotonic() + settings.connect_timeout
    while True:
        records = consumer.poll(100).get(tp, [])
        found += records
        end = consumer.highwater(tp)
        if end is not None and consumer.position(tp, timeout_ms=1000) >= end:
            return found
        if records:
            until = time.monotonic() + settings.connect_timeout
        elif time.monotonic() > until:
            raise SourceError(
                f"kafka {settings.bootstrap}: {tp.topic}[{tp.partition}] is not shown within"
                f" {settings.connect_timeout:g} s; does the broker work?"
            )
