"""The real input through real parts: elec2 by file and by broker, and a process that is killed."""

import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.daemon import fingerprint
from agent.encode import EncoderSettings
from agent.service.checkpoint import CheckpointStore
from agent.service.prequential import Prequential
from agent.service.pump import Pump
from agent.service.report import Step
from agent.service.settings import ServiceSettings
from agent.settings import load
from streams.codec import Codec
from streams.files import FileSettings, FileSource
from streams.kafka import KafkaSettings, KafkaSink, KafkaSource
from streams.labels import PendingSettings
from streams.memory import MemorySink
from streams.records import Prediction
from streams.source import Shards, Sink
from streams.whole import Whole
from tests import elec2
from tests.broker import Broker
from tests.committed import committed
from tests.daemon import running

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("daemons"), *elec2.needs_elec2]
EVERY = 1_000


class Run:
    """One daemon's loop in this process, until it has answered so many events."""

    def __init__(self, source: Shards, sink: Sink, count: int, batch: int = 1024) -> None:
        self.learner = Prequential.build(
            elec2.SCHEMA, AgentSettings(device="cpu"), EncoderSettings(), PendingSettings()
        )
        self.steps: list[Step] = []
        service = ServiceSettings(max_batch=batch, poll_wait=0.05)
        watchers = (self.steps.append,)
        pump = Pump(source, sink, lambda _: self.learner, settings=service, watchers=watchers)
        pump.run(lambda: self.events >= count and len(self.learner.pending) == 0)
        pump.close()

    @property
    def events(self) -> int:
        return sum(step.events for step in self.steps)

    @property
    def accuracy(self) -> float:
        guess = np.concatenate([step.scores.guess for step in self.steps])
        truth = np.concatenate([step.scores.truth for step in self.steps])
        return float((guess == truth).mean())


def by_file(folder: Path, count: int) -> tuple[Run, list[Prediction]]:
    path = folder / "elec2.jsonl"
    path.write_bytes(b"\n".join(elec2.riding(count)) + b"\n")
    sink = MemorySink()
    source = FileSource(FileSettings(str(path)), Codec(elec2.SCHEMA), lambda: 0.0, lambda _: None)
    return Run(Whole(source), sink, count), sink.said


def cluster(broker: Broker, events: str, **more: object) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=broker.bootstrap,
        events=events,
        predictions=broker.topic("answers"),
        refused=broker.topic("refused"),
        membership="all",
        **more,  # type: ignore[arg-type]
    )


def by_broker(settings: KafkaSettings, count: int, batch: int = 1024) -> Run:
    source = KafkaSource(settings, Codec(elec2.SCHEMA), time.monotonic)
    return Run(source, KafkaSink(settings, time.monotonic), count, batch)


@pytest.mark.parametrize(("count", "batch", "polled"), [(12_000, 1024, 500), (2_000, 7, 33)])
def test_the_broker_gives_bit_for_bit_the_answers_of_the_file(
    broker: Broker, tmp_path: Path, count: int, batch: int, polled: int
) -> None:
    """The whole stream once, and a part in odd bites: the poll's size must not matter."""
    whole, said = by_file(tmp_path, count)
    topic = broker.topic("elec2")
    broker.preload(topic, elec2.riding(count))
    settings = cluster(broker, topic, max_poll_records=polled)
    run = by_broker(settings, count, batch)
    answers = [json.loads(one.value) for one in broker.read(settings.predictions, count, 60)]
    assert [(one["id"], one["probabilities"]) for one in answers] == [
        (one.id, one.probabilities)  # type: ignore[union-attr]
        for one in said
    ]
    assert run.learner.fingerprint() == whole.learner.fingerprint()
    assert whole.accuracy > (0.95 if count > 10_000 else 0.92)


