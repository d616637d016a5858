"""The daemon while its cluster misbehaves: what it answers, what it learns, what its probes say."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer

from tests.broker import Broker, free_port, started
from tests.committed import committed
from tests.crooked import crooked
from tests.daemon import Daemon, running
from tests.mockcluster import Api, Code, MockCluster, clustered, speak
from tests.s3broker import kept
from tests.test_operation import good
from tests.test_operation_kafka import topics, write

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]

MOCK = "tests.mockcluster"
ONCE = "at-least-once"  # all that the mock cluster can do


class Feed:
    """Writes events at a steady rate, in order and once each, whatever the brokers do."""

    def __init__(self, broker: Broker, topic: str, rate: int) -> None:
        self._producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_block_ms=60_000)
        self._topic, self._rate = topic, rate
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def _run(self) -> None:
        began = time.monotonic()
        while not self._enough.wait(0.02):
            for at in range(self.count, round((time.monotonic() - began) * self._rate)):
                self._producer.send(self._topic, good(at), partition=0)
                self.count = at + 1

    def start(self) -> None:
        self._thread.start()

    def end(self) -> int:
        """Stop, see all of them acknowledged, and say how many."""
        self._enough.set()
        self._thread.join(70)
        self._producer.close(60)
        return self.count


@contextmanager
def fed(broker: Broker, topic: str, rate: int = 400) -> Iterator[Feed]:
    feed = Feed(broker, topic, rate)
    feed.start()
    try:
        yield feed
    finally:
        feed.end()


def ready(daemon: Daemon) -> bool:
    return daemon.get("readyz")[0] == 200


def alive(daemon: Daemon) -> bool:
    return daemon.get("healthz")[0] == 200


def goes_on(daemon: Daemon, more: int = 100) -> None:
    """See that the daemon is ready, and answers more than it has answered."""
    daemon.until(lambda: ready(daemon), 20)
    from_here = daemon.answered()
    daemon.until(lambda: daemon.answered() >= from_here + more, 20)


def judge(broker: Broker, daemon: Daemon, names: dict[str, str], count: int) -> None:
    """See that each event was answered, always in the same bytes, in order, and learned once."""
    daemon.until(lambda: daemon.answered() == count, 60)
    labels = daemon.figures()["labels"]
    assert (labels["joined"], labels["duplicate"], labels["orphan"]) == (count, 0, 0)
    assert daemon.stop(30) == 0
    assert broker.committed("adaptd", names["events"]) == count
    assert answers(broker, names["predictions"], count) == [f"e{at}" for at in range(count)]
    assert broker.read(names["refused"], 1, 0.5) == []


def answers(broker: Broker, topic: str, count: int) -> list[str]:
    """Ids of the answers in the order of their first coming; one that came again is the same."""
    said: dict[str, bytes] = {}
    for record in broker.read(topic, 3 * count, 2):
        name = json.loads(record.value)["id"]
        assert said.setdefault(name, record.value) == record.value, name
    return list(said)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockCluster]:
    speak(monkeypatch)
    with clustered() as running_one:
        yield running_one


FAULTS: Sequence[tuple[int, Api, Sequence[Code]]] = [
    (2, Api.PRODUCE, [Code.NOT_ENOUGH_REPLICAS] * 3),
    (2, Api.PRODUCE, [Code.OUT_OF_ORDER_SEQUENCE]),
    (2, Api.PRODUCE, [Code.MESSAGE_TOO_LARGE]),
    (1, Api.FETCH, [Code.NOT_LEADER, Code.UNKNOWN, Code.DISCONNECT]),
    (1, Api.OFFSET_COMMIT, [Code.NOT_COORDINATOR, Code.COORDINATOR_LOADING]),
]


def test_a_cluster_that_goes_from_one_fault_to_the_next_costs_no_event_and_no_answer(
    cluster: MockCluster, tmp_path: Path
) -> None:
    names = topics(cluster)
    cluster.coordinator("adaptd", 1)
    path = write(tmp_path, cluster.bootstrap, names, ONCE)
    quick = ("--set", "checkpoint.every_records=200", "--set", "source.kafka.flush_timeout=2")
    for topic in (names["predictions"], names["refused"]):
        cluster.leader(topic, 0, 2)  # so that what feeds the events meets no errors
    with fed(cluster, names["events"]) as feed, running(tmp_path, path, *quick, module=MOCK) as one:
        goes_on(one)
        for broker, api, codes in FAULTS:
            cluster.errors(api, *codes, broker=broker)
            goes_on(one)
        for leader in (3, 1):
            for topic in (names["events"], names["predictions"], names["refused"]):
                cluster.leader(topic, 0, leader)
            cluster.coordinator("adaptd", leader)
            goes_on(one)
        judge(cluster, one, names, feed.end())


@pytest.mark.slow
def test_a_cluster_that_is_all_down_is_told_by_readiness_waited_for_and_outlived(
    cluster: MockCluster, tmp_path: Path
) -> None:
    """Ten seconds of silence must pass: it is told after six, and batches expire after ten."""
    names = topics(cluster)
    path = write(tmp_path, cluster.bootstrap, names, ONCE)
    with fed(cluster, names["events"]) as feed, running(tmp_path, path, module=MOCK) as one:
        goes_on(one)
        cluster.down()
        began, worked = time.monotonic(), cpu(one)
        one.until(lambda: not ready(one), 10)
        while time.monotonic() - began < 13:
            assert alive(one)
            time.sleep(0.2)
        assert cpu(one) - worked < 6  # it waits: it does not spin
        assert b"source not heard from" in one.get("readyz")[1]
        assert b"sink not heard from" in one.get("readyz")[1]
        cluster.up()
        goes_on(one)
        judge(cluster, one, names, feed.end())


def cpu(daemon: Daemon) -> float:
    """Seconds of processor that it has used."""
    times = psutil.Process(daemon.process.pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.slow
def test_a_broker_that_is_stopped_and_started_again_with_its_data_is_gone_on_with(
    tmp_path: Path,
) -> None:
    """Three times, with transactions: the only broker here that keeps its data over a stop."""
    with kept() as broker:
        names = topics(broker)
        path = write(tmp_path, broker.bootstrap, names)
        with running(tmp_path, path, "--set", "checkpoint.every_records=200") as daemon:
            for life in range(3):
                events = [good(at) for at in range(500 * life, 500 * life + 500)]
                broker.preload(names["events"], events)
                daemon.until(lambda: daemon.answered() == 500 * life + 500)  # noqa: B023 - at once
                quiet(broker, names, 500 * life + 500)
                broker.kill()
                time.sleep(1)
                assert alive(daemon)
                broker.start()
            judge(broker, daemon, names, 1500)


def quiet(broker: Broker, names: dict[str, str], count: int) -> None:
    """Wait until nothing is on its way: killed in the midst of a write, this broker loses it."""
    until = time.monotonic() + 20
    while len(broker.read(names["predictions"], count, 2)) < count:
        assert time.monotonic() < until
    time.sleep(0.3)


def test_a_broker_out_of_reach_again_and_again_costs_no_answer_and_repeats_none(
    tmp_path: Path,
) -> None:
    outer = free_port()
    with started(advertise=outer) as inner, crooked(port_of(inner), outer) as door:
        broker = Broker(door.bootstrap)
        names = topics(broker)
        path = write(tmp_path, door.bootstrap, names)
        quick = ("--set", "checkpoint.every_records=200")
        with fed(broker, names["events"]) as feed, running(tmp_path, path, *quick) as daemon:
            for seconds in (0.1, 1.5, 3.0):
                goes_on(daemon)
                door.shut()
                time.sleep(seconds)
                assert alive(daemon)
                door.open()
            goes_on(daemon)
            count = feed.end()
            daemon.until(lambda: daemon.answered() == count)
            assert daemon.stop(30) == 0
        assert broker.committed("adaptd", names["events"]) == count
        said = [json.loads(one.value)["id"] for one in committed(broker, names["predictions"])]
        assert said == [f"e{at}" for at in range(count)]


def port_of(broker: Broker) -> int:
    return int(broker.bootstrap.rpartition(":")[2])


@pytest.mark.slow
def test_events_that_retention_took_while_it_was_away_end_it_with_the_remedy(
    cluster: MockCluster, tmp_path: Path
) -> None:
    """Three lives of a daemon: what the source says must reach the log and the exit code."""
    names = topics(cluster)
    path = write(tmp_path, cluster.bootstrap, names, ONCE)
    cluster.preload(names["events"], [good(at) for at in range(300)])
    with running(tmp_path, path, module=MOCK) as daemon:
        daemon.until(lambda: daemon.answered() == 300)
        assert daemon.stop(30) == 0
    cluster.preload(names["events"], [good(at) for at in range(300, 600)])
    cluster.expire(names["events"], 500)
    with running(tmp_path, path, module=MOCK) as daemon:
        assert daemon.process.wait(30) == 2
        last = daemon.lines()[-1]
        assert last["event"] == "cannot start"
        assert "holds the offsets 500 to 600, not 300, where the checkpoint stands" in last["why"]
        assert "out_of_range" in last["why"]
    lossy = ("--set", "source.kafka.out_of_range=earliest")
    with running(tmp_path, path, *lossy, module=MOCK) as daemon:
        daemon.until(lambda: daemon.answered() == 100)
        assert daemon.stop(30) == 0
    told = answers(cluster, names["predictions"], 400)
    assert told == [f"e{at}" for at in (*range(300), *range(500, 600))]
