"""Avro: each record by its writer's schema, whoever wrote it and whatever comes."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from streams.avro import ByFile
from streams.avroschema import prepared
from streams.codec import Codec
from streams.formats import FormatSettings, open_codec
from streams.records import Event, Label, Refused
from tests.avro import (
    FIELDS,
    GOOD,
    MILLIS,
    MONEY,
    NOON,
    READ,
    SCHEMA,
    body,
    codec,
    framed,
    payments,
    record,
    refused,
)
from tests.registry import FakeRegistry


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    with payments() as fake:
        yield fake


def test_a_record_is_read_by_the_schema_that_its_header_names(served: FakeRegistry) -> None:
    reads = codec(served)
    raw = framed(7, record(FIELDS), GOOD)
    assert [reads.event(raw, "here", 5.0) for _ in range(3)] == [READ] * 3
    assert served.asked == ["/schemas/ids/7"]
    assert reads.in_touch() == 0.0


def test_labels_come_by_the_same_registry(served: FakeRegistry) -> None:
    told = record({"id": "string", "time": MILLIS, "fraud": "boolean"})
    served.schemas[9] = told
    raw = framed(9, told, {"id": "a", "time": NOON, "fraud": True})
    assert codec(served).label(raw, "l", 5.0) == Label("a", NOON.timestamp(), "true")


def test_fields_come_and_go_while_it_runs(served: FakeRegistry) -> None:
    reads = codec(served)
    assert reads.event(framed(7, record(FIELDS), GOOD), "w", 5.0) == READ
    less = record({name: kind for name, kind in FIELDS.items() if name not in {"text", "amount"}})
    served.schemas[8] = less
    found = reads.event(framed(8, less, GOOD), "w", 5.0)
    assert isinstance(found, Event)
    assert found.values == (None, "FR", None, READ.values[3])
    more = record({"extra": {"type": "map", "values": "bytes"}, **FIELDS, "amount": "double"})
    served.schemas[9] = more
    found = reads.event(framed(9, more, GOOD | {"extra": {"k": b"\xff"}, "amount": 12.5}), "w", 5.0)
    assert found == READ
    assert reads.event(framed(7, record(FIELDS), GOOD), "w", 5.0) == READ
    assert served.asked == [f"/schemas/ids/{number}" for number in (7, 8, 9)]


@pytest.mark.parametrize(
    ("field", "kind", "sent", "value"),
    [
        ("amount", "int", 3, 3.0),
        ("amount", "float", 0.5, 0.5),
        ("amount", ["null", "double"], None, None),
        ("amount", ["string", "long"], 2**62, float(2**62)),
        ("amount", MONEY | {"scale": 0}, Decimal(-3), -3.0),
        ("amount", MONEY, Decimal("-0.01"), -0.01),
        ("amount", MONEY | {"type": "fixed", "name": "F", "size": 3}, b"\0\0\x32", 0.5),
        ("amount", {"type": "int", "logicalType": "time-millis"}, 90_500, 90.5),
        ("country", "string", "FR", "FR"),
        ("country", "long", 7, "7"),
        ("country", MONEY | {"scale": 0, "precision": 40}, Decimal(10**38 + 1), str(10**38 + 1)),
        ("country", {"type": "string", "logicalType": "uuid"}, str(UUID(int=1)), str(UUID(int=1))),
        ("country", {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"},
         UUID(int=1).bytes, str(UUID(int=1))),
        ("text", "string", "x y", ("x", "y")),
        ("text", ["null", {"type": "array", "items": "string"}], [], None),
        ("seen", MILLIS, 500, 0.5),
        ("seen", MILLIS | {"logicalType": "timestamp-micros"}, 1_500_000, 1.5),
        ("seen", MILLIS | {"logicalType": "local-timestamp-millis"}, -1000, -1.0),
        ("seen", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"},
         1_704_067_200_000_000, 1_704_067_200.0),
        ("seen", "string", "2024-01-01T00:00:00Z", 1_704_067_200.0),
        ("seen", "long", 1_704_067_200_000, 1_704_067_200.0),
    ],
)  # fmt: skip
def test_a_value_is_read_by_its_type_and_its_kind(
    field: str, kind: Any, sent: Any, value: Any
) -> None:
    schema = record(FIELDS | {field: kind})
    found = read_raw(schema, field, kind, sent)
    assert isinstance(found, Event), found
    assert found.values[list(SCHEMA.fields).index(field)] == value


def read_raw(schema: Any, field: str, kind: Any, sent: Any) -> Event | Refused:
    """Write that field as its plain type, so that no logical writer has a say; read it back."""
    bare = kind
    if isinstance(kind, dict) and not isinstance(sent, Decimal):
        bare = {name: one for name, one in kind.items() if name != "logicalType"}
    raw = framed(1, record(FIELDS | {field: bare}), GOOD | {field: sent})
    return codec_of(schema).event(raw, "here", 5.0)


def codec_of(schema: Any) -> Codec:
    parsed = prepared(json.dumps(schema))
    return Codec(SCHEMA, wire=ByFile({"events": parsed, "labels": parsed}, header=True))


@pytest.mark.parametrize(
    ("field", "kind", "sent", "reason"),
    [
        ("amount", "double", float("nan"), "not-finite"),
        ("amount", "float", float("-inf"), "not-finite"),
        ("amount", "string", "12", "wrong-type"),
        ("amount", "bytes", b"12", "wrong-type"),
        ("amount", {"type": "array", "items": "long"}, [1], "wrong-type"),
        ("amount", MONEY | {"precision": 1000}, Decimal(10**400), "not-finite"),
        ("country", "bytes", b"FR", "wrong-type"),
        ("country", {"type": "map", "values": "long"}, {"a": 1}, "wrong-type"),
        ("text", "double", 1.0, "wrong-type"),
        ("seen", MILLIS, 2**62, "bad-time"),
        ("seen", {"type": "int", "logicalType": "date"}, 2**30, "bad-time"),
        ("seen", "long", 1_704_067_200_000_000, "bad-time"),
        ("seen", "boolean", True, "bad-time"),
        ("id", "string", "", "no-id"),
        ("id", ["null", "string"], None, "no-id"),
        ("time", ["null", MILLIS], None, "bad-time"),
    ],
)
def test_a_bad_value_is_refused_with_its_reason(
    field: str, kind: Any, sent: Any, reason: str
) -> None:
    found = refused(read_raw(record(FIELDS | {field: kind}), field, kind, sent))
    assert found.reason == reason
    assert repr(field) in found.detail


def test_a_record_cut_short_anywhere_is_refused(served: FakeRegistry) -> None:
    reads = codec(served)
    raw = framed(7, record(FIELDS), GOOD)
    for end in range(len(raw)):
        assert refused(reads.event(raw[:end], "w", 5.0)).reason == "undecodable", end
    assert refused(reads.event(raw + b"\0", "w", 5.0)).reason == "undecodable"
    assert served.asked == ["/schemas/ids/7"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\0", b"{}", b"\1\0\0\0\7\2a", b"\0\xff\xff\xff\xff\2a", b"\0\x80\0\0\0"],
)
def test_what_has_no_header_is_refused_and_nobody_is_asked(
    served: FakeRegistry, raw: bytes
) -> None:
    found = refused(codec(served).event(raw, "w", 5.0))
    assert (found.reason, found.raw) == ("undecodable", raw)
    assert served.asked == []


def test_bytes_that_promise_more_than_they_hold_cost_nothing(served: FakeRegistry) -> None:
    lists = record({"text": {"type": "array", "items": "string"}, "amount": "bytes"})
    served.schemas[8] = lists
    reads = codec(served)
    for promise in (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xff" * 4000):
        assert refused(reads.event(b"\0\0\0\0\x08" + promise, "w", 5.0)).reason == "undecodable"


TREE = {"type": "record", "name": "Tree", "fields": [{"name": "next", "type": ["null", "Tree"]}]}
WIDE: Any = "string"
for _depth in range(20):
    _again = WIDE if isinstance(WIDE, str) else WIDE["name"]
    WIDE = record({"a": WIDE, "b": _again}) | {"name": f"R{_depth}"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (TREE, "holds itself"),
        (record({"id": "string", "tree": TREE}), "holds itself"),
        (record({"none": {"type": "array", "items": "null"}}), "items of no bytes"),
        (record({"none": {"type": "map", "values": {"type": "array", "items": "null"}}}), "items"),
        (WIDE, "more than 10000 types"),
        ({"type": "record", "name": "A", "fields": [{"name": "b", "type": "B"}]}, "UnknownType"),
        ({"type": "recrod"}, "cannot be parsed"),
        (17, "cannot be parsed"),
        ({"type": "record", "name": "A", "fields": {"__fastavro_parsed__": True}}, "cannot be"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_schema_of_no_use_refuses_its_records_and_is_asked_for_once(
    served: FakeRegistry, schema: Any, why: str
) -> None:
    served.schemas[8] = schema
    reads = codec(served)
    deep = b"\0\0\0\0\x08" + b"\x02" * 4000
    for _ in range(3):
        found = refused(reads.event(deep, "w", 5.0))
        assert found.reason == "unknown-schema"
        assert "schema 8" in found.detail
        assert why in found.detail
    assert served.asked == ["/schemas/ids/8"]


def test_a_record_that_is_no_object_is_refused(served: FakeRegistry) -> None:
    served.schemas[8] = "string"
    raw = framed(8, "string", "text")
    assert refused(codec(served).event(raw, "w", 5.0)).reason == "not-an-object"


def test_a_schema_file_reads_plain_bodies_and_those_behind_any_header(tmp_path: Path) -> None:
    told = record({"id": "string", "fraud": "boolean"})
    (tmp_path / "event.avsc").write_text(json.dumps(record(FIELDS)))
    (tmp_path / "label.avsc").write_text(json.dumps(told))
    files: dict[str, Any] = {
        "schema": tmp_path / "event.avsc",
        "label_schema": tmp_path / "label.avsc",
    }
    plain = open_codec(SCHEMA, FormatSettings("avro", header=False, **files))
    raw = body(record(FIELDS), GOOD)
    assert plain.event(raw, "w", 5.0) == READ
    assert plain.label(body(told, {"id": "a", "fraud": True}), "w", 5.0) == Label("a", 5.0, "true")
    for end in range(len(raw)):
        assert refused(plain.event(raw[:end], "w", 5.0)).reason == "undecodable"
    behind = open_codec(SCHEMA, FormatSettings("avro", **files))
    assert behind.event(b"\0\0\0\0\x63" + raw, "w", 5.0) == READ
    assert refused(behind.event(raw, "w", 5.0)).reason == "undecodable"
