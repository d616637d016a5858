"""What a cluster lets this client do, found out without writing a record or joining a group."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from streams.kafka.access import options
from streams.kafka.client import (
    KafkaAdminClient,
    TopicPartition,
    Wire,
    consumer,
    faults,
    plainly,
    producer,
    reader,
    transact,
)
from streams.kafka.letters import let_go
from streams.kafka.settings import KafkaSettings

_ANSWER_MS = 5000
_POLL_MS = 200
_PARTITIONS = 64  # of a topic, of which a record is asked for


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as this client sees it.

    Args:
        partitions: how many; None where it is not there, or may not be seen.
        leaderless: partitions without a leader.
        allowed: operations that this client may do, as "READ"; None where the brokers do not say.
    """

    partitions: int | None
    leaderless: int = 0
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answered: after how many seconds, its brokers, and the topics asked for."""

    seconds: float
    brokers: int
    topics: Mapping[str, Topic]


def look(
    settings: KafkaSettings, topics: Sequence[str], clock: Callable[[], float] = time.monotonic
) -> Cluster:
    """Ask a cluster who it is and what it has.

    Raises:
        SourceError: no broker answered in time, or none that lets this client in.
    """
    wire, start = Wire(), clock()
    with plainly(settings, "connecting", wire):
        admin = KafkaAdminClient(**options(settings), kafka_client=wire)
        try:
            brokers = len(admin.describe_cluster()["brokers"])
            seconds = clock() - start
            told = {one["name"]: _topic(one) for one in admin.describe_topics(list(topics))}
        finally:
            admin.close()
    return Cluster(seconds, brokers, {name: told.get(name, Topic(None)) for name in topics})


def _topic(told: Mapping[str, Any]) -> Topic:
    if told["error_code"]:
        return Topic(None)
    allowed = told.get("authorized_operations")
    leaderless = sum(one["leader_id"] < 0 for one in told["partitions"])
    return Topic(
        len(told["partitions"]), leaderless, None if allowed is None else frozenset(allowed)
    )


def newest(
    settings: KafkaSettings, topic: str, clock: Callable[[], float] = time.monotonic
) -> float | None:
    """Read a record of a topic's end; give the latest time met, Unix seconds, None of an empty one.

    Raises:
        SourceError: this client may not read it, or no broker answers.
    """
    client, wire = reader(replace(settings, connect_timeout=min(settings.connect_timeout, 5.0)))
    try:
        with plainly(settings, f"reading topic {topic!r}"):
            found = sorted(client.partitions_for_topic(topic) or ())[:_PARTITIONS]
            parts = [TopicPartition(topic, one) for one in found]
            client.assign(parts)
            first = client.beginning_offsets(parts, timeout_ms=_ANSWER_MS)
            end = client.end_offsets(parts, timeout_ms=_ANSWER_MS)
            for tp in parts:
                client.seek(tp, max(first[tp], end[tp] - 1))
            return _latest(client, parts, clock() + _ANSWER_MS / 1000, clock)
    finally:
        let_go(client, wire)


def _latest(
    client: Any, parts: Sequence[TopicPartition], until: float, clock: Callable[[], float]
) -> float | None:
    stamps: list[float] = []
    while clock() < until:
        batches = client.poll(_POLL_MS)
        stamps += [record.timestamp / 1000 for batch in batches.values() for record in batch]
        ends = [(tp, client.highwater(tp)) for tp in parts]
        if all(end is not None and client.position(tp) >= end for tp, end in ends):
            return max(stamps, default=None)
    if stamps:
        return max(stamps)
    raise faults.KafkaTimeoutError("no answer in time")


def group(settings: KafkaSettings) -> int:
    """Ask for the group's committed offsets; give how many partitions of the events have one.

    Raises:
        SourceError: this client may not know of the group, or no broker answers.
    """
    client, wire = consumer(replace(settings, instance=None))
    try:
        with plainly(settings, f"asking for group {settings.group!r}"):
            found = client.partitions_for_topic(settings.events) or ()
            parts = [TopicPartition(settings.events, one) for one in found]
            offsets = [client.committed(tp, timeout_ms=_ANSWER_MS) for tp in parts[:_PARTITIONS]]
            return sum(offset is not None for offset in offsets)
    finally:
        let_go(client, wire)


def transactions(settings: KafkaSettings, name: str, topics: Sequence[str]) -> None:
    """Begin a transaction that names these topics, and end it: no record is written.

    Raises:
        SourceError: this client may not, or no broker answers.
    """
    with plainly(settings, f"transaction {name!r} over {', '.join(topics)}"):
        client, wire = producer(settings, name)
        try:
            client.begin_transaction()
            for topic in topics:
                manager = client._transaction_manager  # noqa: SLF001 - no public word on it
                manager.maybe_add_partition_to_transaction(TopicPartition(topic, 0))
            transact(client, "begin_commit", settings.flush_timeout)
        finally:
            with suppress(faults.KafkaError, OSError, RuntimeError):
                client.close(timeout=1.0)
            wire.cut()
