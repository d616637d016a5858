"""The Kafka source and sink against a real broker."""

import msgspec
import pytest

from streams.records import Event, Refused
from streams.schema import Schema
from streams.source import SourceError
from tests.broker import Broker
from tests.kafkas import answer, clock, event, ids, reading, settings, take, until, writing

pytestmark = pytest.mark.kafka


def label(at: int, when: float) -> bytes:
    return msgspec.json.encode({"id": f"e{at}", "t": when, "y": "yes"})


@pytest.fixture
def outputs(broker: Broker) -> dict[str, str]:
    return {"predictions": broker.topic("answers"), "refused": broker.topic("dead")}


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_one_partition_comes_in_offset_order_whatever_the_poll_size(
    broker: Broker, most: int
) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(at, when=-at) for at in range(60)])
    with reading(settings(broker, topic, max_poll_records=11)) as source:
        assert source.lag() is None  # nothing of it was fetched
        assert ids(take(source, 60, most)) == [f"e{at}" for at in range(60)]
        assert source.position() == {f"{topic}[0]": 60}
        assert source.lag() == {f"{topic}[0]": 0}
        assert source.poll(most, 0.0) == []


def test_a_position_sought_is_where_it_goes_on_also_in_the_same_source(broker: Broker) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(at) for at in range(50)])
    chosen = settings(broker, topic)
    with reading(chosen) as source:
        take(source, 20)
        kept = source.position()
        after = take(source, 30)
        source.seek(kept)
        assert source.position() == kept
        assert take(source, 30) == after
    with reading(chosen) as source:
        source.seek(kept)
        assert take(source, 30) == after


def test_a_commit_covers_the_checkpoint_and_no_record_more(broker: Broker) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(at) for at in range(40)])
    chosen = settings(broker, topic)
    with reading(chosen) as source:
        take(source, 10)
        covered = source.position()
        take(source, 15)
        source.commit(covered)
    assert broker.committed(chosen.group, topic) == 10
    with reading(chosen) as source:  # no checkpoint: the committed offset says where
        assert ids(take(source, 1)) == ["e10"]


def test_a_group_member_joins_and_a_checkpoint_wins_over_its_committed_offset(
    broker: Broker,
) -> None:
    topic = broker.topic("events", partitions=2)
    for partition in (0, 1):
        broker.preload(topic, [event(at) for at in range(partition, 20, 2)], partition=partition)
    with reading(settings(broker, topic, membership="group")) as source:
        assert not source.assigned()
        joined = take(source, 20, seconds=60.0)  # the broker takes its time to form a group
        assert sorted(ids(joined)) == sorted(f"e{at}" for at in range(20))  # a shard each
        assert source.assigned()
        source.commit(source.position())
        source.seek({f"{topic}[0]": 4, f"{topic}[1]": 5})
        rest = ["e8", "e10", *(f"e{at}" for at in range(11, 20))]
        assert sorted(ids(take(source, 11))) == sorted(rest)


@pytest.mark.parametrize("most", [3, 1000])
def test_two_topics_are_merged_by_time_and_a_label_comes_right_after_its_event(
    broker: Broker, most: int
) -> None:
    events, labels = broker.topic("events"), broker.topic("labels")
    count = 3000
    broker.preload(events, [event(at) for at in range(count)])
    broker.preload(labels, [label(at, at + 0.5 * (at % 2)) for at in range(count)])
    chosen = settings(broker, events, labels, max_poll_records=100)
    with reading(chosen) as source:
        found = take(source, 2 * count, most)
    assert ids(found) == [name for at in range(count) for name in (f"e{at}", f"label e{at}")]


def test_several_partitions_are_merged_by_time_and_resume_in_the_same_order(
    broker: Broker,
) -> None:
    topic = broker.topic("events", partitions=3)
    for partition in range(3):
        own = [event(at) for at in range(600) if at % 7 % 3 == partition]
        broker.preload(topic, own, partition=partition)
    with reading(settings(broker, topic, max_poll_records=50)) as source:
        take(source, 250)
        kept = source.position()
        rest = take(source, 350)
        source.seek(kept)
        assert ids(rest) == [f"e{at}" for at in range(250, 600)]
        assert ids(take(source, 350)) == ids(rest)


def test_an_event_that_comes_while_the_labels_are_silent_is_not_kept_waiting(
    broker: Broker,
) -> None:
    events, labels = broker.topic("events"), broker.topic("labels")
    broker.preload(labels, [label(0, 5.0)])
    with reading(settings(broker, events, labels)) as source:
        assert ids(take(source, 1)) == ["label e0"]
        broker.preload(events, [event(1)])
        began = clock()
        assert ids(take(source, 1)) == ["e1"]
        assert clock() - began < 1.5


