"""Payments in Avro, and what reads them by a registry on loopback."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro

from streams.codec import Codec, decode_refused, encode_refused
from streams.formats import FormatSettings, open_codec
from streams.records import Event, Label, Refused
from streams.schema import Schema
from tests.registry import FakeRegistry, registry

SCHEMA = Schema(
    fields={"amount": "numeric", "country": "categorical", "text": "tokens", "seen": "time"},
    target="fraud",
    id="id",
    key="card",
    time="time",
    max_bytes=4096,
)
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
COUNTRY = {"type": "enum", "name": "Country", "symbols": ["DE", "FR"]}
FIELDS: dict[str, Any] = {
    "id": "string",
    "card": "long",
    "time": MILLIS,
    "amount": ["null", MONEY],
    "country": COUNTRY,
    "text": {"type": "array", "items": "string"},
    "seen": ["null", {"type": "int", "logicalType": "date"}],
    "fraud": ["null", "boolean"],
}
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "id": "a",
    "card": 7,
    "time": NOON,
    "amount": Decimal("12.50"),
    "country": "FR",
    "text": ["a", "b"],
    "seen": date(2024, 1, 1),
    "fraud": None,
}
READ = Event("a", "7", NOON.timestamp(), (12.5, "FR", ("a", "b"), 1_704_067_200.0), None)


def record(fields: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": name, "type": kind} for name, kind in fields.items()]
    return {"type": "record", "name": "Payment", "fields": named}


def body(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def framed(number: int, schema: Any, value: Any) -> bytes:
    return b"\0" + struct.pack(">I", number) + body(schema, value)


@dataclass
class Hands:
    """A clock that only waiting moves."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@contextmanager
def payments() -> Iterator[FakeRegistry]:
    """Serve the schema of payments as number 7."""
    with registry() as fake:
        fake.schemas[7] = record(FIELDS)
        yield fake


def codec(served: FakeRegistry, hands: Hands | None = None, **more: Any) -> Codec:
    """Give what reads payments by that registry."""
    hands = hands or Hands()
    chosen = FormatSettings("avro", registry=served.url, **more)
    return open_codec(SCHEMA, chosen, hands.clock, hands.sleep)


def refused(found: Event | Label | Refused) -> Refused:
    assert isinstance(found, Refused), found
    assert decode_refused(encode_refused(found)) == found
    return found
