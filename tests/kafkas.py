"""Kafka topics, written and read."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec

from streams.codec import Codec
from streams.kafka import KafkaSettings
from streams.kafka.sink import KafkaSink
from streams.kafka.source import KafkaSource
from streams.records import ClassPrediction, Label, Record, Refused
from streams.schema import Schema
from tests.broker import Broker
from tests.single import Single

SCHEMA = Schema({"x": "numeric"}, target="y", id="id", time="t", label_target="y")
clock = time.monotonic


def event(at: int, when: float | None = None) -> bytes:
    return msgspec.json.encode({"id": f"e{at}", "t": when if when is not None else at, "x": at})


def answer(at: int, pad: int = 0) -> ClassPrediction:
    return ClassPrediction(f"e{at}", "k", float(at), "a" * (pad + 1), {"a": 1.0})


def settings(broker: Broker, events: str, labels: str | None = None, **more: Any) -> KafkaSettings:
    base = KafkaSettings(
        bootstrap=broker.bootstrap,
        events=events,
        labels=labels,
        group=f"group-{events}",
        membership="all",  # joining a group takes tansu three seconds; one test does it
        connect_timeout=5.0,
    )
    return replace(base, **more)


@contextmanager
def reading(chosen: KafkaSettings, schema: Schema = SCHEMA) -> Iterator[Single]:
    source = Single(KafkaSource(chosen, Codec(schema), clock))
    try:
        yield source
    finally:
        source.close()


@contextmanager
def writing(chosen: KafkaSettings) -> Iterator[KafkaSink]:
    sink = KafkaSink(chosen, clock)
    try:
        yield sink
    finally:
        sink.close()


def take(source: Single, count: int, most: int = 512, seconds: float = 10.0) -> list[Record]:
    found: list[Record] = []
    until = clock() + seconds
    while len(found) < count and clock() < until:
        found += source.poll(min(most, count - len(found)), 0.1)
    return found


def ids(records: Sequence[Record]) -> list[str]:
    return [
        record.where
        if isinstance(record, Refused)
        else ("label " if isinstance(record, Label) else "") + record.id
        for record in records
    ]


def until(true: Callable[[], bool], seconds: float) -> float:
    began = clock()
    while not true():
        assert clock() - began < seconds, f"not true after {seconds} s"
        time.sleep(0.05)
    return clock() - began
