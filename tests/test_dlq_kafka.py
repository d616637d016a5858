"""Dead letters on a topic: listed, and put back once, with a real broker."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from streams.kafka.letters import KafkaLetters, Originals
from streams.kafka.putback import Back, PutBack
from streams.kafka.settings import KafkaSettings
from streams.kafka.sink import KafkaSink
from streams.letters import Place
from streams.records import Refused
from streams.source import SourceError
from tests.broker import Broker, free_port
from tests.daemon import running
from tests.test_dlq import BAD, GOOD, MEND, typed

TOML = """
[stream]
target = "y"
id = "id"
label_target = "y"
[stream.fields]
x = "numeric"
[source]
kind = "kafka"
[source.kafka]
bootstrap = "{0.bootstrap}"
events = "{0.events}"
labels = "{0.labels}"
predictions = "{0.predictions}"
refused = "{0.refused}"
group = "{0.group}"
max_output_bytes = 2000
[sink]
kind = "kafka"
"""


class Cluster:
    """Topics with two bad events and a bad label, and their letters as the daemon writes them."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker = broker
        self.events, self.labels = broker.topic("events", 2), broker.topic("labels", 2)
        self.settings = KafkaSettings(
            bootstrap=broker.bootstrap, events=self.events, labels=self.labels,
            predictions=broker.topic("predictions"), refused=broker.topic("refused", 2),
            group=f"group-{self.events}", max_output_bytes=2000,
        )  # fmt: skip
        long = b'{"id": "b", "pad": "%s", "x": 2}' % (b"p" * 1500)
        self.values = {self.events: [GOOD, BAD, long], self.labels: [b"no json"]}
        for topic, values in self.values.items():
            keys = [b"card"] * len(values)
            broker.preload(topic, values, keys=keys, times=[5.0] * len(values), partition=1)
        self.letters([
            Refused("bad-value", "x", f"{self.events}[1]@1", BAD),
            Refused("oversize", "long", f"{self.events}[1]@2", long),
            Refused("undecodable", "no JSON", f"{self.labels}[1]@0", b"no json"),
        ])  # fmt: skip
        self.path = folder / "settings.toml"
        self.path.write_text(TOML.format(self.settings))

    def letters(self, letters: Sequence[Refused]) -> None:
        sink = KafkaSink(self.settings, lambda: 0.0)
        sink.refused(letters)
        sink.flush()
        sink.close()

    def run(self, *words: str) -> tuple[int, dict[str, int]]:
        result = typed("dlq", "requeue", self.path, "--format", "json", *words)
        return result.exit_code, json.loads(result.stdout)["fates"]


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_letters_go_back_into_topics_once(broker: Broker, tmp_path: Path) -> None:
    cluster = Cluster(broker, tmp_path)
    listed = typed("dlq", "list", cluster.path, "--since", "1h")
    assert "3 dead letters" in listed.stdout, listed.output
    assert "(1000 of 1530 bytes are here)" in listed.stdout
    assert cluster.run("--dry-run") == (1, {"put back": 1, "still refused": 2})
    mended = ("--edit", MEND, "--reason", "bad-value")
    assert cluster.run(*mended) == (0, {"put back": 1})
    assert cluster.run(*mended) == (0, {"put back before": 1})
    assert cluster.run() == (1, {"put back before": 1, "put back": 1, "still refused": 1})
    found = broker.read(cluster.events, 5, 10.0, partitions=2)
    back = found[3:]
    assert [(one.value, one.partition, one.key, one.timestamp) for one in back] == [
        (b'{"id": "a", "x": 1}', 1, b"card", 5000),
        (cluster.values[cluster.events][2], 1, b"card", 5000),
    ]
    place, where = dict(back[0].headers)["requeued-from"], dict(back[0].headers)["requeued-where"]
    assert place.startswith(cluster.settings.refused.encode())
    assert where == f"{cluster.events}[1]@1".encode()
    listed = json.loads(typed("dlq", "list", cluster.path, "--format", "json").stdout)["reasons"]
    assert {one["reason"]: (one["letters"], one["put_back"]) for one in listed} == {
        "bad-value": (1, 1),
        "oversize": (1, 1),
        "undecodable": (1, 0),
    }


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_a_running_daemon_answers_what_was_put_back_once(broker: Broker, tmp_path: Path) -> None:
    events, refused = broker.topic("events"), broker.topic("refused")
    said, journal = broker.topic("predictions"), broker.topic("journal")
    path = tmp_path / "settings.toml"
    settings = KafkaSettings(
        bootstrap=broker.bootstrap, events=events, predictions=said, refused=refused, group=events
    )
    text = TOML.format(settings).replace('labels = "None"\n', "")
    more = f'membership = "all"\njournal = "{journal}"\n[agent]\nslots = 64\nhidden = 8\n'
    store = f'[checkpoint]\nfolder = "{tmp_path / "c"}"\n'
    path.write_text(text.replace("[sink]", f"{more}{store}[sink]"))
    rows = [b'{"id": "e%d", "x": %d, "y": "yes"}' % (at, at) for at in range(50)]
    broker.preload(events, [*rows[:25], BAD, *rows[25:]])
    with running(tmp_path, str(path)) as daemon:
        daemon.until(lambda: daemon.answered() == 50)
        edit = ("--edit", MEND, "--format", "json")
        for fate in ("put back", "put back before"):
            result = typed("dlq", "requeue", path, *edit)
            assert json.loads(result.stdout)["fates"] == {fate: 1}
        daemon.until(lambda: daemon.answered() == 51)
        assert daemon.stop() == 0
    ids = [json.loads(one.value)["id"] for one in broker.read(said, 51, 5.0) if one.value]
    assert ids == [*(f"e{at}" for at in range(50)), "a"]


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_of_two_who_put_back_the_first_is_fenced_off(broker: Broker, tmp_path: Path) -> None:
    settings = Cluster(broker, tmp_path).settings
    back = Back("refused[0]@0", "w", settings.events, 0, None, GOOD, (), None)
    with closing(PutBack(settings)) as first, closing(PutBack(settings)) as second:
        with pytest.raises(SourceError, match="run it again, none goes twice"):
            first.put([back])
        second.put([back])


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_an_empty_topic_and_a_place_that_is_not_there_are_no_hang(broker: Broker) -> None:
    settings = KafkaSettings(
        bootstrap=broker.bootstrap, events=broker.topic("events"), refused=broker.topic("r", 3)
    )
    with closing(KafkaLetters(settings)) as letters:
        assert list(letters.letters()) == []
        assert list(letters.letters(since=1.0)) == []
    with closing(Originals(settings)) as originals:
        assert originals.find(Place(settings.events, 0, 7)) is None
        assert originals.find(Place(settings.events, 5, 0)) is None


def test_no_broker_fails_with_1(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    here = f"127.0.0.1:{free_port()}"
    settings = KafkaSettings(bootstrap=here, labels="labels")
    path.write_text(TOML.format(settings).replace("max_", "connect_timeout = 0.5\nmax_"))
    for verb in ("list", "requeue"):
        result = typed("dlq", verb, path)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"adaptd: kafka {here}, ")
