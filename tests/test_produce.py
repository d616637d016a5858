"""`adaptd produce`: what it writes can be read, comes at its rate, and stops without loss."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from agent.cli import app
from streams.codec import Codec
from streams.rate import CREDIT, Rate
from streams.records import Event, Label
from streams.worlds.fraud import FraudSettings, FraudWorld
from streams.worlds.fraud.live import Cards, Today
from streams.written import Writing
from tests.broker import Broker, free_port, started
from tests.daemon import ROOT, running

CARDS = ROOT / "deploy" / "examples" / "cards.toml"
SMALL = FraudSettings(customers=40, terminals=20, days=40, give_up_days=10)


def world(most: int = 1_000_000) -> list[Event | Label]:
    found = FraudWorld(SMALL)
    records: list[Event | Label] = []
    while not found.ended() and len(records) < most:
        records += [one for one in found.poll(1000, 0) if isinstance(one, Event | Label)]
    return records


def test_what_is_written_is_what_the_codec_reads() -> None:
    schema = FraudWorld.schema()
    codec, writing = Codec(schema), Writing(schema)
    records = world(4000)
    assert {type(one) for one in records} == {Event, Label}
    for one in records:
        if isinstance(one, Event):
            assert codec.event(writing.event(one), "here", -1.0) == one
        else:
            assert codec.label(writing.label(one), "here", -1.0) == one


def test_every_label_finds_its_card_and_only_those_that_may_come_are_remembered() -> None:
    cards, of, labels, most = Cards(SMALL), {}, 0, 0
    for one in world():
        card = cards.card(one)
        if isinstance(one, Event):
            of[one.id] = one.key
        else:
            labels += 1
            assert card == of[one.id]
        most = max(most, len(cards))
    assert labels > 0.8 * len(of)
    assert most < (SMALL.give_up_days + 3) / 40 * len(of)


def test_live_records_bear_the_time_of_writing_and_ids_of_their_own() -> None:
    at = [1_700_000_000.0]
    first = Today(lambda: at[0])
    at[0] += 1
    second = Today(lambda: at[0])
    event = Event("0-1", "card-1", 5.0, tuple(float(i) for i in range(13)))
    one, other = first(event), second(event)
    assert isinstance(one, Event)
    assert (one.time, one.values[0], one.values[1:]) == (at[0], at[0], event.values[1:])
    assert one.id != other.id
    label = first(Label("0-1", 9.0, "fraud"))
    assert label == Label(one.id, at[0], "fraud")


class Slept:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_rate_is_kept_evenly_and_a_pause_is_made_good_for_a_second_at_most() -> None:
    clock = Slept()
    rate, gone = Rate(250.0, lambda: clock.now, clock.sleep), 0
    while clock.now < 104.0:
        room = rate.room(500)
        rate.spend(room)
        gone += room
        assert gone <= 250 * (clock.now - 100.0) + 1
    assert gone == pytest.approx(1000, abs=2)
    clock.now += 60.0
    assert rate.room(100_000) == 250 * CREDIT
    assert Rate(0.0, lambda: 0.0, clock.sleep).room(77) == 77
    slow = Rate(0.5, lambda: clock.now, clock.sleep)
    began, gone = clock.now, 0
    while gone < 3:
        room = slow.room(10)
        slow.spend(room)
        gone += room
    assert clock.now - began == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("source.kafka.bootstrap=", "bootstrap"),
        ("stream.fields.amount=categorical", 'stream.fields.amount: "categorical": the card'),
        ("stream.fields.colour=numeric", "take of these: time"),
        ("source.format.kind=msgpack", "written as JSON alone"),
    ],
)
def test_a_stream_that_the_card_world_cannot_fill_is_refused(given: str, said: str) -> None:
    result = CliRunner().invoke(app, ["produce", str(CARDS), "--set", given])
    assert result.exit_code == 2
    assert said in result.output


def test_labels_without_a_topic_and_a_stream_without_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(
        '[stream]\n[stream.fields]\namount = "numeric"\n'
        '[source]\nkind = "kafka"\n[source.kafka]\nevents = "cards"\n'
    )
    result = CliRunner().invoke(app, ["produce", str(path)])
    assert result.exit_code == 2
    for name in ("source.kafka.labels", "stream.id", "stream.key", "stream.time", "stream.target"):
        assert f"adaptd: {name}: missing" in result.output


@pytest.fixture
def own_logs() -> Iterator[None]:
    """Let the command set its logs up, and take that back."""
    yield
    structlog.reset_defaults()


def names(broker: Broker, partitions: int = 4) -> dict[str, str]:
    parts = {"events": partitions, "labels": partitions, "predictions": partitions, "refused": 1}
    return {name: broker.topic(name, count) for name, count in parts.items()} | {
        "journal": broker.topic("journal", partitions)
    }


def flags(bootstrap: str, topics: dict[str, str]) -> list[str]:
    given = {f"source.kafka.{name}": topic for name, topic in topics.items()}
    given |= {"source.kafka.bootstrap": bootstrap, "source.kafka.group": topics["events"]}
    return [word for path, value in given.items() for word in ("--set", f"{path}={value}")]


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agent", "produce", str(CARDS), *words]
    with (folder / "produce.log").open("wb") as log:
        return subprocess.Popen(command, stderr=log, cwd=ROOT)


def last(folder: Path) -> dict[str, Any]:
    lines = (folder / "produce.log").read_text().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def written(broker: Broker, topic: str, count: int) -> list[Any]:
    return broker.read(topic, count, 10, partitions=4)


@pytest.mark.kafka
@pytest.mark.xdist_group("daemons")
def test_labels_lie_beside_their_events_the_same_each_time_and_the_daemon_reads_them(
    broker: Broker, tmp_path: Path
) -> None:
    found, count = [], 2500
    told: dict[str, Any] = {}
    topics, before = names(broker), names(broker)
    for into in (before, topics):
        soon = ["--set", "source.world.label_delay_days=0.3"]
        load = start(tmp_path, "--events", str(count), *soon, *flags(broker.bootstrap, into))
        assert load.wait(60) == 0
        told = last(tmp_path)
        assert told["events"] == count
        assert told["acknowledged"] == count + told["labels"]
        events = written(broker, into["events"], count)
        labels = written(broker, into["labels"], told["labels"])
        found.append(sorted((one.partition, one.offset, one.value) for one in events + labels))
        where = {json.loads(one.value)["id"]: one.partition for one in events}
        assert len(where) == count
        assert len(labels) == told["labels"] > count / 10
        assert all(where[json.loads(one.value)["id"]] == one.partition for one in labels)
        assert len({one.partition for one in labels}) == 4
    assert found[0] == found[1]
    quick = ["--set", "agent.slots=64", "--set", "agent.hidden=8", "--set", "agent.device=cpu"]
    here = ["--checkpoints", str(tmp_path / "checkpoints")]
    with running(tmp_path, str(CARDS), *flags(broker.bootstrap, topics), *quick, *here) as daemon:
        daemon.until(lambda: daemon.answered() == count, 60)
        joined = daemon.figures()["labels"]["joined"]
        assert (joined, daemon.figures()["refused"]) == (told["labels"], {})
        assert daemon.stop() == 0


@pytest.mark.kafka
@pytest.mark.xdist_group("daemons")
def test_asked_to_stop_it_leaves_with_all_acknowledged(broker: Broker, tmp_path: Path) -> None:
    topics = names(broker)
    load = start(tmp_path, "--rate", "2000", "--live", *flags(broker.bootstrap, topics))
    began, before = time.monotonic(), time.time()  # noqa: TID251 - live records bear that time
    while not written(broker, topics["events"], 1) and time.monotonic() < began + 30:
        pass
    load.send_signal(signal.SIGTERM)
    assert load.wait(20) == 0
    told = last(tmp_path)
    assert told["event"] == "left"
    events = written(broker, topics["events"], told["events"])
    labels = written(broker, topics["labels"], told["labels"])
    assert told["acknowledged"] == told["events"] + told["labels"] == len(events) + len(labels)
    times = [json.loads(one.value)["time"] for one in events]
    assert before - 1 < min(times) <= max(times) < before + 60


@pytest.mark.kafka
@pytest.mark.xdist_group("daemons")
def test_topics_that_do_not_match_and_a_broker_that_is_not_there_end_it_with_2(
    broker: Broker, own_logs: None
) -> None:
    del own_logs
    topics = names(broker) | {"labels": broker.topic("labels", 3)}
    result = CliRunner().invoke(app, ["produce", str(CARDS), *flags(broker.bootstrap, topics)])
    assert result.exit_code == 2
    assert "has 4 partitions" in result.output
    assert "has 3: a label would miss its event" in result.output
    nobody = flags(f"127.0.0.1:{free_port()}", topics)
    quick = ["--set", "source.kafka.connect_timeout=1"]
    result = CliRunner().invoke(app, ["produce", str(CARDS), *nobody, *quick])
    assert result.exit_code == 2
    assert "cannot start" in result.output


@pytest.mark.slow
@pytest.mark.kafka
def test_a_broker_that_dies_under_it_ends_it_with_1(tmp_path: Path) -> None:
    """The client tries for ten seconds; without an end to that a load would hang unseen."""
    with started() as broker:
        load = start(tmp_path, "--rate", "500", *flags(broker.bootstrap, names(broker)))
        until = time.monotonic() + 30
        while last(tmp_path).get("event") != "writing" and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1)  # so that records are on their way
        broker.kill()
        assert load.wait(40) == 1
    assert last(tmp_path)["event"] == "stopped"
    assert "not acknowledged in 10.1 s; check that the broker" in last(tmp_path)["why"]
