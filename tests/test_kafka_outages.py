"""Brokers that restart, hang, die or were never there."""

import threading
import time
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest

from streams.codec import Codec
from streams.kafka import KafkaSettings
from streams.kafka.sink import KafkaSink
from streams.kafka.source import KafkaSource
from streams.source import SourceError
from tests.broker import Broker, free_port, started
from tests.kafkas import SCHEMA, answer, clock, event, ids, reading, settings, take, until, writing
from tests.single import Single

pytestmark = pytest.mark.kafka


def test_a_producer_that_a_restarted_broker_does_not_know_is_outlived() -> None:
    port = free_port()
    topics = {"predictions": "answers", "refused": "dead"}
    with started(port=port) as first:
        chosen = settings(first, "unused", create_topics=True, **topics)
        sink = KafkaSink(chosen, clock)
        sink.predictions([answer(at) for at in range(10)])
        sink.flush()
        first.kill()  # with all it had, also the producer's sequence
    with started(port=port) as second:
        second.create("answers")
        second.create("dead")
        sink.predictions([answer(at) for at in range(10, 40)])
        sink.flush()
        sink.close()
        found = [msgspec.json.decode(record.value)["id"] for record in second.read("answers", 30)]
    assert found == [f"e{at}" for at in range(10, 40)]


def test_a_batch_that_expired_while_the_broker_hung_is_sent_by_a_new_producer() -> None:
    with started() as own:
        topics = {"predictions": own.topic("p"), "refused": own.topic("r")}
        short = {"delivery_timeout_ms": 1200, "request_timeout_ms": 1000}
        with writing(settings(own, "unused", producer=short, **topics)) as sink:
            own.hang()
            sink.predictions([answer(at) for at in range(20)])
            waker = threading.Timer(2.5, own.wake)
            waker.start()
            sink.flush()
            waker.join()
            assert sink.recreations >= 1
        found = [
            msgspec.json.decode(record.value)["id"]
            for record in own.read(topics["predictions"], 20)
        ]
    assert list(dict.fromkeys(found)) == [f"e{at}" for at in range(20)]


def test_a_broker_that_hangs_is_noticed_within_seconds_and_outlived() -> None:
    with started() as own:
        chosen = settings(
            own, own.topic("events"), predictions=own.topic("p"), refused=own.topic("r")
        )
        own.preload(chosen.events, [event(0)])
        with reading(chosen) as source, writing(chosen) as sink:
            assert ids(take(source, 1)) == ["e0"]
            own.hang()
            until(lambda: source.poll(10, 0.05) == [] and source.in_touch() > 2, 4)
            until(lambda: sink.in_touch() > 2, 2)
            sink.predictions([answer(0)])
            own.wake()
            sink.flush()
            own.preload(chosen.events, [event(1)])
            assert ids(take(source, 1)) == ["e1"]
            assert source.in_touch() < 1.5
            assert sink.in_touch() < 1.5
        assert len(own.read(chosen.predictions, 1)) == 1


def test_a_broker_that_is_killed_and_comes_back_is_read_on_where_it_was_left() -> None:
    port, topics = free_port(), {"predictions": "answers", "refused": "dead"}
    with started(port=port) as first:
        chosen = settings(first, "events", create_topics=True, **topics)
        source = Single(KafkaSource(chosen, Codec(SCHEMA), clock))
        first.preload("events", [event(0)])
        assert ids(take(source, 1)) == ["e0"]
        first.kill()
        until(lambda: source.poll(1, 0.05) == [] and source.in_touch() > 1.5, 4)
    with closing(source), started(port=port) as second:
        second.create("events")  # what it stored is lost: this is a topic restored from elsewhere
        second.preload("events", [event(at) for at in range(5)])
        rest = take(source, 4)
        assert ids(rest) == ["e1", "e2", "e3", "e4"]
        assert source.in_touch() < 1.5


def test_close_neither_raises_nor_hangs_when_the_broker_was_killed() -> None:
    with started() as own:
        chosen = settings(
            own, own.topic("events"), predictions=own.topic("p"), refused=own.topic("r")
        )
        chosen = replace(chosen, flush_timeout=1.0)
        source, sink = Single(KafkaSource(chosen, Codec(SCHEMA), clock)), KafkaSink(chosen, clock)
        source.poll(1, 0.1)
        own.kill()
        sink.predictions([answer(0)])
        source.commit({f"{chosen.events}[0]": 0})
        with pytest.raises(SourceError, match="1 answers not acknowledged in 1 s"):
            sink.flush()
        began = clock()
        for _ in range(2):
            source.close()
            sink.close()
        assert clock() - began < 8


def test_a_missing_topic_is_named_with_the_remedy_and_made_if_wished(broker: Broker) -> None:
    chosen = settings(broker, "no-such-topic", "nor-this")
    began = clock()
    with pytest.raises(SourceError, match=r"no topic 'no-such-topic', 'nor-this'.*create_topics"):
        KafkaSource(chosen, Codec(SCHEMA), clock)
    assert clock() - began < 3
    made = replace(
        chosen, events=f"made-{time.monotonic_ns()}", labels=None, create_topics=True, partitions=2
    )
    with reading(made) as source:
        source.poll(1, 0.1)
        assert len(source.position()) == 2


def test_an_unreachable_broker_is_an_error_with_place_and_remedy_in_bounded_time() -> None:
    began = clock()
    for make in (lambda s: KafkaSource(s, Codec(SCHEMA), clock), lambda s: KafkaSink(s, clock)):
        with pytest.raises(SourceError, match=r"kafka 127\.0\.0\.1:1,.*check that the broker runs"):
            make(KafkaSettings(bootstrap="127.0.0.1:1", connect_timeout=1.0))
    assert clock() - began < 6