def test_labels_on_their_own_topic_are_learned_once_and_cost_no_accuracy(
    broker: Broker, tmp_path: Path
) -> None:
    count = 12_000
    whole, _ = by_file(tmp_path, count)
    events, labels = broker.topic("elec2"), broker.topic("labels")
    broker.preload(events, elec2.bare(count))
    broker.preload(labels, elec2.labels(count))
    settings = cluster(broker, events, labels=labels)
    run = by_broker(settings, count)
    answered = [json.loads(one.value)["id"] for one in broker.read(settings.predictions, count, 60)]
    assert sorted(answered) == sorted(f"e{i}" for i in range(count))
    assert run.learner.pending.counts["joined"] == count
    assert run.learner.pending.counts["duplicate"] == 0
    assert run.accuracy > whole.accuracy - 0.01


SETTINGS = """
[stream]
target = "class"
id = "id"
time = "time"
label_target = "class"
[stream.fields]
{fields}
[source]
kind = "kafka"
[source.kafka]
bootstrap = "{bootstrap}"
events = "{events}"
predictions = "{predictions}"
refused = "{refused}"
journal = "{journal}"
group = "{group}"
membership = "all"
[sink]
kind = "kafka"
[service]
delivery = "{delivery}"
[agent]
device = "cpu"
[checkpoint]
folder = "{folder}"
every_records = {every}
"""


def write(path: Path, broker: Broker, events: str, delivery: str) -> str:
    folder = path.with_suffix("")
    fields = "\n".join(f'{name} = "numeric"' for name in elec2.FIELDS)
    predictions = broker.topic("answers")
    path.write_text(
        SETTINGS.format(
            fields=fields,
            bootstrap=broker.bootstrap,
            events=events,
            predictions=predictions,
            refused=broker.topic("refused"),
            journal=broker.topic("journal"),
            delivery=delivery,
            folder=folder,
            group=folder.name,
            every=EVERY,
        )
    )
    return predictions


def checkpoint(path: Path) -> tuple[dict[str, bytes], dict[str, object]]:
    settings = load(path, {})
    store = CheckpointStore(settings.checkpoint.folder, 3, fingerprint(settings), lambda: 0.0)
    found = store.load()
    assert found is not None
    leaves = {name: torch.as_tensor(leaf).numpy().tobytes() for name, leaf in found[0].items()}
    return leaves, found[1]["learner"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("delivery", "kills"), [("exactly-once", 6), ("at-least-once", 3)])
def test_killed_again_and_again_nothing_is_missing_or_learned_twice(
    broker: Broker, tmp_path: Path, delivery: str, kills: int
) -> None:
    """The promise that the daemon is bought for, kept by the real process on a real stream."""
    count, draw = 8_000, random.Random(2)  # noqa: S311 - when to kill, no secret
    topic = broker.topic("elec2")
    broker.preload(topic, elec2.riding(count))
    killed, whole = tmp_path / "killed.toml", tmp_path / "whole.toml"
    answers = write(killed, broker, topic, delivery)
    unbroken = write(whole, broker, topic, delivery)
    for _ in range(kills):
        with running(tmp_path, str(killed)) as daemon:
            until = draw.randint(1, 1_100)
            daemon.until(lambda until=until: daemon.answered() >= until)  # type: ignore[misc]
            daemon.kill()
    for path in (killed, whole):
        with running(tmp_path, str(path)) as daemon:
            daemon.until(lambda: _idle(daemon.figures()), 400)
            assert daemon.stop() == 0
    said, once = _said(broker, answers), _said(broker, unbroken)
    assert [len(bodies) for bodies in once.values()] == [1] * count
    assert said.keys() == once.keys()
    assert all(set(said[one]) == set(once[one]) for one in once)
    again = sum(len(bodies) - 1 for bodies in said.values())
    assert again <= (0 if delivery == "exactly-once" else kills * (EVERY + 1024))
    (arrays, rest), (expected, meta) = checkpoint(killed), checkpoint(whole)
    assert rest == meta
    assert {name for name in expected if arrays[name] != expected[name]} == set()


def _idle(figures: dict[str, object]) -> bool:
    return bool(figures) and figures["lag"] == 0 and float(str(figures["events"])) > 0


def _said(broker: Broker, topic: str) -> dict[str, list[str]]:
    """Give the committed answers by id."""
    found = defaultdict(list)
    for one in committed(broker, topic):
        body = json.loads(one.value)
        found[body["id"]].append(json.dumps(body))
    return found
