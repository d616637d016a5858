"""A schema registry: what it refers to, what it does not know, when it is away, who may ask."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.settings import SourceSettings
from streams.formats import FormatSettings, open_codec
from streams.source import SourceError
from streams.wire import LaterError
from tests.avro import (
    COUNTRY,
    FIELDS,
    GOOD,
    READ,
    SCHEMA,
    Hands,
    body,
    codec,
    framed,
    payments,
    record,
    refused,
)
from tests.registry import FakeRegistry, registry


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    with payments() as fake:
        yield fake


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
    assert len(served.asked) == 1, "it does not ask without a pause"
    assert hands.waits == [0.1, 0.1], "but whoever asks it again at once has to wait a little"
    hands.now += 3.0
    assert reads.in_touch() == pytest.approx(3.2)
    with pytest.raises(LaterError):
        reads.event(raw, "w", 5.0)
    assert len(served.asked) == 2
    hands.now += 1.0
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
