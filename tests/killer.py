"""The real daemon over two topics, started and killed at a moment of a chosen kind."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.settings import Settings
from agent.settings import load as read
from tests.broker import Broker
from tests.daemon import ROOT, Daemon
from tests.load import SCHEMA

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
{instance}[sink]
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
INSTANCE = 'instance = "the-one"\n'
MOMENTS = ("starting", "replaying", "answering", "checkpoint", "committing")
PATIENCE = 60.0  # seconds until a daemon must have got to where it is to be killed


@dataclass
class Life:
    """One process: when it was killed, how long it took to answer, what it replayed."""

    moment: str
    answering: float | None = None
    replayed: int = 0
    rewinds: int = 0


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
            instance=INSTANCE,
            membership="all" if partitions == 1 else "group",
            folder=folder / "c",
            delivery=delivery,
            **names,
        )
    )
    return path, read(path, {})
