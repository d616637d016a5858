"""A long haul topic to topic, exactly once: memory, lag, and the time from an event to its answer.

    python -m benchmarks.soak_kafka [--minutes 30] [--rate 5000] [--partitions 12]

One daemon with the default agent learns a broker's events and labels (a second late) at a steady
rate, a state for each partition. The time to an answer is from the moment at which an event was due
to be written until a reader has met the marker that commits its answer. Feeder, broker, reader
and daemon share this machine.
"""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.request import urlopen

import msgspec
import numpy as np
import psutil
import typer
from kafka import KafkaConsumer, TopicPartition

from tests.broker import Broker, started
from tests.committed import _batches
from tests.daemon import Daemon, running
from tests.load import SCHEMA, loaded

OUT = Path("out/soak_kafka.json")
OK = 200
LOOK = 5.0  # seconds between two looks at memory and lag
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
membership = "group"
instance = "soak"
[sink]
kind = "kafka"
[agent]
device = "cpu"
[checkpoint]
folder = "{folder}"
"""


@dataclass
class Minute:
    """What was seen in one minute."""

    minute: int
    answers: int = 0
    lag: int = 0
    rss: int = 0
    seconds: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        """Give the figures: events/s, most records waiting, bytes, seconds to an answer."""
        some = np.array(self.seconds or [np.nan])
        p50, p99 = np.quantile(some, [0.5, 0.99])
        worst = float(some.max())
        rate = self.answers / 60
        return {
            "minute": self.minute, "rate": rate, "lag": self.lag, "rss": self.rss,
            "p50": float(p50), "p99": float(p99), "worst": worst,
        }  # fmt: skip


class Reader:
    """Takes note of answers as their transactions are committed.

    Args:
        broker: where.
        topic: of answers, with one partition.
        rate: events a second, which says when one was due.
    """

    def __init__(self, broker: Broker, topic: str, rate: float) -> None:
        self._rate, self._tp = rate, TopicPartition(topic, 0)
        self._consumer = KafkaConsumer(
            bootstrap_servers=broker.bootstrap, enable_auto_commit=False,
            isolation_level="read_committed", max_poll_records=20_000, fetch_max_wait_ms=20,
        )  # fmt: skip
        self._consumer.assign([self._tp])
        self._consumer.seek(self._tp, 0)
        self._open: deque[Any] = deque()

    def read(self, seen: Any, began: float) -> list[float]:
        """Give the seconds that the answers committed since the last call took."""
        for records in self._consumer.poll(50).values():
            self._open.extend(records)
        now, markers = time.time() - began, seen[self._tp]  # noqa: TID251 - a benchmark's clock
        last = max((at for at, batch in markers.items() if batch.ends == "commit"), default=-1)
        markers.clear()
        took = []
        while self._open and self._open[0].offset < last:
            at = int(msgspec.json.decode(self._open.popleft().value)["id"][1:])
            took.append(now - at / self._rate)
        return took

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=1000)


def figures(daemon: Daemon) -> dict[str, Any]:
    with urlopen(f"{daemon.url}status.json", timeout=10) as reply:  # noqa: S310 - loopback
        return dict(json.load(reply)["figures"] or {})


def soaked(
    broker: Broker, folder: Path, minutes: float, rate: float, partitions: int
) -> list[Minute]:
    """Run it, and give what was seen minute by minute."""
    names = {name: broker.topic(name, partitions) for name in ("events", "labels", "journal")}
    names |= {name: broker.topic(name) for name in ("predictions", "refused")}
    path = folder / "soak.toml"
    path.write_text(TOML.format(schema=SCHEMA, bootstrap=broker.bootstrap, folder=folder, **names))
    found = [Minute(1)]
    with running(folder, str(path)) as daemon, _batches() as seen:
        daemon.serving().until(lambda: daemon.get("readyz")[0] == OK, 60)
        process, reader = (
            psutil.Process(daemon.process.pid),
            Reader(broker, names["predictions"], rate),
        )
        topics = (names["events"], names["labels"])
        with loaded(broker.bootstrap, topics, partitions, rate, 0) as load:
            began = time.time()  # noqa: TID251 - as above
            looked = 0.0
            while (now := time.time() - began) < 60 * minutes:  # noqa: TID251 - as above
                if now >= 60 * len(found):
                    print(" ".join(f"{k} {v:,.3g}" for k, v in found[-1].row().items()), flush=True)
                    found.append(Minute(len(found) + 1))
                took = reader.read(seen, began)
                found[-1].answers += len(took)
                found[-1].seconds += took
                if now - looked >= LOOK:
                    looked = now
                    found[-1].rss = max(found[-1].rss, process.memory_info().rss)
                    found[-1].lag = max(found[-1].lag, int(figures(daemon)["lag"]))
            load.end()
        reader.close()
        if daemon.stop(120) != 0:
            raise SystemExit(daemon.log.read_text()[-2000:])
    return found


def table(rows: list[dict[str, float]]) -> str:
    """Put some of the minutes into a table, and all of them below."""
    lines = [
        "| minute | answers/s | most records waiting | memory | p50 | p99 | worst |",
        "|" + "---|" * 7,
    ]
    wanted = sorted({1, 2, len(rows), *range(5, len(rows), 5)})
    lines += [
        f"| {row['minute']:.0f} | {row['rate']:,.0f} | {row['lag']:,.0f}"
        f" | {row['rss'] / 2**20:,.0f} MiB | {row['p50']:.2f} s | {row['p99']:.2f} s"
        f" | {row['worst']:.2f} s |"
        for row in rows
        if row["minute"] in wanted
    ]
    return "\n".join(lines)


def main(
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    rate: Annotated[float, typer.Option(help="Events a second.")] = 5000.0,
    partitions: Annotated[int, typer.Option(help="Of events and of labels.")] = 12,
) -> None:
    """Run the soak, print a table, write out/soak_kafka.json."""
    with TemporaryDirectory() as name, started() as broker:
        found = soaked(broker, Path(name), minutes, rate, partitions)
    rows = [one.row() for one in found]
    seconds = np.concatenate([np.array(one.seconds) for one in found])
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    whole = {"p50": p50, "p99": p99, "worst": seconds.max(), "answers": len(seconds)}
    print(table(rows))
    print({key: round(float(value), 3) for key, value in whole.items()})
    OUT.parent.mkdir(exist_ok=True)
    asked = {"minutes": minutes, "rate": rate, "partitions": partitions}
    OUT.write_text(
        json.dumps(
            {"asked": asked, "whole": {k: float(v) for k, v in whole.items()}, "minutes": rows}
        )
    )


if __name__ == "__main__":
    typer.run(main)
