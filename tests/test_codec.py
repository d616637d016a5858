"""The codec reads what the schema allows and refuses the rest, whatever comes."""

import json
from dataclasses import replace
from math import isfinite

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import REASONS, Codec, decode_refused, encode_prediction, encode_refused
from streams.records import ClassPrediction, Event, Label, NumberPrediction, Refused, Truth, Value
from streams.schema import Schema
from streams.wire import DEEPEST
from tests.codecs import SCHEMA

GOOD = {"id": "a", "card": 7, "time": 10, "amount": 1.5, "country": "FR", "text": "a b", "seen": 3}


def event(**fields: object) -> Event:
    found = Codec(SCHEMA).event(json.dumps(GOOD | fields).encode(), "here", 5.0)
    assert isinstance(found, Event), found
    return found


def refusal(raw: bytes, schema: Schema = SCHEMA) -> Refused:
    found = Codec(schema).event(raw, "here", 5.0)
    assert isinstance(found, Refused), found
    assert found.raw == raw
    assert found.where == "here"
    assert found.reason in REASONS
    return found


def test_an_event_holds_its_values_in_the_schemas_order() -> None:
    assert event(fraud=True, extra=[1, {}]) == Event(
        "a", "7", 10.0, (1.5, "FR", ("a", "b"), 3.0), "true"
    )


@pytest.mark.parametrize(
    ("field", "sent", "value"),
    [
        ("amount", 3, 3.0),
        ("amount", True, 1.0),
        ("amount", None, None),
        ("amount", "", None),
        ("amount", 2**70, float(2**70)),
        ("country", 1.0, "1"),
        ("country", 1, "1"),
        ("country", 1.25, "1.25"),
        ("country", False, "false"),
        ("country", "", None),
        ("country", None, None),
        ("text", ["x y", "z", ""], ("x y", "z")),
        ("text", [], None),
        ("text", "  ", None),
        ("seen", "1970-01-01T00:01:00", 60.0),
        ("seen", "1970-01-01T01:01:00+01:00", 60.0),
        ("seen", "1970-01-01T00:01:00Z", 60.0),
        ("seen", 1_700_000_000_500, 1_700_000_000.5),
        ("seen", "", None),
    ],
)
def test_a_value_is_read_by_its_kind(field: str, sent: object, value: Value) -> None:
    assert event(**{field: sent}).values[list(SCHEMA.fields).index(field)] == value


def test_an_absent_value_is_missing_and_so_is_an_absent_label() -> None:
    found = Codec(SCHEMA).event(b'{"id":"a","time":1}', "here", 5.0)
    assert found == Event("a", "", 1.0, (None, None, None, None), None)


def test_place_and_time_stand_in_where_the_schema_names_none() -> None:
    found = Codec(Schema(fields={"x": "numeric"})).event(b'{"x":1}', "file:3", 5.0)
    assert found == Event("file:3", "", 5.0, (1.0,), None)


def test_of_a_field_sent_twice_the_last_counts() -> None:
    found = Codec(Schema(fields={"x": "numeric"})).event(b'{"x":1,"x":2}', "w", 0.0)
    assert isinstance(found, Event)
    assert found.values == (2.0,)


@pytest.mark.parametrize("name", ['say "x"', "back\\slash", "new\nline", "", "$.a b", "été"])
def test_a_field_may_have_any_name(name: str) -> None:
    found = Codec(Schema(fields={name: "numeric"})).event(json.dumps({name: 4}).encode(), "w", 0.0)
    assert isinstance(found, Event)
    assert found.values == (4.0,)


