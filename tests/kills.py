"""Kills the real daemon again and again while both of its topics are written to, then judges it.

    python -m tests.kills --kills 100 [--partitions 4] [--seed 1] [--rate 500]

The broker is one on loopback, or that of KAFKA_BOOTSTRAP. With one partition a single state learns
from all (membership "all"); with several, one from each (membership "group", with an instance).
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaConsumer, TopicPartition

from agent.settings import Settings
from agent.settings import load as read
from tests.broker import Broker, started
from tests.daemon import ROOT, Daemon
from tests.load import SCHEMA, Written, loaded
from tests.verdict import Verdict, cluster, judged

TOML = """
[stream]
target = "{schema.target}"
id = "{schema.id}"
time = "{schema.time}"
label_target = "{schema.label_target}"
[stream.fields]
a = "numeric"
b = "numeric"
[source]
kind = "kafka"
[source.kafka]
bootstrap = "{bootstrap}"
events = "{events}"
labels = "{labels}"
predictions = "{predictions}"
refused = "{refused}"
journal = "{journal}"
group = "{events}"
membership = "{membership}"
instance = "the-one"
[sink]
kind = "kafka"
[agent]
device = "cpu"
slots = 64
hidden = 8
[checkpoint]
folder = "{folder}"
every_records = 300
[service]
delivery = "{delivery}"
"""
MOMENTS = ("starting", "replaying", "answering", "checkpoint", "committing")
PATIENCE = 60.0  # seconds until a daemon must have got to where it is to be killed


@dataclass
class Life:
    """One process: when it was killed, how long it took to answer, what it replayed."""

    moment: str
    answering: float | None = None
    replayed: int = 0
    rewinds: int = 0


@dataclass
class Story:
    """All that happened, and what came of it."""

    lives: list[Life] = field(default_factory=list)
    written: Written = field(default_factory=lambda: Written(0, 0))
    seconds: float = 0.0
    verdict: Verdict | None = None


class Killer:
    """Starts the daemon, and kills it at a moment of a kind.

    Args:
        folder: for logs; checkpoints lie below it.
        settings: the file.
        draw: when within the moment.
        answers: reads what is written of answers, committed or not.
    """

    def __init__(self, folder: Path, settings: Path, draw: random.Random, answers: Any) -> None:
        self._folder, self._settings, self._draw = folder, settings, draw
        self._answers = answers

    def life(self, moment: str) -> Life:
        """Let it live until that moment; see that it did not end by itself."""
        with self._born() as daemon:
            began = time.monotonic()
            life = Life(moment)
            self._wait(daemon, life, began)
            _lives(daemon)
            daemon.kill()
            return _told(life, daemon)

    def last(self, done: Callable[[], bool]) -> Life:
        """Let it go on until all is done, and ask it to stop."""
        with self._born() as daemon:
            began = time.monotonic()
            life = Life("stopped")
            daemon.serving()
            daemon.until(lambda: _answers(daemon), PATIENCE)
            life.answering = time.monotonic() - began
            daemon.until(done, 1200)
            assert daemon.stop() == 0
            return _told(life, daemon)

    @contextmanager
    def _born(self) -> Iterator[Daemon]:
        log = self._folder / f"daemon-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "agent", "run", str(self._settings), "--port", "0"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=ROOT)
        daemon = Daemon(process, log)
        try:
            yield daemon
        finally:
            if process.poll() is None:
                daemon.kill()

    def _wait(self, daemon: Daemon, life: Life, began: float) -> None:
        draw = self._draw
        if life.moment == "starting":
            time.sleep(draw.uniform(0.0, 4.0))
            return
        daemon.serving(PATIENCE)
        if life.moment == "replaying":
            daemon.until(lambda: _logged(daemon, "reading"), PATIENCE)
            time.sleep(draw.uniform(0.0, 0.3))
            return
        if life.moment == "committing" and draw.random() < 0.5:  # in its first transaction
            self._until_one_is_open(daemon)
            return
        daemon.until(lambda: _answers(daemon), PATIENCE)
        life.answering = time.monotonic() - began
        time.sleep(draw.uniform(0.0, 1.5))
        if life.moment == "checkpoint":
            self._until_one_is_written(daemon)
        elif life.moment == "committing":
            self._until_one_is_open(daemon)

    def _until_one_is_open(self, daemon: Daemon) -> None:
        """Wait until answers are written that most likely are not committed yet."""
        until = time.monotonic() + PATIENCE
        while self._answers.poll(0):  # of before
            pass
        while not self._answers.poll(20):
            _lives(daemon)
            assert time.monotonic() < until, "nothing was answered"
        time.sleep(self._draw.choice((0.0, 0.0, 0.002, 0.01)))

    def _until_one_is_written(self, daemon: Daemon) -> None:
        """Wait until a checkpoint stands half written; go on at once, or some moments later."""
        until = time.monotonic() + PATIENCE
        while not _half_written(self._folder / "c"):
            _lives(daemon)
            assert time.monotonic() < until, "no checkpoint was begun"
        time.sleep(self._draw.choice((0.0, 0.0, 0.002, 0.01)))


def _half_written(folder: Path) -> bool:
    """Whether a checkpoint of some shard is being written."""
    with suppress(FileNotFoundError):
        names = [one.name for one in folder.iterdir()]
        shards = (one for one in names if one.startswith("shard-"))
        return any(one.startswith(".unfinished-") for one in names) or any(
            _half_written(folder / one) for one in shards
        )
    return False


def _answers(daemon: Daemon) -> bool:
    """Whether an answer of this life is committed."""
    return daemon.answered() > 0


def _logged(daemon: Daemon, event: str) -> bool:
    return any(line.get("event") == event for line in daemon.lines())


def _lives(daemon: Daemon) -> None:
    """See that it has not ended by itself; else show the end of its log."""
    if daemon.process.poll() is not None:
        said = [line for line in daemon.lines() if line.get("event") != "refused"]
        raise AssertionError(f"it left with {daemon.process.returncode}: {said[-20:]}")


def _told(life: Life, daemon: Daemon) -> Life:
    """Add what its log says."""
    lines = daemon.lines()
    life.replayed = sum(line["records"] for line in lines if line.get("event") == "replaying")
    life.rewinds = sum(line.get("event") == "going back to the last commit" for line in lines)
    return life


def write(
    folder: Path, broker: Broker, partitions: int, delivery: str = "exactly-once"
) -> tuple[Path, Settings]:
    """Make the topics and the file of settings."""
    names = {name: broker.topic(name, partitions) for name in ("events", "labels", "journal")}
    names |= {name: broker.topic(name) for name in ("predictions", "refused")}
    path = folder / "settings.toml"
    path.write_text(
        TOML.format(
            schema=SCHEMA,
            bootstrap=broker.bootstrap,
            membership="all" if partitions == 1 else "group",
            folder=folder / "c",
            delivery=delivery,
            **names,
        )
    )
    return path, read(path, {})


def shards(partitions: int) -> list[str]:
    """Name the shards."""
    return ["all"] if partitions == 1 else [f"{at:04d}" for at in range(partitions)]


def told(
    folder: Path, broker: Broker, kills: int, partitions: int, seed: int, rate: float = 500.0
) -> Story:
    """Kill it so many times under load, let it come to an end, and judge."""
    draw = random.Random(seed)  # noqa: S311 - when to kill, no secret
    path, settings = write(folder, broker, partitions)
    kafka = cluster(settings)
    moments = [MOMENTS[at % len(MOMENTS)] for at in range(kills)]
    draw.shuffle(moments)
    story = Story()
    topics, began = (kafka.events, kafka.labels or ""), time.monotonic()
    with (
        _reading(broker, kafka.predictions) as answers,
        loaded(broker.bootstrap, topics, partitions, rate, seed) as load,
    ):
        killer = Killer(folder, path, draw, answers)
        for moment in moments:
            story.lives.append(killer.life(moment))
            _say(story)
        story.written = load.end()
        with _ends(settings, story.written, partitions) as done:
            story.lives.append(killer.last(done))
    story.seconds = time.monotonic() - began
    story.verdict = judged(broker, settings, story.written, shards(partitions))
    return story


@contextmanager
def _reading(broker: Broker, topic: str) -> Iterator[Any]:
    """Give a client that reads all of a topic, committed or not."""
    client = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    part = TopicPartition(topic, 0)
    client.assign([part])
    client.seek(part, 0)
    try:
        yield client
    finally:
        client.close(autocommit=False, timeout_ms=1000)


@contextmanager
def _ends(settings: Settings, written: Written, partitions: int) -> Iterator[Callable[[], bool]]:
    """Give what says whether the group has committed all that was written."""
    kafka = cluster(settings)
    asking = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=kafka.group, enable_auto_commit=False
    )
    both = {kafka.events: written.events, kafka.labels or "": written.labels}

    def done() -> bool:
        time.sleep(0.3)
        return all(
            sum(
                asking.committed(TopicPartition(topic, at), timeout_ms=8000) or 0
                for at in range(partitions)
            )
            == count
            for topic, count in both.items()
        )

    try:
        yield done
    finally:
        asking.close(autocommit=False, timeout_ms=1000)


def _say(story: Story) -> None:
    life = story.lives[-1]
    took = "-" if life.answering is None else f"{life.answering:.1f} s"
    print(  # noqa: T201 - a person watches a long run
        f"{len(story.lives):4d}  {life.moment:<10}  answering after {took:>7},"
        f"  {life.replayed:,} records to replay",
        flush=True,
    )


def table(story: Story) -> str:
    """Put it into a table, with what is wrong below."""
    assert story.verdict is not None
    took = sorted(life.answering for life in story.lives if life.answering is not None)
    killed = Counter(life.moment for life in story.lives[:-1])
    answers, journal = story.verdict.answers, story.verdict.journal
    rows = {
        "kills": f"{killed.total()} ({', '.join(f'{n} {m}' for m, n in sorted(killed.items()))})",
        "restarts that came to answer": f"{len(took)} of {len(story.lives)}",
        "seconds from start to answer, median": f"{statistics.median(took):.1f}",
        "seconds from start to answer, worst": f"{took[-1]:.1f}",
        "records replayed": f"{sum(life.replayed for life in story.lives):,}",
        "went back to the last commit while alive": f"{sum(one.rewinds for one in story.lives)}",
        "transactions committed": f"{journal.commits:,}",
        "transactions with answers given up": f"{answers.aborts:,}",
        "events, labels written": f"{story.written.events:,}, {story.written.labels:,}",
        "answers committed": f"{len(answers.committed):,}",
        "answers a plain read_committed reader is shown here": f"{answers.shown:,}",
        "seconds in all": f"{story.seconds:.0f}",
        "faults": "; ".join(story.verdict.faults) or "none",
    }
    return "\n".join(["| what | seen |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())])


@contextmanager
def _broker() -> Iterator[Broker]:
    if address := os.environ.get("KAFKA_BOOTSTRAP"):
        yield Broker(address)
        return
    with started() as broker:
        yield broker


def main(
    kills: Annotated[int, typer.Option(help="How often it is killed.")] = 100,
    partitions: Annotated[int, typer.Option(help="More than one: membership group.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
    rate: Annotated[float, typer.Option(help="Events a second.")] = 500.0,
) -> None:
    """Kill the daemon under load and print what came of it; exit code 1 for a fault."""
    with tempfile.TemporaryDirectory() as name, _broker() as broker:
        story = told(Path(name), broker, kills, partitions, seed, rate)
    print(table(story))  # noqa: T201 - for this it was run
    raise typer.Exit(1 if story.verdict is None or story.verdict.faults else 0)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
