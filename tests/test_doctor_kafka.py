"""`adaptd doctor` and `adaptd validate` of a stream over Kafka, with a real broker."""

import json
import time
from pathlib import Path

import pytest

from streams.kafka.client import producer, transact
from tests.broker import Broker, free_port
from tests.lives import settings_file, settings_in
from tests.test_doctor import NAMES, findings, typed, verdicts

TOML = """
[stream]
target = "y"
id = "id"
[stream.fields]
x = "numeric"
[source]
kind = "kafka"
[source.kafka]
bootstrap = "{bootstrap}"
events = "{events}"
labels = "{labels}"
predictions = "{predictions}"
refused = "{refused}"
journal = "{journal}"
group = "{events}-group"
connect_timeout = 1.0
{more}
[sink]
kind = "kafka"
[web]
port = 0
[checkpoint]
folder = "{folder}"
"""


def kafka_file(folder: Path, bootstrap: str, names: dict[str, str], more: str = "") -> Path:
    path = folder / "settings.toml"
    given = {"bootstrap": bootstrap, "folder": folder / "c", "more": more}
    path.write_text(TOML.format(**given, **names))
    return path


def topics(broker: Broker, **partitions: int) -> dict[str, str]:
    return {name: broker.topic(name, partitions.get(name, 2)) for name in NAMES}


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_a_sound_cluster_is_found_sound_and_nothing_is_written(
    broker: Broker, tmp_path: Path
) -> None:
    names = topics(broker)
    broker.preload(names["events"], [b"{}"], partition=1)
    code, found = findings(kafka_file(tmp_path, broker.bootstrap, names))
    assert code == 0, found
    assert all(verdict == "ok" for one in found.values() for verdict, _ in one), found
    assert len(found["topics"]) == 5
    assert "a record is read" in found["reading"][0][1]
    assert "empty" in found["reading"][1][1]
    assert "2 states" in found["partitions"][0][1]
    assert "0 partitions" in found["group"][0][1]
    for name in ("predictions", "refused", "journal"):
        assert broker.read(names[name], 1, 0.3, partitions=2) == []
    assert not (tmp_path / "c").exists()


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_topics_that_do_not_go_together_or_are_not_there_fail_with_the_remedy(
    broker: Broker, tmp_path: Path
) -> None:
    names = topics(broker, labels=3, journal=1) | {"refused": "not-there"}
    path = kafka_file(tmp_path, broker.bootstrap, names)
    code, found = findings(path)
    assert code == 1
    assert verdicts(found, "partitions") == ["fail", "fail"]
    assert "no state learns both" in found["partitions"][0][1]
    assert "give" in found["partitions"][1][1]
    (missing,) = [said for verdict, said in found["topics"] if verdict == "fail"]
    assert "kafka-topics.sh" in missing
    _, found = findings(kafka_file(tmp_path, broker.bootstrap, names, "create_topics = true"))
    assert verdicts(found, "topics").count("warn") == 1
    _, found = findings(kafka_file(tmp_path, broker.bootstrap, names, 'membership = "all"'))
    assert verdicts(found, "partitions") == ["ok"]


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_a_running_daemon_is_not_fenced_off(broker: Broker, tmp_path: Path) -> None:
    names = topics(broker)
    path = kafka_file(tmp_path, broker.bootstrap, names, 'membership = "all"')
    kafka = settings_in(path).source.kafka
    assert kafka is not None
    client, wire = producer(kafka, f"{kafka.group}-all")
    client.begin_transaction()
    client.send(names["predictions"], b"x")
    assert findings(path)[0] == 0
    client.flush(5)
    transact(client, "begin_commit", 5.0)
    client.close(timeout=1.0)
    wire.cut()
    assert [one.value for one in broker.read(names["predictions"], 1, 5.0, 2)] == [b"x"]


def test_no_broker_is_one_failure_and_the_other_checks_go_on(tmp_path: Path) -> None:
    here_ = f"127.0.0.1:{free_port()}"
    path = kafka_file(tmp_path, here_, dict(zip(NAMES, NAMES, strict=True)))
    start = time.monotonic()
    code, found = findings(path)
    assert time.monotonic() - start < 15
    assert code == 1
    assert [check for check, one in found.items() if ("fail", "") in [(v, "") for v, _ in one]] == [
        "brokers"
    ]
    assert here_ in found["brokers"][0][1]
    assert "check that the broker runs" in found["brokers"][0][1]
    assert verdicts(found, "store") == ["ok"]


def test_validate_says_what_would_run(tmp_path: Path) -> None:
    path = kafka_file(tmp_path, "b:1", dict(zip(NAMES, NAMES, strict=True)))
    told = json.loads(typed("validate", path, "--format", "json").stdout)
    assert told["delivery"].startswith("exactly once")
    assert "journal 'journal'" in told["sink"]
    assert "a state for each partition that group 'events-group' hands out" in told["shards"]
    once = typed("validate", path, "--set", "service.delivery=at-least-once").stdout
    assert "at least once" in once
    assert "journal" not in once
    one = typed("validate", path, "--set", "source.kafka.membership=all").stdout
    assert "one state over all partitions" in one
    files = typed("validate", settings_file(tmp_path)).stdout
    assert "file events.jsonl, labels ride" in files
    assert "2 features (1 numeric, 1 categorical), goal classes" in files
