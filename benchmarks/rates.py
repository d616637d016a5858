"""Events a second of the whole daemon, from file and through a broker, beside a bare Kafka loop.

    python -m benchmarks.rates [EVENTS] [REPEATS]

The stream is elec2 with riding labels, as JSON lines. The loop is the daemon's own, with its page's
figures, metrics and checkpoints (one per 10,000 records). The broker is tansu, in memory, on
loopback; it shares the machine. The loops take turns, REPEATS times; medians are compared.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from kafka.record import util

from agent.daemon import Counter
from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.pump import Clocks, Pump
from agent.service.status import About
from agent.service.tally import Tally
from agent.settings import Settings, SourceSettings
from benchmarks import kafka_loop, table
from streams.codec import Codec
from streams.files import FileSettings, FileSource
from streams.jsonlines import JsonLinesSink
from streams.kafka import KafkaSettings, KafkaSink, KafkaSource
from streams.source import Shards, Sink
from streams.whole import Whole
from tests import elec2
from tests.broker import Broker, started

CLOCKS = Clocks()
LOOPS = {
    "file to file": "adaptd, JSON lines to JSON lines",
    "kafka": "adaptd, topic to topic",
    "carrying": "adaptd's source and sink alone, topic to topic, no learning",
    "bare": "bare kafka-python with crc32c, as here, topic to topic, no learning",
    "plain": "bare kafka-python as it installs by itself (checksums in Python), no learning",
}


def daemon(source: Shards, sink: Sink, folder: Path, count: int) -> float:
    """Answer and learn so many events as the daemon does; give events a second."""
    settings = Settings(stream=elec2.SCHEMA, source=SourceSettings("file", FileSettings("-")))
    health, tally, counter = Health(CLOCKS.now), Tally("classes"), Counter()
    pump = Pump(
        source,
        sink,
        lambda _: Prequential.build(
            elec2.SCHEMA, settings.agent, settings.encoder, settings.labels
        ),
        lambda shard: CheckpointStore(folder, 3, {}, CLOCKS.wall, shard),
        CheckpointSettings(every_records=10_000),
        settings.service,
        health,
        (tally, Metrics(About("", ""), tally, health, CLOCKS.wall), counter),
        CLOCKS,
    )
    pump.restore()
    began = time.perf_counter()
    pump.run(lambda: counter.events >= count)
    seconds = time.perf_counter() - began
    pump.close()
    if counter.events != count:
        raise SystemExit(f"{counter.events} events were answered, of {count}")
    return count / seconds


def by_file(records: list[bytes]) -> float:
    """Replay a file, into files."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "events.jsonl").write_bytes(b"\n".join(records) + b"\n")
        source = FileSource(
            FileSettings(str(folder / "events.jsonl")),
            Codec(elec2.SCHEMA),
            CLOCKS.now,
            CLOCKS.sleep,
        )
        sink = JsonLinesSink(folder / "predictions.jsonl", folder / "refused.jsonl")
        return daemon(Whole(source), sink, folder / "checkpoints", len(records))


def by_broker(broker: Broker, topic: str, count: int) -> float:
    """Read a topic, answer to another."""
    answers = broker.topic("answers")
    settings = KafkaSettings(
        bootstrap=broker.bootstrap,
        events=topic,
        predictions=answers,
        refused=broker.topic("refused"),
        group=answers,
        membership="all",
    )
    source = KafkaSource(settings, Codec(elec2.SCHEMA), CLOCKS.now)
    with TemporaryDirectory() as folder:
        return daemon(source, KafkaSink(settings, CLOCKS.now), Path(folder), count)


def rates(broker: Broker, records: list[bytes], repeats: int) -> dict[str, list[float]]:
    """Let the loops take turns."""
    topic, count = broker.topic("elec2"), len(records)
    broker.preload(topic, records)
    loops: dict[str, Callable[[], float]] = {
        "file to file": lambda: by_file(records),
        "kafka": lambda: by_broker(broker, topic, count),
        "carrying": lambda: _loop(
            partial(kafka_loop.ours, schema=elec2.SCHEMA), broker, topic, count
        ),
        "bare": lambda: _loop(kafka_loop.bare, broker, topic, count),
        "plain": lambda: plain(broker, topic, count),
    }
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(repeats):
        for name, loop in loops.items():
            found[name].append(loop())
            print(f"turn {turn + 1} of {repeats}, {name}: {found[name][-1]:,.0f} events/s")
    return found


def plain(broker: Broker, topic: str, count: int) -> float:
    """The bare loop without the optional package that does checksums in C."""
    fast = util.calc_crc32c.__defaults__
    util.calc_crc32c.__defaults__ = (util.crc32c_py,)
    try:
        return _loop(kafka_loop.bare, broker, topic, count)
    finally:
        util.calc_crc32c.__defaults__ = fast


def _loop(of: Callable[..., kafka_loop.Rate], broker: Broker, topic: str, count: int) -> float:
    return of(broker, topic, broker.topic("answers"), count).per_second


def main(events: int, repeats: int) -> None:
    """Write out/rates.json and out/rates.md."""
    torch.set_num_threads(1)
    with started() as broker:
        found = rates(broker, elec2.riding(events), repeats)
    bare, slow = (statistics.median(found[name]) for name in ("bare", "plain"))
    rows: list[table.Row] = [
        {
            "loop": said,
            "events": events,
            "repeats": repeats,
            "events/s, median": round(statistics.median(found[name])),
            "least": round(min(found[name])),
            "most": round(max(found[name])),
            "part of bare": statistics.median(found[name]) / bare,
            "part of plain": statistics.median(found[name]) / slow,
        }
        for name, said in LOOPS.items()
    ]
    table.write("rates", rows, f"python -m benchmarks.rates {events} {repeats}")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [45_312, 5][len(given) :]))
