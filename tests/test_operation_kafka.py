"""At three in the morning, with a broker: bad records, a broker that hangs, and one that dies."""

import json
import time
from pathlib import Path

import pytest

from tests.broker import Broker, free_port, started
from tests.daemon import Daemon, running
from tests.test_operation import BAD, good, start

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons")]

SETTINGS = """
[stream]
target = "y"
id = "id"
time = "time"
max_bytes = 2000
[stream.fields]
a = "numeric"
[source]
kind = "kafka"
[source.kafka]
bootstrap = "{bootstrap}"
events = "{events}"
predictions = "{predictions}"
journal = "{journal}"
refused = "{refused}"
membership = "all"
flush_timeout = 1.0
[sink]
kind = "kafka"
[service]
delivery = "{delivery}"
[agent]
device = "cpu"
slots = 64
hidden = 8
[checkpoint]
folder = "{folder}"
every_records = 3000
"""
COUNT = 16_000


def topics(broker: Broker) -> dict[str, str]:
    return {name: broker.topic(name) for name in ("events", "predictions", "refused", "journal")}


def write(
    folder: Path, bootstrap: str, names: dict[str, str], delivery: str = "exactly-once"
) -> str:
    path = folder / "settings.toml"
    words = {"bootstrap": bootstrap, "folder": folder / "c", "delivery": delivery}
    path.write_text(SETTINGS.format(**words, **names))
    return str(path)


def age(daemon: Daemon) -> float:
    """Seconds since the loop came round; it must be alive."""
    code, body = daemon.get("healthz")
    assert code == 200
    return float(json.loads(body)["progress_age_seconds"])


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_a_broker_that_hangs_is_told_and_outlived_and_one_that_dies_ends_it_with_1(
    tmp_path: Path, delivery: str
) -> None:
    """Seconds of a hang must pass: it is noticed after six, and batches expire after ten."""
    lines = [good(at) for at in range(COUNT)]
    lines[100:100] = BAD.values()
    with started() as broker:
        names = topics(broker)
        broker.preload(names["events"], lines)
        with running(tmp_path, write(tmp_path, broker.bootstrap, names, delivery)) as daemon:
            daemon.until(lambda: daemon.answered() >= 1000)
            _hangs(broker, daemon)
            broker.wake()
            daemon.until(lambda: daemon.get("readyz")[0] == 200, 30)
            daemon.until(lambda: daemon.answered() == COUNT, 90)
            labels = daemon.figures()["labels"]
            assert (labels["joined"], labels["duplicate"]) == (COUNT, 0)
            daemon.until(lambda: _answered(broker, names) == {f"e{at}" for at in range(COUNT)})
            letters = broker.read(names["refused"], 3 * len(BAD), 3)  # what hung may come again
            reasons = [dict(one.headers)["reason"].decode() for one in letters]
            assert [*dict.fromkeys(reasons)] == [*BAD]
            assert {(reason, one.value) for reason, one in zip(reasons, letters, strict=True)} == {
                *BAD.items()
            }
            broker.preload(names["events"], [good(COUNT + at) for at in range(COUNT)])
            daemon.until(lambda: daemon.answered() > COUNT)
            broker.hang()  # so that answers are surely on their way when it dies
            time.sleep(1)
            broker.kill()
            _ends(daemon)


def _hangs(broker: Broker, daemon: Daemon) -> None:
    """Hang the broker until batches expire; it is told, and the loop goes on coming round."""
    broker.hang()
    began = time.monotonic()
    daemon.until(lambda: daemon.get("readyz")[0] == 503, 10)
    while time.monotonic() - began < 13:
        assert age(daemon) < 10
        time.sleep(0.1)
    assert b"sink not heard from" in daemon.get("readyz")[1]
    assert b"source not heard from" in daemon.get("readyz")[1]


def _ends(daemon: Daemon) -> None:
    """Ask it to stop: it says that it drains, tries, and says what it could not do."""
    asked = time.monotonic()
    daemon.process.terminate()
    told = False
    while daemon.process.poll() is None and time.monotonic() - asked < 30:
        told = told or b"draining" in daemon.get("readyz")[1]
        time.sleep(0.02)
    assert told
    assert daemon.process.wait(1) == 1
    assert time.monotonic() - asked < 30
    last = daemon.lines()[-1]
    assert last["event"] == "stopped"
    assert "answers could not be made durable" in last["why"]


def _answered(broker: Broker, names: dict[str, str]) -> set[str]:
    found = broker.read(names["predictions"], 2 * COUNT, 2)
    return {json.loads(one.value)["id"] for one in found}


def test_a_drained_stop_commits_all_and_a_missing_topic_is_named(
    broker: Broker, tmp_path: Path
) -> None:
    names = topics(broker)
    broker.preload(names["events"], [good(at) for at in range(2000)])
    path = write(tmp_path, broker.bootstrap, names)
    with running(tmp_path, path) as daemon:
        daemon.until(lambda: daemon.answered() == 2000)
        assert daemon.stop(20) == 0
    assert broker.committed("adaptd", names["events"]) == 2000
    found = [json.loads(one.value)["id"] for one in broker.read(names["predictions"], 2000)]
    assert found == [f"e{at}" for at in range(2000)]
    gone = start(tmp_path, "gone", path, "--set", f"source.kafka.events=nothing-{free_port()}")
    assert gone.wait(60) == 2
    assert "no topic 'nothing-" in (tmp_path / "gone.log").read_text()
