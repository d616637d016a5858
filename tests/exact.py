"""A stream of events and labels on two topics, delivered exactly once: for several tests."""

import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaConsumer, TopicPartition

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.prequential import Prequential
from agent.service.pump import Pump
from agent.service.settings import ServiceSettings
from streams.codec import Codec
from streams.kafka import KafkaSettings, KafkaSink, KafkaSource, KafkaTransactions
from streams.kafka.exactly import transactional_id
from streams.kafka.journal import Journal, Noted, chain
from streams.labels import PendingSettings
from streams.records import Record
from streams.schema import Schema
from tests.broker import Broker
from tests.committed import committed

SCHEMA = Schema({"a": "numeric", "b": "numeric"}, target="y", id="id", time="t", label_target="y")
AGENT = AgentSettings(device="cpu", block=8, slots=32, hidden=8)


def learner(shard: str = "all") -> Prequential:
    """Make a small one."""
    del shard
    return Prequential.build(SCHEMA, AGENT, EncoderSettings(), PendingSettings())


def event(at: int) -> bytes:
    """Give the event of that number."""
    a, b = np.random.default_rng(at).normal(size=2).tolist()
    return msgspec.json.encode({"id": f"e{at}", "t": float(at), "a": a, "b": b})


def label(at: int, late: float = 3.0) -> bytes:
    """Give its label, so many seconds later."""
    a = float(np.random.default_rng(at).normal())
    return msgspec.json.encode({"id": f"e{at}", "t": at + late, "y": "up" if a > 0 else "down"})


def cluster(broker: Broker, partitions: int = 1, **more: Any) -> KafkaSettings:
    """Make the topics, and give settings for them."""
    events = broker.topic("events", partitions)
    made = KafkaSettings(
        bootstrap=broker.bootstrap,
        events=events,
        labels=broker.topic("labels", partitions),
        journal=broker.topic("journal", partitions),
        predictions=broker.topic("predictions", partitions),
        refused=broker.topic("refused"),
        group=f"group-{events}",
        membership="all",
        merge_wait=0.05,
        connect_timeout=5.0,
    )
    return replace(made, **more)


@dataclass
class Life:
    """A daemon's loop in this process, over real topics; it can be abandoned as a kill would."""

    pump: Pump
    source: KafkaSource
    sink: KafkaSink

    @classmethod
    def begin(
        cls,
        settings: KafkaSettings,
        folder: Path,
        every: int = 50,
        batch: int = 16,
        name: str = "unique",
    ) -> "Life":
        """Open all and restore."""
        source = KafkaSource(settings, Codec(SCHEMA), time.monotonic, journal=True)
        sink = KafkaSink(settings, time.monotonic, transactional_id(settings, name))
        pump = Pump(
            source,
            sink,
            learner,
            lambda shard: CheckpointStore(folder, 3, {}, time.monotonic, shard),
            CheckpointSettings(str(folder), every, 1e9),
            ServiceSettings(max_batch=batch, poll_wait=0.02, commit_seconds=0.03),
            transactions=KafkaTransactions(settings, source, sink),
        )
        pump.restore()
        return cls(pump, source, sink)

    def turns(self, count: int) -> None:
        """Run so many turns of the loop, then stop dead."""
        left = iter(range(count))
        self.pump._stop = lambda: False
        for _ in left:
            self.pump.turn()
            due = self.pump._cells.due()
            if due and self.pump._durable():
                self.pump._cells.submit(due)

    def abandon(self) -> None:
        """Let go of sockets and threads as a dying process would: nothing is flushed or left."""
        sender = self.sink.out._producer._sender
        sender.force_close()
        sender.join(2.0)
        self.sink.out._producer._closed = True
        self.sink.out._wire.cut()
        self.source._wire.cut()
        self.source._restoring.close()

    def finish(self, answered: int, broker: Broker, settings: KafkaSettings) -> None:
        """Run to the end of the topics, and stop in order."""
        del broker, settings
        until = time.monotonic() + 60
        self.pump.run(
            lambda: (
                time.monotonic() > until
                or sum(cell.learner.records for cell in self.pump._cells) >= answered
            )
        )
        self.pump.close()


def said(broker: Broker, settings: KafkaSettings, partitions: int = 1) -> Counter[str]:
    """Count the committed answers by id."""
    records = committed(broker, settings.predictions, partitions)
    return Counter(msgspec.json.decode(one.value)["id"] for one in records)


def offsets(broker: Broker, settings: KafkaSettings, partition: int) -> dict[str, int]:
    """Give the committed offsets of a shard, by part, as far as they are told."""
    topics = (settings.events, settings.labels or "")
    found = {topic: broker.committed(settings.group, topic, partition) for topic in topics}
    return {f"{topic}[{partition}]": at for topic, at in found.items() if at is not None}


def whole_chain(broker: Broker, settings: KafkaSettings, partition: int = 0) -> list[Noted]:
    """Give the journal from its first entry to the last that is committed."""
    journal = Journal(settings)
    try:
        notes, _ = journal.read(partition, 0)
    finally:
        journal.close()
    assert notes, f"the journal's partition {partition} is empty"
    found = chain(notes, -1)
    assert found is not None
    held = offsets(broker, settings, partition)  # some brokers hold them back
    assert all(notes[-1].entry.after[part] >= offset for part, offset in held.items())
    return found


def unbroken(broker: Broker, settings: KafkaSettings, partition: int = 0) -> str:
    """Give the fingerprint of one learner that takes all in the journal's order, in one piece."""
    codec, fresh = Codec(SCHEMA), learner()
    lanes = {
        f"{topic}[{partition}]": deque(_read(broker, codec, topic, partition, settings.labels))
        for topic in (settings.events, settings.labels or "")
    }
    for noted in whole_chain(broker, settings, partition):
        entry = noted.entry
        records: list[Record] = []
        for at, count in zip(entry.runs[::2], entry.runs[1::2], strict=True):
            records += [lanes[entry.parts[at]].popleft() for _ in range(count)]
        fresh.feed(records)
    return fresh.fingerprint()


def _read(
    broker: Broker, codec: Codec, topic: str, partition: int, labels: str | None
) -> Iterator[Record]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
    try:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        consumer.seek(tp, 0)
        quiet = 0
        while quiet < 5:
            records = consumer.poll(200).get(tp, [])
            quiet = 0 if records else quiet + 1
            for record in records:
                read = codec.label if topic == labels else codec.event
                yield read(record.value, f"{tp}@{record.offset}", record.timestamp / 1000)
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)


def shuffled(count: int, seed: int) -> random.Random:
    """Give a generator for a test."""
    del count
    return random.Random(seed)  # noqa: S311 - when to kill, no secret
