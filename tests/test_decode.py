"""From Kafka's records to the stream's: keys, times, and a registry that is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from streams.assemble import MOST_NAME
from streams.codec import Codec
from streams.formats import FormatSettings, open_codec
from streams.kafka.decode import Decoder
from streams.kafka.source import KafkaSource
from streams.records import Event, Label, Record, Refused
from streams.schema import Schema
from streams.wire import LaterError
from tests.avro import Hands, framed
from tests.broker import Broker
from tests.kafkas import clock, settings, take
from tests.registry import FakeRegistry, registry
from tests.single import Single

NOW = 1_700_000_000.0
SCHEMA = Schema({"x": "numeric"}, target="y", id="id", time="t")
PAYMENT = {
    "type": "record",
    "name": "P",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "t", "type": "double"},
        {"name": "x", "type": ["null", "double"]},
        {"name": "y", "type": ["null", "string"]},
    ],
}
KEY = {"type": "record", "name": "K", "fields": [{"name": "card", "type": "long"}]}


@dataclass
class Raw:
    """A record as Kafka's client gives it."""

    value: bytes | None
    offset: int = 0
    timestamp: int = round(NOW * 1000)
    key: bytes | None = None


def event(when: float, **more: Any) -> bytes:
    return msgspec.json.encode({"id": "a", "t": when, "x": 1.0} | more)


def decoded(codec: Codec, *records: Raw, topic: str = "events") -> list[Record]:
    found, after = Decoder(codec, labels="labels")("events[3]", topic, records)
    assert after == [record.offset + 1 for record in records]
    return found


TAKEN, GONE = (Event, Label), (Refused, Refused)


@pytest.mark.parametrize(
    ("when", "stamp", "kinds"),
    [
        (NOW, NOW, TAKEN),
        (NOW + 604_800.0, NOW, TAKEN),
        (NOW + 604_801.0, NOW, GONE),
        (4e9, NOW, GONE),
        (9e10, NOW, GONE),
        (-9e10, NOW, TAKEN),  # a late record of the past is nothing odd
        (4e9, -0.001, TAKEN),  # an old format of records has no time of its own
        (4e9, 4e9, TAKEN),
    ],
)
def test_what_is_dated_far_ahead_of_its_record_is_refused(
    when: float, stamp: float, kinds: tuple[type[Record], ...]
) -> None:
    raw = Raw(event(when, y="up"), offset=7, timestamp=round(stamp * 1000))
    for topic, kind in zip(("events", "labels"), kinds, strict=True):
        (found,) = decoded(Codec(SCHEMA), raw, topic=topic)
        assert type(found) is kind
        if isinstance(found, Refused):
            assert (found.reason, found.where, found.raw) == ("bad-time", "events[3]@7", raw.value)
            assert "stream.ahead" in found.detail


def test_the_bound_is_a_persons_choice() -> None:
    strict = Schema({"x": "numeric"}, id="id", time="t", ahead=0.0)
    assert isinstance(decoded(Codec(strict), Raw(event(NOW + 1.0)))[0], Refused)
    assert isinstance(decoded(Codec(strict), Raw(event(NOW)))[0], Event)
    loose = Schema({"x": "numeric"}, id="id", time="t", ahead=1e12)
    assert isinstance(decoded(Codec(loose), Raw(event(9e10)))[0], Event)
    with pytest.raises(ValueError, match=r"ahead is -1.0; give 0 or more seconds"):
        Schema({"x": "numeric"}, ahead=-1.0)


def test_a_record_without_a_value_is_refused_with_its_key() -> None:
    (found,) = decoded(Codec(SCHEMA), Raw(None, key=b"k"))
    assert isinstance(found, Refused)
    assert (found.reason, found.where, found.raw) == ("undecodable", "events[3]@0", b"k")


@pytest.mark.parametrize(
    ("key", "read"),
    [(None, ""), (b"c7", "c7"), (b"", ""), (b"\xff\0", "\ufffd\0"), (b"k" * 5000, "k" * MOST_NAME)],
)
def test_the_records_key_is_the_events_where_the_schema_names_none(
    key: bytes | None, read: str
) -> None:
    (found,) = decoded(Codec(SCHEMA), Raw(event(NOW), key=key))
    assert isinstance(found, Event)
    assert found.key == read


@contextmanager
def served() -> Iterator[tuple[FakeRegistry, Codec, Hands]]:
    with registry() as fake:
        fake.schemas.update({1: PAYMENT, 2: "string", 3: KEY, 4: "long"})
        fake.schemas[5] = {"type": "map", "values": "long"}
        hands = Hands()
        chosen = FormatSettings("avro", registry=fake.url)
        yield fake, open_codec(SCHEMA, chosen, hands.clock, hands.sleep), hands