BAD = [
    (b"", "undecodable"),
    (b"{", "undecodable"),
    (b"not json", "undecodable"),
    (b'{"id":"a","time":1} x', "undecodable"),
    (b'{"id":"a\x01","time":1}', "undecodable"),
    (b'{"id":"\\ud800","time":1}', "undecodable"),
    (b'{"skipped":' + b"[" * 2000 + b"]" * 2000 + b"}", "undecodable"),
    (b'{"amount":' + b"[" * 2000 + b"]" * 2000 + b"}", "undecodable"),
    (b"[1, 2]", "not-an-object"),
    (b"null", "not-an-object"),
    (b"17", "not-an-object"),
    (b'{"id":"\xff","time":1}', "bad-encoding"),
    (b"\xff\xfe{\x00}\x00", "bad-encoding"),
    (b'{"id":"a","time":1,"amount":NaN}', "not-finite"),
    (b'{"id":"a","time":1,"amount":-Infinity}', "not-finite"),
    (b'{"id":"a","time":1,"amount":1e999}', "not-finite"),
    (b'{"id":"a","time":1,"amount":' + b"9" * 400 + b"}", "not-finite"),
    (b'{"id":"a","time":1,"amount":' + b"9" * 4000 + b"}", "not-finite"),
    (b'{"id":"a","time":1,"amount":"1.5"}', "wrong-type"),
    (b'{"id":"a","time":1,"amount":[1]}', "wrong-type"),
    (b'{"id":"a","time":1,"country":{"a":1}}', "wrong-type"),
    (b'{"id":"a","time":1,"text":[1]}', "wrong-type"),
    (b'{"id":"a","time":1,"text":3}', "wrong-type"),
    (b'{"id":"a","time":1,"fraud":[]}', "wrong-type"),
    (b'{"id":["a"],"time":1}', "wrong-type"),
    (b'{"id":"a","time":"yesterday"}', "bad-time"),
    (b'{"id":"a","time":true}', "bad-time"),
    (b'{"id":"a","time":1,"seen":"0001-01-01T00:00:00+99:00"}', "bad-time"),
    (b'{"id":"a"}', "bad-time"),
    (b'{"id":"","time":1}', "no-id"),
    (b'{"id":null,"time":1}', "no-id"),
    (b'{"id":"' + b"a" * 10_000_000 + b'","time":1}', "oversize"),
]


@pytest.mark.parametrize(("raw", "reason"), BAD, ids=lambda value: str(value)[:48])
def test_a_bad_record_is_refused_with_its_reason_and_its_bytes(raw: bytes, reason: str) -> None:
    assert refusal(raw).reason == reason


def test_a_refusal_names_the_field_the_value_and_the_remedy() -> None:
    detail = refusal(b'{"id":"a","time":1,"amount":"' + b"x" * 300 + b'"}').detail
    assert "'amount'" in detail
    assert "'xxxx" in detail
    assert "send a number" in detail
    assert len(detail) < 200


def test_a_huge_integer_can_be_a_category_or_is_refused() -> None:
    assert event(country=10**300).values[1] == "1" + "0" * 300
    too_long = b'{"id":"a","time":1,"country":' + b"9" * 4500 + b"}"
    assert refusal(too_long, replace(SCHEMA, max_bytes=9999)).reason in {"wrong-type", "not-finite"}
    assert "99999" not in refusal(b'{"id":"a","time":1,"amount":' + b"9" * 4000 + b"}").detail


@pytest.mark.parametrize("shape", ["[", '{"a":', '[{"[":'])
def test_nesting_is_refused_at_the_same_depth_wherever_it_is_read(shape: str) -> None:
    """Decoders give up where the stack does, which depends on who calls: a replay has another."""
    levels = shape.count("[") + shape.count("{") - shape.count('"[')
    ends = {"[": "]", '{"a":': "}", '[{"[":': "}]"}[shape]

    def nested(depth: int) -> bytes:
        times = depth // levels
        value = shape * times + "1" + ends * times
        return b'{"id":"a","time":1,"z":%s,"say":"]]}}[[{{"}' % value.encode()

    def below(frames: int, raw: bytes) -> Event | Refused:
        return below(frames - 1, raw) if frames else Codec(SCHEMA).event(raw, "w", 5.0)

    for frames in (0, 500):
        assert isinstance(below(frames, nested(DEEPEST - 2)), Event)
        assert isinstance(below(frames, nested(DEEPEST + 2)), Refused)


