"""Kills the real daemon again and again while both of its topics are written to, then judges it.

    python -m tests.kills --kills 100 [--partitions 4] [--seed 1] [--rate 500]

The broker is one on loopback, or that of KAFKA_BOOTSTRAP. With one partition a single state learns
from all (membership "all"); with several, one from each (membership "group", with an instance).
"""

import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaConsumer, TopicPartition

from agent.settings import Settings
from streams.kafka.journal import Journal, Noted
from tests.broker import Broker, started
from tests.killer import MOMENTS, Killer, Life, write
from tests.load import Written, loaded
from tests.verdict import Verdict, cluster, judged


@dataclass
class Story:
    """All that happened, and what came of it."""

    lives: list[Life] = field(default_factory=list)
    written: Written = field(default_factory=lambda: Written(0, 0))
    seconds: float = 0.0
    verdict: Verdict | None = None


def shards(partitions: int) -> list[str]:
    """Name the shards."""
    return ["all"] if partitions == 1 else [f"{at:04d}" for at in range(partitions)]


def told(
    folder: Path, broker: Broker, moments: Sequence[str], partitions: int, seed: int, rate: float
) -> Story:
    """Kill it at these moments under load, let it come to an end, and judge."""
    draw = random.Random(seed)  # noqa: S311 - when to kill, no secret
    path, settings = write(folder, broker, partitions)
    kafka = cluster(settings)
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
        with ends(settings, story.written, partitions) as done:
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
def ends(settings: Settings, written: Written, partitions: int) -> Iterator[Callable[[], bool]]:
    """Give what says whether the journal has come to the end of all that was written.

    It is asked before the group's offsets: a broker may hold those back for good.
    """
    kafka = cluster(settings)
    journal = Journal(kafka)
    last: dict[int, Noted] = {}

    def done() -> bool:
        time.sleep(0.3)
        for at in range(partitions):
            notes, _ = journal.read(at, last[at].at if at in last else 0)
            last.update({at: notes[-1]} if notes else {})
        return all(
            sum(one.entry.after.get(f"{topic}[{at}]", 0) for at, one in last.items()) == count
            for topic, count in ((kafka.events, written.events), (kafka.labels, written.labels))
        )

    try:
        yield done
    finally:
        journal.close()


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
    moments = [MOMENTS[at % len(MOMENTS)] for at in range(kills)]
    random.Random(seed).shuffle(moments)  # noqa: S311 - when to kill, no secret
    with tempfile.TemporaryDirectory() as name, _broker() as broker:
        story = told(Path(name), broker, moments, partitions, seed, rate)
    print(table(story))  # noqa: T201 - for this it was run
    raise typer.Exit(1 if story.verdict is None or story.verdict.faults else 0)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
