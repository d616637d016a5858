"""Avro: each record by its writer's schema, whoever wrote it and whatever comes."""

import io
import json
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest

from agent.settings import SourceSettings
from streams.avro import ByFile
from streams.avroschema import prepared
from streams.codec import Codec, decode_refused, encode_refused
from streams.formats import FormatSettings, open_codec
from streams.records import Event, Label, Refused
from streams.schema import Schema
from streams.source import SourceError
from streams.wire import LaterError
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


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    with registry() as fake:
        fake.schemas[7] = record(FIELDS)
        yield fake


def codec(served: FakeRegistry, hands: Hands | None = None, **more: Any) -> Codec:
    hands = hands or Hands()
    chosen = FormatSettings("avro", registry=served.url, **more)
    return open_codec(SCHEMA, chosen, hands.clock, hands.sleep)


def refused(found: Event | Label | Refused) -> Refused:
    assert isinstance(found, Refused), found
    assert decode_refused(encode_refused(found)) == found
    return found


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


def test_schemas_of_another_kind_are_refused_and_asked_for_once(served: FakeRegistry) -> None:
    served.schemas[8] = "message P {}"
    served.more[8] = {"schemaType": "PROTOBUF"}
    reads = codec(served)
    for _ in range(3):
        assert "PROTOBUF" in refused(reads.event(b"\0\0\0\0\x08x", "w", 5.0)).detail
    assert served.asked == ["/schemas/ids/8"]


def test_what_a_schema_refers_to_is_fetched_too(served: FakeRegistry) -> None:
    outer = record(FIELDS | {"country": "geo.Country"})
    inner = COUNTRY | {"namespace": "geo"}
    served.schemas[8] = outer
    path = "/subjects/geo%2Fcountry/versions/2?deleted=true"
    served.more[8] = {"references": [{"name": "c", "subject": "geo/country", "version": 2}]}
    served.subjects[path] = {"schema": json.dumps(inner)}
    raw = b"\0\0\0\0\x08" + body(record(FIELDS), GOOD)
    assert codec(served).event(raw, "w", 5.0) == READ
    assert served.asked == ["/schemas/ids/8", path]


def test_references_in_a_circle_end(served: FakeRegistry) -> None:
    path = "/subjects/c/versions/1?deleted=true"
    circle = {"references": [{"name": "c", "subject": "c", "version": 1}]}
    served.schemas[8] = record(FIELDS | {"country": "C"})
    served.more[8] = circle
    served.subjects[path] = {"schema": json.dumps(COUNTRY), **circle}
    found = refused(codec(served).event(b"\0\0\0\0\x08", "w", 5.0))
    assert found.reason == "unknown-schema"
    assert len(served.asked) == 2


def test_an_unknown_id_is_refused_and_asked_for_again_only_after_a_while(
    served: FakeRegistry,
) -> None:
    hands = Hands()
    reads = codec(served, hands, forget=30.0)
    raw = framed(8, record(FIELDS), GOOD)
    for _ in range(100):
        assert refused(reads.event(raw, "w", 5.0)).reason == "unknown-schema"
    assert served.asked == ["/schemas/ids/8"]
    hands.now += 29.0
    served.schemas[8] = record(FIELDS)
    assert refused(reads.event(raw, "w", 5.0)).reason == "unknown-schema"
    hands.now += 2.0
    assert reads.event(raw, "w", 5.0) == READ
    assert len(served.asked) == 2


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((503, b"busy"), "503"),
        ((500, b'{"error_code":50001}'), "500"),
        ((401, b"{}"), "check the user and the password"),
        ((403, b"{}"), "may not read"),
        ((404, b"<html>no such page"), "404"),
        ((404, b'{"error_code":404,"message":"HTTP 404 Not Found"}'), "404"),
        ((200, b"<html>a login page"), "no JSON"),
        ((200, b"[]"), "without a schema"),
        ((200, b'{"schema":"\\"int\\"","references":[1]}'), "references"),
        ((200, b"[" * 100_000), "no JSON"),
    ],
    ids=str,
)
def test_a_registry_that_does_not_answer_loses_no_record(
    served: FakeRegistry, broken: tuple[int, bytes], said: str
) -> None:
    hands = Hands()
    reads = codec(served, hands)
    raw = framed(7, record(FIELDS), GOOD)
    served.broken = broken
    for _ in range(3):
        with pytest.raises(LaterError, match=said) as raised:
            reads.event(raw, "w", 5.0)
        assert isinstance(raised.value, SourceError)
        assert served.url in str(raised.value)
    assert hands.waits == [1.0, 1.0], "it does not ask without a pause"
    hands.now += 3.0
    assert reads.in_touch() == 5.0
    served.broken = None
    assert reads.event(raw, "w", 5.0) == READ
    assert reads.in_touch() == 0.0


def test_a_registry_that_is_gone_matters_only_for_new_schemas(served: FakeRegistry) -> None:
    reads = codec(served)
    raw = framed(7, record(FIELDS), GOOD)
    assert reads.event(raw, "w", 5.0) == READ
    served.broken = (503, b"")
    assert reads.event(raw, "w", 5.0) == READ
    with pytest.raises(LaterError):
        reads.event(framed(8, record(FIELDS), GOOD), "w", 5.0)


