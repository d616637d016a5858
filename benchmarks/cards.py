"""The card world through a broker, watched from outside: what the longer measurements share.

`adaptd produce --live` writes events that bear the time of their writing, and an answer repeats its
event's time: so whoever reads what is committed knows how long each answer took.
"""

import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from kafka import KafkaConsumer, TopicPartition
from numpy.typing import NDArray

from agent.service.clocks import Clocks
from tests.broker import Broker
from tests.daemon import ROOT

CLOCKS = Clocks()
EXAMPLE = ROOT / "deploy" / "examples" / "cards.toml"


class _Answer(msgspec.Struct):
    time: float


def settings(folder: Path, broker: Broker, partitions: int, **more: str) -> tuple[Path, str]:
    """Write the example's settings with topics of their own; give the file and the answers' topic.

    `more` is set by path, dots as double underscores: service__commit_seconds="0.5".
    """
    names = {name: broker.topic(name, partitions) for name in ("events", "labels", "journal")}
    names |= {"predictions": broker.topic("answers"), "refused": broker.topic("refused")}
    given = {f"source.kafka.{name}": f'"{topic}"' for name, topic in names.items()}
    given |= {
        "source.kafka.bootstrap": f'"{broker.bootstrap}"',
        "source.kafka.group": f'"{names["events"]}"',
        "checkpoint.folder": f'"{folder / "checkpoints"}"',
    }
    given |= {name.replace("__", "."): value for name, value in more.items()}
    path = folder / f"{names['events']}.toml"
    path.write_text(_over(EXAMPLE.read_text(encoding="utf-8"), given), encoding="utf-8")
    return path, names["predictions"]


def _over(text: str, given: dict[str, str]) -> str:
    """Put settings over those of a TOML file, in their own tables."""
    found: list[str] = []
    table, left = "", dict(given)
    for line in [*text.splitlines(), "[]"]:
        if line.startswith("["):
            found += [f"{name.rpartition('.')[2]} = {left.pop(name)}" for name in _of(table, left)]
            table = line.partition("]")[0][1:]
        if f"{table}.{line.partition(' ')[0]}" not in given:
            found.append(line)
    rest: dict[str, list[str]] = {}
    for name, value in left.items():
        rest.setdefault(name.rpartition(".")[0], []).append(f"{name.rpartition('.')[2]} = {value}")
    more = [line for table, lines in rest.items() for line in (f"[{table}]", *lines)]
    return "\n".join([*found[:-1], *more]) + "\n"


def _of(table: str, given: dict[str, str]) -> list[str]:
    return [name for name in given if name.rpartition(".")[0] == table]


@contextmanager
def producing(path: Path, rate: float, events: int | None = None) -> Iterator[subprocess.Popen]:  # type: ignore[type-arg]
    """Have the card world written, at so many events a second (0: as fast as it goes)."""
    command = [sys.executable, "-m", "agent", "produce", str(path), "--live", "--rate", str(rate)]
    command += [] if events is None else ["--events", str(events)]
    with path.with_suffix(".produce.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


class Reader:
    """Reads what is committed in a topic as it comes, and notes when each event's answer came.

    Args:
        bootstrap, topic: where; one partition.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_poll_records=5000,
        )
        part = TopicPartition(topic, 0)
        self._consumer.assign([part])
        self._consumer.seek(part, 0)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._came, self._asked = array("d"), array("d")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(10)
        self._consumer.close(autocommit=False, timeout_ms=1000)

    def count(self) -> int:
        """Say how many answers have come."""
        return len(self._came)

    def times(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give when each answer came (Unix seconds), and how long after its event's writing."""
        count = len(self._came)
        came, asked = np.array(self._came[:count]), np.array(self._asked[:count])
        return came, came - asked

    def _run(self) -> None:
        decoder = msgspec.json.Decoder(_Answer)
        while not self._enough.is_set():
            for records in self._consumer.poll(100).values():
                now = CLOCKS.wall()
                for record in records:
                    self._asked.append(decoder.decode(record.value).time)
                    self._came.append(now)


def quantiles(seconds: NDArray[np.float64]) -> dict[str, float | None]:
    """Give the median, the 99th percentile and the worst, in seconds."""
    if not len(seconds):
        return {"p50 s": None, "p99 s": None, "worst s": None}
    half, most, worst = np.quantile(seconds, [0.5, 0.99, 1.0]).tolist()
    return {"p50 s": half, "p99 s": most, "worst s": worst}