LABELS = Schema(
    fields={"x": "numeric"},
    goal="number",
    target="y",
    id="id",
    label_id="of",
    label_time="known",
    label_target="truth",
)


def test_a_label_is_read_by_its_own_names() -> None:
    found = Codec(LABELS).label(b'{"of":3,"known":9,"truth":4}', "w", 1.0)
    assert found == Label("3", 9.0, 4.0)


def test_a_labels_names_are_those_of_events_where_none_are_given() -> None:
    found = Codec(SCHEMA).label(b'{"id":"a","fraud":1.0}', "w", 5.0)
    assert found == Label("a", 5.0, "1")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"of":3,"known":9}', "no-label"),
        (b'{"of":3,"known":9,"truth":""}', "no-label"),
        (b'{"of":3,"known":9,"truth":"4"}', "wrong-type"),
        (b'{"known":9,"truth":4}', "no-id"),
        (b'{"of":3,"truth":4}', "bad-time"),
        (b'{"of":3,"known":9,"truth":1e999}', "not-finite"),
        (b"[]", "not-an-object"),
        (b" " * 70_000, "oversize"),
    ],
)
def test_a_bad_label_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    found = Codec(LABELS).label(raw, "w", 1.0)
    assert isinstance(found, Refused)
    assert found.reason == reason


def test_predictions_are_written_as_json_objects() -> None:
    said = ClassPrediction("a", "k", 1.0, "up", {"up": 0.75, "down": 0.25})
    number = NumberPrediction("a", "k", 1.0, 2.0, 1.0, 0.4, 3.6)
    for one in (said, number):
        told = {name: value for name, value in msgspec.structs.asdict(one).items() if value}
        assert json.loads(encode_prediction(one)) == told
        tagged = msgspec.structs.replace(one, task=0, task_probability=0.5, change="new")
        assert json.loads(encode_prediction(tagged)) == msgspec.structs.asdict(tagged)


def test_a_prediction_of_no_class_says_so() -> None:
    assert b'"label":null' in encode_prediction(ClassPrediction("a", "", 1.0, None, {}))


@given(st.builds(Refused, st.sampled_from(sorted(REASONS)), st.text(), st.text(), st.binary()))
def test_a_dead_letter_comes_back_as_it_went(refused: Refused) -> None:
    letter = encode_refused(refused)
    assert decode_refused(letter) == refused
    assert b"\n" not in letter


def test_what_is_no_dead_letter_is_a_value_error() -> None:
    for raw in (b"", b"[]", b'{"reason":"a","detail":"b","where":"c","raw":"!","base64":true}'):
        with pytest.raises(ValueError, match=r"."):
            decode_refused(raw)


SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from([*GOOD, "fraud", "other"])
SENT = st.dictionaries(NAMES, SOMETHING | st.sampled_from(["2020-01-01", 10, "", "a b", 10**400]))


def sound(found: Event | Label | Refused) -> bool:
    """Whether all that a record promises is so."""
    if isinstance(found, Refused):
        return found.reason in REASONS and decode_refused(encode_refused(found)) == found
    values: list[Value | Truth] = [found.time]
    values += [found.truth] if isinstance(found, Label) else [found.label, found.key, *found.values]
    msgspec.json.encode(found)  # every text is valid
    return bool(found.id) and all(
        value is None or isinstance(value, (str, tuple)) or isfinite(value) for value in values
    )


@given(SENT.map(lambda sent: json.dumps(sent).encode()) | st.binary(max_size=60))
def test_whatever_comes_ends_as_a_sound_record_or_a_refusal(raw: bytes) -> None:
    codec = Codec(SCHEMA)
    assert sound(codec.event(raw, "w", 0.0))
    assert sound(codec.label(raw, "w", 0.0))


@given(st.binary(max_size=40), st.binary(max_size=20), st.integers(0, 80))
def test_a_good_record_with_junk_inside_never_raises(junk: bytes, more: bytes, at: int) -> None:
    good = json.dumps(GOOD).encode()
    codec = Codec(SCHEMA)
    assert sound(codec.event(good[:at] + junk + good[at + 1 :] + more, "w", 0.0))
