"""MessagePack: maps under the very same rules as JSON objects."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import Codec, decode_refused, encode_refused
from streams.formats import FormatSettings, open_codec
from streams.messagepack import MessagePack, depth
from streams.records import Event, Label, Refused
from streams.schema import Schema
from streams.wire import DEEPEST
from tests.codecs import SCHEMA
from tests.test_codec import GOOD, SENT

CODEC = open_codec(SCHEMA, FormatSettings("msgpack"))
pack = msgspec.msgpack.encode


def event(**fields: object) -> Event | Refused:
    return CODEC.event(pack(GOOD | fields), "here", 5.0)


def refused(found: Event | Label | Refused) -> Refused:
    assert isinstance(found, Refused), found
    assert decode_refused(encode_refused(found)) == found
    return found


def test_an_event_and_a_label_are_read() -> None:
    values = (1.5, "FR", ("a", "b"), 3.0)
    assert event(fraud=True, extra=[1, {}]) == Event("a", "7", 10.0, values, "true")
    raw = pack({"id": "a", "fraud": 1.0})
    assert CODEC.label(raw, "w", 5.0) == Label("a", 5.0, "1")


@given(SENT)
def test_what_json_can_say_is_judged_alike_in_both(sent: dict[str, Any]) -> None:
    """Save for what JSON cannot carry (NaN, infinities) and integers over 64 bits."""
    try:
        packed = pack(sent)
    except (OverflowError, UnicodeEncodeError):
        return
    text = json.dumps(sent)
    whole = Codec(SCHEMA).event(text.encode(), "w", 0.0)
    found = CODEC.event(packed, "w", 0.0)
    if any(word in text for word in ("NaN", "Infinity")):
        assert isinstance(found, (Event, Refused))
    elif isinstance(whole, Refused):
        assert isinstance(found, Refused)
        assert (found.reason, found.detail) == (whole.reason, whole.detail)
    else:
        assert found == whole


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "undecodable"),
        (b"\x81", "undecodable"),
        (b"\xc1", "undecodable"),
        (pack({"id": "a", "time": 1}) + b"\x00", "undecodable"),
        (pack([1, 2]), "not-an-object"),
        (pack(None), "not-an-object"),
        (pack({1: 2}), "not-an-object"),
        (b"\x81\x81\x01\x02\x03", "not-an-object"),
        (b"\x81\xa2id\xa1\xff", "bad-encoding"),
        (b"\x81\xa2id\xa3\xed\xa0\x80", "bad-encoding"),
        (pack({"id": "a", "time": 1, "amount": float("nan")}), "not-finite"),
        (pack({"id": "a", "time": 1, "amount": float("-inf")}), "not-finite"),
        (pack({"id": "a", "time": 1, "country": float("inf")}), "not-finite"),
        (pack({"id": "a", "time": 1, "amount": "1.5"}), "wrong-type"),
        (pack({"id": "a", "time": 1, "amount": b"1"}), "wrong-type"),
        (pack({"id": "a", "time": 1, "country": b"FR"}), "wrong-type"),
        (pack({"id": "a", "time": 1, "country": msgspec.msgpack.Ext(5, b"x")}), "wrong-type"),
        (pack({"id": "a", "time": 1, "text": [1]}), "wrong-type"),
        (pack({"id": b"a", "time": 1}), "wrong-type"),
        (pack({"id": "a", "time": True}), "bad-time"),
        (pack({"id": "a"}), "bad-time"),
        (b"\x82\xa2id\xa1a\xa4time\xc7\x0c\xff\0\0\0\0\x7f" + b"\xff" * 7, "bad-time"),
        (pack({"id": "", "time": 1}), "no-id"),
        (pack({"id": "a" * 10_000_000, "time": 1}), "oversize"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_record_is_refused_with_its_reason_and_its_bytes(raw: bytes, reason: str) -> None:
    found = refused(CODEC.event(raw, "here", 5.0))
    assert (found.reason, found.raw, found.where) == (reason, raw, "here")
    assert " at 0x" not in found.detail


def test_a_record_cut_short_anywhere_is_refused() -> None:
    raw = pack(GOOD)
    for end in range(len(raw)):
        assert refused(CODEC.event(raw[:end], "w", 5.0)).reason == "undecodable", end


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_lengths_that_promise_the_world_cost_nothing(head: bytes) -> None:
    for name in (b"amount", b"other"):
        raw = b"\x81" + bytes([0xA0 + len(name)]) + name + head + b"\xff\xff\xff\xff" * 50
        assert refused(CODEC.event(raw, "w", 5.0)).reason == "undecodable"


def test_timestamps_are_times() -> None:
    when = datetime(2024, 1, 1, tzinfo=UTC)
    found = event(time=when, seen=when + timedelta(milliseconds=1))
    assert isinstance(found, Event)
    assert (found.time, found.values[3]) == (when.timestamp(), when.timestamp() + 0.001)


def test_of_a_field_sent_twice_the_last_counts() -> None:
    codec = Codec(Schema({"x": "numeric"}), wire=MessagePack())
    found = codec.event(b"\x82\xa1x\x01\xa1x\x02", "w", 0.0)
    assert isinstance(found, Event)
    assert found.values == (2.0,)


@pytest.mark.parametrize("name", ['say "x"', "back\\slash", "new\nline", "", "$.a b", "été"])
def test_a_field_may_have_any_name(name: str) -> None:
    found = Codec(Schema({name: "numeric"}), wire=MessagePack()).event(pack({name: 4}), "w", 0.0)
    assert isinstance(found, Event)
    assert found.values == (4.0,)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=300) | st.binary(max_size=300) | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner),
    max_leaves=20,
)  # fmt: skip


def measured(value: object) -> int:
    """How deep it is, told by Python."""
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, (list, dict)):
        return 1 + max(map(measured, inner), default=0) if value else 0  # type: ignore[call-overload]  # values of either
    return 0


@given(NESTED)
def test_depth_is_what_it_is(value: object) -> None:
    assert depth(pack(value)) == measured(value)


@given(st.binary(max_size=200))
def test_depth_of_whatever_bytes_is_some_number(raw: bytes) -> None:
    assert 0 <= depth(raw) <= len(raw)


def test_nesting_is_refused_at_the_same_depth_wherever_it_is_read() -> None:
    def deep(levels: int) -> bytes:
        return b"\x83\xa2id\xa1a\xa4time\x01\xa1z" + b"\x91" * (levels - 1) + b"\xc0"

    def below(frames: int, raw: bytes) -> Event | Refused | Label:
        return below(frames - 1, raw) if frames else CODEC.event(raw, "w", 5.0)

    for frames in (0, 500):
        assert isinstance(below(frames, deep(DEEPEST)), Event)
        assert refused(below(frames, deep(DEEPEST + 1))).reason == "undecodable"