def payment(at: int, number: int = 1) -> bytes:
    return framed(number, PAYMENT, {"id": f"e{at}", "t": NOW, "x": float(at), "y": "up"})


@pytest.mark.parametrize(
    ("number", "schema", "sent", "read"),
    [
        (2, "string", "card 7", "card 7"),
        (3, KEY, {"card": 7}, "7"),
        (4, "long", -1, "-1"),
        (2, "string", "", ""),
    ],
)
def test_a_key_may_be_avro_too(number: int, schema: Any, sent: Any, read: str) -> None:
    with served() as (_, codec, _):
        (found,) = decoded(codec, Raw(payment(1), key=framed(number, schema, sent)))
        assert isinstance(found, Event)
        assert found.key == read


@pytest.mark.parametrize(
    "key", [b"plain", b"\0", b"\0\0\0\0\x09x", b"\0\0\0\0\x05\0", b"\0\0\0\0\x02\x09"]
)
def test_a_key_that_is_no_avro_is_text_and_refuses_nothing(key: bytes) -> None:
    with served() as (_, codec, _):
        (found,) = decoded(codec, Raw(payment(1), key=key))
        assert isinstance(found, Event)
        assert found.key == key.decode()


def test_while_the_registry_is_away_nothing_is_given_and_nothing_is_refused() -> None:
    with served() as (fake, codec, hands):
        assert len(decoded(codec, Raw(payment(0)))) == 1
        fake.schemas[6] = PAYMENT
        fake.broken = (503, b"")
        records = [Raw(payment(1)), Raw(payment(2, number=6), offset=1)]
        for _ in range(2):
            with pytest.raises(LaterError, match="records wait until it answers"):
                decoded(codec, *records)
        assert codec.in_touch() > 0.0
        fake.broken = None
        hands.now += 1.0
        assert [type(one) for one in decoded(codec, *records)] == [Event, Event]
        assert codec.in_touch() == 0.0


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_messagepack_and_avro_come_from_a_broker_with_labels_beside(broker: Broker) -> None:
    events, labels = broker.topic("events"), broker.topic("labels")
    packed = [msgspec.msgpack.encode({"id": f"e{at}", "t": NOW + at, "x": at}) for at in range(5)]
    broker.preload(events, [*packed, b"\xc1"])
    broker.preload(labels, [msgspec.msgpack.encode({"id": "e2", "t": NOW + 9, "y": "up"})])
    with reading(broker, events, open_codec(SCHEMA, FormatSettings("msgpack")), labels) as source:
        found = take(source, 7)
    assert [one.id for one in found if isinstance(one, Event)] == [f"e{at}" for at in range(5)]
    assert [one.truth for one in found if isinstance(one, Label)] == ["up"]
    assert [one.reason for one in found if isinstance(one, Refused)] == ["undecodable"]
    with served() as (fake, codec, _):
        topic = broker.topic("avro")
        broker.preload(topic, [payment(0), payment(1, number=9), b"{}", payment(2)])
        with reading(broker, topic, codec) as source:
            found = take(source, 4)
        said = [one.reason if isinstance(one, Refused) else one.id for one in found]
        assert said == ["e0", "unknown-schema", "undecodable", "e2"]
        assert fake.asked == ["/schemas/ids/1", "/schemas/ids/9"]


@contextmanager
def reading(
    broker: Broker, events: str, codec: Codec, labels: str | None = None
) -> Iterator[Single]:
    source = Single(KafkaSource(settings(broker, events, labels), codec, clock))
    try:
        yield source
    finally:
        source.close()


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_a_registry_that_comes_back_finds_every_record_where_it_was(broker: Broker) -> None:
    with served() as (fake, codec, hands):
        topic = broker.topic("avro")
        broker.preload(topic, [payment(at, number=1 if at < 50 else 6) for at in range(100)])
        fake.broken = (503, b"")
        with reading(broker, topic, codec) as source:
            assert patiently(source, 3) == []
            fake.broken = None
            hands.now += 1.0
            assert len(patiently(source, 6)) == 100
            assert source.position() == {f"{topic}[0]": 100}


def patiently(source: Single, polls: int) -> list[Record]:
    found: list[Record] = []
    for _ in range(polls):
        try:
            found += source.poll(1000, 0.2)
        except LaterError:
            source.seek(source.position())
    return found