def test_tombstones_and_broken_records_are_refused_in_their_place_with_their_bytes(
    broker: Broker,
) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(0), None, b"{", event(3)])
    with reading(settings(broker, topic)) as source:
        first, tombstone, broken, last = take(source, 4)
    assert ids([first, last]) == ["e0", "e3"]
    assert isinstance(tombstone, Refused)
    assert (tombstone.reason, tombstone.where) == ("undecodable", f"{topic}[0]@1")
    assert isinstance(broken, Refused)
    assert (broken.raw, broken.where) == (b"{", f"{topic}[0]@2")


def test_the_records_own_key_and_time_serve_where_the_schema_names_none(broker: Broker) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [b'{"x":1}', b'{"x":2}'], keys=[b"card-7", None], times=[1000.5, 1001.0])
    with reading(settings(broker, topic), Schema({"x": "numeric"})) as source:
        found = take(source, 2)
    assert found == [
        Event(f"{topic}[0]@0", "card-7", 1000.5, (1.0,)),
        Event(f"{topic}[0]@1", "", 1001.0, (2.0,)),
    ]


@pytest.mark.parametrize(("policy", "first"), [("earliest", "e0"), ("latest", "late")])
def test_a_position_beyond_the_log_obeys_the_policy(
    broker: Broker, policy: str, first: str
) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(0), event(1)])
    with reading(settings(broker, topic, out_of_range=policy)) as source:
        source.seek({f"{topic}[0]": 1000})
        if policy == "latest":
            until(lambda: source.poll(1, 0.05) == [] and source.position()[f"{topic}[0]"] == 2, 5)
        broker.preload(topic, [b'{"id":"late","t":9,"x":1}'])
        assert ids(take(source, 1)) == [first]


def test_a_position_beyond_the_log_stops_the_source_where_it_must_not_lose_any(
    broker: Broker,
) -> None:
    topic = broker.topic("events")
    broker.preload(topic, [event(0), event(1)])
    with reading(settings(broker, topic)) as source:
        source.seek({f"{topic}[0]": 1000})
        with pytest.raises(SourceError, match=r"holds the offsets 0 to 2, not 1000.*out_of_range"):
            take(source, 1, seconds=5)


def test_answers_and_dead_letters_arrive_with_keys_and_headers(
    broker: Broker, outputs: dict[str, str]
) -> None:
    with writing(settings(broker, "unused", **outputs)) as sink:
        sink.predictions([answer(at) for at in range(100)])
        sink.refused([Refused("undecodable", "no JSON", "events[0]@4", b"\xff{")])
        sink.flush()
        assert sink.position() == {}
        assert sink.in_touch() < 3
    answers = broker.read(outputs["predictions"], 100)
    assert [msgspec.json.decode(record.value)["id"] for record in answers] == [
        f"e{at}" for at in range(100)
    ]
    assert {record.key for record in answers} == {b"k"}
    assert ("content-type", b"application/json") in answers[0].headers
    (letter,) = broker.read(outputs["refused"], 1)
    assert letter.value == b"\xff{"
    assert dict(letter.headers) == {
        "reason": b"undecodable",
        "detail": b"no JSON",
        "where": b"events[0]@4",
    }


def test_an_answer_too_large_to_send_becomes_a_dead_letter_and_the_others_go_on(
    broker: Broker, outputs: dict[str, str]
) -> None:
    with writing(settings(broker, "unused", max_output_bytes=2000, **outputs)) as sink:
        sink.predictions([answer(0), answer(1, pad=5000), answer(2)])
        sink.flush()
        assert sink.recreations == 0
    found = [
        msgspec.json.decode(record.value)["id"] for record in broker.read(outputs["predictions"], 2)
    ]
    assert found == ["e0", "e2"]
    (letter,) = broker.read(outputs["refused"], 1)
    assert dict(letter.headers)["reason"] == b"oversize-output"


def test_an_answer_that_is_refused_twice_becomes_a_dead_letter_and_the_rest_is_sent_again(
    broker: Broker, outputs: dict[str, str]
) -> None:
    chosen = settings(broker, "unused", producer={"max_request_size": 20_000}, **outputs)
    with writing(chosen) as sink:
        sink.predictions([answer(0), answer(1, pad=50_000), *map(answer, range(2, 30))])
        sink.flush()
        assert sink.recreations == 2  # once for all, once when the same record failed alone
    found = [
        msgspec.json.decode(record.value)["id"]
        for record in broker.read(outputs["predictions"], 29)
    ]
    assert found == ["e0", *(f"e{at}" for at in range(2, 30))]
    (letter,) = broker.read(outputs["refused"], 1)
    assert dict(letter.headers)["reason"] == b"oversize-output"
    assert len(letter.value) < 20_000 < int(dict(letter.headers)["bytes"])