def test_where_nobody_listens_the_error_comes_at_once_and_names_the_place() -> None:
    hands = Hands()
    chosen = FormatSettings("avro", registry="http://127.0.0.1:9, http://127.0.0.1:9/two")
    reads = open_codec(SCHEMA, chosen, hands.clock, hands.sleep)
    with pytest.raises(LaterError, match=r"127.0.0.1:9: .*refused; http://127.0.0.1:9/two"):
        reads.event(b"\0\0\0\0\x07", "w", 5.0)


def test_the_second_address_answers_where_the_first_does_not(served: FakeRegistry) -> None:
    chosen = FormatSettings("avro", registry=f"http://127.0.0.1:9,{served.url}/")
    hands = Hands()
    reads = open_codec(SCHEMA, chosen, hands.clock, hands.sleep)
    assert reads.event(framed(7, record(FIELDS), GOOD), "w", 5.0) == READ


SECRET = "correct:horse\tbattery"  # noqa: S105 - what must not be seen


def test_the_registry_hears_the_password_and_nobody_else_does(
    served: FakeRegistry,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    served.login = f"reader:{SECRET}"
    chosen: dict[str, Any] = {"user": "reader", "password_file": str(tmp_path / "password")}
    raw = framed(7, record(FIELDS), GOOD)
    with caplog.at_level(logging.DEBUG), registry() as stranger:
        assert codec(served, **chosen).event(raw, "w", 5.0) == READ
        served.broken = (302, f"{stranger.url}/schemas/ids/7".encode())
        stranger.schemas[7] = record(FIELDS)
        assert codec(served, **chosen).event(raw, "w", 5.0) == READ
        assert stranger.seen == [None], "a redirect takes no password along"
        served.broken, served.login = None, "reader:another"
        with pytest.raises(LaterError, match="401") as raised:
            codec(served, **chosen).event(raw, "w", 5.0)
    shown = f"{caplog.text}{raised.value!r}{raised.getrepr()}{''.join(capfd.readouterr())}"
    assert SECRET not in shown
    assert served.seen[0] is not None
    assert served.seen[0].removeprefix("Basic ") not in shown
    assert SECRET not in repr(FormatSettings("avro", registry=served.url, **chosen))


def test_the_password_may_stand_in_the_environment(
    served: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "word")
    served.login = "reader:word"
    reads = codec(served, user="reader", password_env="REGISTRY_PASSWORD")  # noqa: S106 - its name
    assert reads.event(framed(7, record(FIELDS), GOOD), "w", 5.0) == READ


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


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"kind": "avro"}, "registry or schema: give one"),
        ({"kind": "avro", "registry": "http://r:1", "schema": Path("a")}, "give one of them"),
        ({"kind": "avro", "registry": "r:8081"}, "registry is 'r:8081'; give http"),
        ({"kind": "avro", "registry": "http://r:many"}, "registry is no address"),
        ({"kind": "avro", "registry": "file:///etc/passwd"}, "give http"),
        ({"kind": "avro", "registry": "http://r:1/?x"}, "give http"),
        ({"kind": "avro", "registry": "http://r:1/a\nb"}, "registry"),
        ({"kind": "avro", "registry": "http://me:word@r:1"}, "registry holds a user"),
        ({"kind": "avro", "registry": "http://r:1", "header": False}, "header is false"),
        ({"kind": "avro", "registry": "http://r:1", "label_schema": Path("a")}, "label_schema"),
        ({"kind": "avro", "registry": "http://r:1", "user": "me"}, "password_file or password_env"),
        ({"kind": "avro", "registry": "http://r:1", "password_env": "A"}, "user is missing"),
        ({"kind": "msgpack", "registry": "http://r:1"}, "registry has no effect"),
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"forget": float("nan")}, "forget is nan"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_field_and_remedy(
    bad: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        FormatSettings(**bad)
    assert "word@" not in str(raised.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"schema": Path("/no/such")}, r"source.format.schema = '/no/such': No such file"),
        ({"schema": Path(__file__)}, r"source.format.schema = .*cannot be parsed"),
        (
            {"registry": "http://r:1", "user": "me", "password_file": "/no/such"},
            "source.format.password_file = '/no/such': No such file",
        ),
        (
            {"registry": "http://r:1", "user": "me", "password_env": "NOT_SET_ANYWHERE"},
            "source.format.password_env = 'NOT_SET_ANYWHERE': there is no password",
        ),
        (
            {"registry": "https://r:1", "cafile": Path(__file__)},
            "source.format.cafile = .*; give a PEM",
        ),
    ],
)
def test_what_is_not_there_stops_the_start_and_is_named(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        open_codec(SCHEMA, FormatSettings("avro", **bad))


def test_other_sources_hold_no_such_records() -> None:
    with pytest.raises(ValueError, match=r'format.kind is "msgpack", but a world holds no such'):
        SourceSettings(format=FormatSettings("msgpack"))
