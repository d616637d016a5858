"""A cluster that misbehaves, under the source and the sink: nothing lost or out of order."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from streams.kafka import KafkaSettings
from streams.kafka.settings import OutOfRange
from streams.source import SourceError
from tests.kafkas import answer, clock, event, ids, reading, settings, take, until, writing
from tests.mockcluster import Api, Code, MockCluster, clustered, speak
from tests.single import Single

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockCluster]:
    speak(monkeypatch)
    with clustered() as running:
        yield running


@pytest.fixture
def chosen(cluster: MockCluster) -> KafkaSettings:
    topics = {name: cluster.topic(name) for name in ("predictions", "refused")}
    return settings(cluster, cluster.topic("events"), **topics)


def answered(cluster: MockCluster, chosen: KafkaSettings, count: int) -> list[str]:
    """Ids of the answers written, in order, each as often as it stands there."""
    found = cluster.read(chosen.predictions, count)
    return [msgspec.json.decode(record.value)["id"] for record in found]


def expected(count: int, first: int = 0) -> list[str]:
    return [f"e{at}" for at in range(first, count)]


RETRIABLE = [
    (Code.NOT_ENOUGH_REPLICAS, Code.NOT_ENOUGH_REPLICAS),
    (Code.NOT_LEADER, Code.REQUEST_TIMED_OUT),
    (Code.DISCONNECT, Code.DISCONNECT),
]


@pytest.mark.parametrize("codes", RETRIABLE, ids=lambda codes: codes[0].name)
def test_what_may_be_sent_again_is_without_a_new_producer(
    cluster: MockCluster, chosen: KafkaSettings, codes: tuple[Code, ...]
) -> None:
    with writing(chosen) as sink:
        sink.predictions([answer(0)])
        sink.flush()
        cluster.errors(Api.PRODUCE, *codes)
        sink.predictions([answer(at) for at in range(1, 50)])
        sink.flush()
        assert sink.recreations == 0
    assert answered(cluster, chosen, 50) == expected(50)


FATAL = [Code.MESSAGE_TOO_LARGE, Code.OUT_OF_ORDER_SEQUENCE, Code.INVALID_PRODUCER_EPOCH]


@pytest.mark.parametrize("code", FATAL, ids=lambda code: code.name)
def test_a_producer_that_an_error_kills_is_made_anew_and_sends_all_in_order(
    cluster: MockCluster, chosen: KafkaSettings, code: Code
) -> None:
    with writing(chosen) as sink:
        sink.predictions([answer(0)])
        sink.flush()
        cluster.errors(Api.PRODUCE, code)
        sink.predictions([answer(at) for at in range(1, 50)])
        sink.flush()
        assert sink.recreations <= 2
    assert list(dict.fromkeys(answered(cluster, chosen, 50))) == expected(50)
    assert cluster.read(chosen.refused, 1, 0.5) == []  # it was not the record's fault


def test_a_topic_that_may_not_be_written_is_told_with_the_remedy_and_then_outlived(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    with writing(chosen) as sink:
        cluster.errors(Api.PRODUCE, *[Code.TOPIC_AUTHORIZATION_FAILED] * 3)
        sink.predictions([answer(at) for at in range(20)])
        with pytest.raises(SourceError, match="let this user read events"):
            sink.flush()
        cluster.well(Api.PRODUCE)  # the right was given
        sink.flush()
    assert list(dict.fromkeys(answered(cluster, chosen, 20))) == expected(20)


def test_an_answer_that_no_broker_takes_becomes_a_dead_letter_and_the_rest_goes_out(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    with writing(chosen) as sink:
        sink.predictions([answer(0)])
        sink.flush()
        cluster.errors(Api.PRODUCE, *[Code.MESSAGE_TOO_LARGE] * 2)
        sink.predictions([answer(1)])
        sink.flush()
        sink.predictions([answer(2)])
        sink.flush()
    assert answered(cluster, chosen, 2) == ["e0", "e2"]
    (letter,) = cluster.read(chosen.refused, 1)
    assert dict(letter.headers)["reason"] == b"oversize-output"


FETCHING = [Code.NOT_LEADER, Code.REPLICA_NOT_AVAILABLE, Code.UNKNOWN, Code.DISCONNECT]


def test_errors_of_fetches_neither_lose_nor_repeat_nor_reorder_a_record(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    with reading(chosen) as source:
        for at, code in enumerate(FETCHING):
            cluster.errors(Api.FETCH, code)
            cluster.preload(chosen.events, [event(100 * at + one) for one in range(100)])
            assert ids(take(source, 100)) == expected(100 * at + 100, 100 * at)


def test_a_leader_that_moves_or_is_missing_is_found_again_by_source_and_sink(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    with reading(chosen) as source, writing(chosen) as sink:
        for at, leader in enumerate((2, 3, 1)):
            for topic in (chosen.events, chosen.predictions):
                cluster.leader(topic, 0, leader)
            cluster.preload(chosen.events, [event(20 * at + one) for one in range(20)])
            found = take(source, 20)
            assert ids(found) == expected(20 * at + 20, 20 * at)
            sink.predictions([answer(20 * at + one) for one in range(20)])
            sink.flush()
        cluster.leader(chosen.predictions, 0, -1)
        sink.predictions([answer(60)])
        found_again = threading.Timer(1.5, cluster.leader, (chosen.predictions, 0, 2))
        found_again.start()
        sink.flush()
        found_again.join()
        assert sink.recreations == 0
    assert answered(cluster, chosen, 61) == expected(61)


LOST = [(Code.NOT_COORDINATOR,), (Code.COORDINATOR_LOADING,) * 2, (Code.DISCONNECT,)]


def test_a_coordinator_that_is_lost_or_loading_takes_one_of_the_next_commits(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    with reading(chosen) as source:
        for at, codes in enumerate(LOST):
            cluster.preload(chosen.events, [event(at)])
            assert ids(take(source, 1)) == [f"e{at}"]
            cluster.errors(Api.OFFSET_COMMIT, *codes)
            cluster.coordinator(chosen.group, 1 + at)
            until(lambda: _commits(cluster, source, chosen), 8)


def _commits(cluster: MockCluster, source: Single, chosen: KafkaSettings) -> bool:
    """Commit as after a checkpoint, go on, and say whether the group has it."""
    source.commit(source.position())
    assert source.poll(1, 0.2) == []
    return cluster.committed(chosen.group, chosen.events) == _place(source, chosen)


def _place(source: Single, chosen: KafkaSettings) -> int:
    return source.position()[f"{chosen.events}[0]"]


@pytest.mark.parametrize(("policy", "first"), [("earliest", "e60"), ("latest", "new")])
def test_offsets_out_of_retention_obey_the_policy(
    cluster: MockCluster, chosen: KafkaSettings, policy: OutOfRange, first: str
) -> None:
    cluster.preload(chosen.events, [event(at) for at in range(100)])
    obedient = replace(chosen, out_of_range=policy, max_poll_records=10)
    cluster.expire(chosen.events, 60)
    with reading(obedient) as source:
        source.seek({f"{chosen.events}[0]": 40})
        if policy == "latest":
            until(lambda: source.poll(1, 0.05) == [] and _place(source, chosen) == 100, 5)
        cluster.preload(chosen.events, [b'{"id":"new","t":9,"x":1}'])
        assert ids(take(source, 1)) == [first]


def test_offsets_out_of_retention_stop_the_source_where_none_may_be_lost(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    cluster.preload(chosen.events, [event(at) for at in range(100)])
    with reading(chosen) as source:
        source.seek({f"{chosen.events}[0]": 40})
        cluster.expire(chosen.events, 60)
        with pytest.raises(SourceError, match=r"holds the offsets 60 to 100, not 40.*out_of_range"):
            take(source, 1, seconds=5)


def test_retention_that_overtakes_a_slow_reader_is_told_by_the_fetch(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    small = {"max_partition_fetch_bytes": 2000, "fetch_max_bytes": 2000}
    for start in range(0, 2000, 200):  # in batches: a fetch gives a whole one at the least
        cluster.preload(chosen.events, [event(at) for at in range(start, start + 200)])
    with reading(replace(chosen, max_poll_records=10, consumer=small)) as source:
        assert ids(take(source, 10)) == expected(10)
        cluster.expire(chosen.events, 1990)
        with pytest.raises(SourceError, match=r"holds the offsets 1990 to 2000, not \d+.*"):
            take(source, 2000, seconds=20)


@pytest.mark.slow
def test_a_slow_cluster_is_read_and_written_and_still_counts_as_in_touch(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    """Every answer takes a second and a half: readiness must not flap at six."""
    cluster.preload(chosen.events, [event(at) for at in range(20)])
    with reading(chosen) as source, writing(chosen) as sink:
        cluster.slow(1500)
        found: list[str] = []
        silent = 0.0
        began = clock()
        while len(found) < 20 or clock() - began < 8:
            found += ids(source.poll(10, 0.1))
            silent = max(silent, source.in_touch(), sink.in_touch())
            assert clock() - began < 20
        assert found == expected(20)
        assert silent < 6
        sink.predictions([answer(at) for at in range(20)])
        sink.flush()
        assert sink.recreations == 0
        cluster.slow(0)
    assert answered(cluster, chosen, 20) == expected(20)


def test_a_cluster_that_is_all_down_and_comes_back_loses_and_repeats_nothing(
    cluster: MockCluster, chosen: KafkaSettings
) -> None:
    patient = replace(chosen, flush_timeout=1.0)
    cluster.preload(chosen.events, [event(at) for at in range(20)])
    with reading(patient) as source, writing(patient) as sink:
        assert ids(take(source, 20)) == expected(20)
        cluster.down()
        sink.predictions([answer(at) for at in range(20)])
        worked = time.process_time()
        until(lambda: source.poll(1, 0.05) == [] and source.in_touch() > 2, 5)
        with pytest.raises(SourceError, match="20 answers not acknowledged in 1 s"):
            sink.flush()
        assert time.process_time() - worked < 1.5  # it waits: it does not spin
        cluster.up()
        cluster.preload(chosen.events, [event(at) for at in range(20, 50)])
        assert ids(take(source, 30)) == expected(50, 20)
        sink.flush()
        assert max(source.in_touch(), sink.in_touch()) < 1.5
    assert list(dict.fromkeys(answered(cluster, chosen, 20))) == expected(20)
