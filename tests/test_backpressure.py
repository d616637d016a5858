"""A flood before a slow learner, and a sink that is stuck: memory bounded, the group intact."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.pump import Pump
from agent.service.settings import ServiceSettings
from streams.codec import Codec
from streams.kafka import KafkaSink, KafkaSource
from tests.broker import Broker, started
from tests.exact import SCHEMA, event, learner
from tests.kafkas import ids, settings

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]


def rss() -> int:
    """Bytes of memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def padded(at: int) -> bytes:
    return msgspec.json.encode(
        {"id": f"e{at}", "t": float(at), "a": 1.0, "b": 2.0, "pad": "x" * 900}
    )


def test_a_flood_fills_no_more_than_its_bound_and_loses_nothing(broker: Broker) -> None:
    count, most = 20_000, 200
    topic = broker.topic("events", partitions=3)
    for part in range(3):
        broker.preload(topic, [padded(at) for at in range(part, count, 3)], partition=part)
    chosen = settings(broker, topic, max_poll_records=most, merge_wait=10.0)
    source = KafkaSource(chosen, Codec(SCHEMA), time.monotonic)
    try:
        source.seek("all", {})
        before, paused = rss(), 0
        found: list[str] = []
        while len(found) < count:
            batches = source.poll(50, 0.05)  # slower than it could
            found += ids([record for batch in batches for record in batch.records])
            lanes = source._shards["all"].lanes.values()
            assert all(len(lane.items) <= 2 * most for lane in lanes)
            paused = max(paused, source.paused())
        assert found == [f"e{at}" for at in range(count)]
        assert paused >= 2
        assert rss() - before < 60 << 20
    finally:
        source.close()


@contextmanager
def pumping(pump: Pump) -> Iterator[list[Exception]]:
    """Run a pump on a thread of its own; what it raises is in the list."""
    stop = threading.Event()
    raised: list[Exception] = []

    def run() -> None:
        try:
            pump.run(stop.is_set)
        except Exception as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        stop.set()
        thread.join(40)
        pump.close()


@pytest.mark.slow
def test_a_sink_that_is_stuck_costs_no_membership_and_no_memory(
    broker: Broker, tmp_path: Path
) -> None:
    """The sink's brokers hang for ten seconds, longer than a silent member is borne."""
    topic = broker.topic("events", partitions=2)
    reads = settings(
        broker,
        topic,
        membership="group",
        session_timeout=3.0,
        rebalance_timeout=4.0,
        max_poll_records=500,
    )
    for part in (0, 1):
        broker.preload(topic, [event(at) for at in range(part, 6000, 2)], partition=part)
    with started() as own:
        writes = replace(
            reads,
            bootstrap=own.bootstrap,
            flush_timeout=1.0,
            predictions=own.topic("p"),
            refused=own.topic("r"),
        )
        source, steps = KafkaSource(reads, Codec(SCHEMA), time.monotonic), [0]
        pump = Pump(
            source,
            KafkaSink(writes, time.monotonic),
            learner,
            lambda shard: CheckpointStore(tmp_path, 3, {}, time.monotonic, shard),
            CheckpointSettings(str(tmp_path), 200, 1e9),
            ServiceSettings("at-least-once", max_batch=50),
            watchers=(lambda step: steps.append(step.predictions),),
        )
        with pumping(pump) as raised:
            until(lambda: sum(steps) >= 500)
            own.hang()
            before, rebalances = rss(), source.rebalances()
            time.sleep(10)
            assert source.rebalances() == rebalances
            assert rss() - before < 60 << 20
            own.wake()
            until(lambda: sum(steps) >= 6000)
            assert source.rebalances() == rebalances
            assert not raised
        found = own.read(writes.predictions, 6000, 5)
    assert {msgspec.json.decode(one.value)["id"] for one in found} == {
        f"e{at}" for at in range(6000)
    }


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
