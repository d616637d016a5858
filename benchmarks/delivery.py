"""What delivery exactly once costs: events a second, and the time to an answer.

    python -m benchmarks.delivery [EVENTS] [ROUNDS] [SECONDS]

Three measurements on one machine with a broker (tansu, in memory) beside them: the daemon's loop
over elec2 topic to topic, exactly once, at least once, and a bare loop that learns the same, in
turns; the time from an event's writing until a reader of what is committed has its answer; and two
daemons of one group against one, over four partitions of the card world.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agent.daemon import Counter
from agent.parts import guards, hatch, open_ends, stores
from agent.service.checkpoint import CheckpointSettings
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.pump import Pump
from agent.service.settings import Delivery, ServiceSettings
from agent.service.status import About
from agent.service.tally import Tally
from agent.settings import Settings, SinkSettings, SourceSettings
from benchmarks import cards, table
from benchmarks.cards import CLOCKS
from streams.codec import Codec, encode_prediction
from streams.kafka import KafkaSettings
from tests import elec2
from tests.broker import Broker, started
from tests.daemon import running

PARTITIONS = 4
RATE = 300.0  # events a second while the time to an answer is taken: no queue builds up
LEAST = 20_000  # events for several processes: they need time to share the partitions
WARM = 5.0  # seconds left out at the beginning


def of(broker: Broker, topic: str, folder: str, delivery: Delivery) -> Settings:
    """Give a daemon's settings, with topics of its own for what it writes."""
    answers = broker.topic("answers")
    kafka = KafkaSettings(
        bootstrap=broker.bootstrap,
        events=topic,
        predictions=answers,
        refused=broker.topic("refused"),
        journal=broker.topic("journal"),
        group=answers,
        membership="all",
    )
    return Settings(
        stream=elec2.SCHEMA,
        source=SourceSettings("kafka", kafka=kafka),
        sink=SinkSettings("kafka"),
        checkpoint=CheckpointSettings(folder, every_records=10_000),
        service=ServiceSettings(delivery=delivery),
    )


def daemon(settings: Settings, count: int) -> float:
    """Answer and learn so many events as the daemon does; give events a second."""
    health, tally, counter = Health(CLOCKS.now), Tally("classes"), Counter()
    with ExitStack() as stack:
        ends = open_ends(settings, CLOCKS, stack)
        pump = Pump(
            ends.source,
            ends.sink,
            hatch(settings, CLOCKS),
            stores(settings, CLOCKS),
            settings.checkpoint,
            settings.service,
            health,
            (tally, Metrics(About("", ""), tally, health, CLOCKS.wall), counter),
            CLOCKS,
            ends.transactions,
            guards(settings),
        )
        stack.enter_context(closing(pump))
        pump.restore()
        began = time.perf_counter()
        pump.run(lambda: counter.events >= count)
        return count / (time.perf_counter() - began)


def bare(broker: Broker, topic: str, count: int) -> float:
    """Consume, learn, produce: no checkpoint, no journal, no figures, one flush at the end."""
    settings = Settings(stream=elec2.SCHEMA, source=SourceSettings("kafka", kafka=KafkaSettings()))
    learner = Prequential.build(
        elec2.SCHEMA, settings.agent, settings.encoder, settings.labels, probes=settings.probes
    )
    codec, answers = Codec(elec2.SCHEMA), broker.topic("answers")
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap, enable_auto_commit=False, max_poll_records=1024
    )
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5, batch_size=262_144)
    part = TopicPartition(topic, 0)
    consumer.assign([part])
    consumer.seek(part, 0)
    done, began = 0, time.perf_counter()
    while done < count:
        records = consumer.poll(500).get(part, [])
        read = [codec.event(one.value, "", one.timestamp / 1000) for one in records]
        for said in learner.feed(read).predictions:
            producer.send(answers, encode_prediction(said), said.id.encode(), partition=0)
        done += len(records)
    producer.flush(60)
    seconds = time.perf_counter() - began
    producer.close(5)
    consumer.close(autocommit=False)
    return count / seconds


def rates(broker: Broker, events: int, rounds: int) -> list[table.Row]:
    """Let the three loops take turns; ratios are to the bare loop."""
    topic = broker.topic("elec2")
    broker.preload(topic, elec2.riding(events))

    def ours(delivery: Delivery) -> float:
        with TemporaryDirectory() as folder:
            return daemon(of(broker, topic, folder, delivery), events)

    loops: dict[str, Callable[[], float]] = {
        "exactly once": lambda: ours("exactly-once"),
        "at least once": lambda: ours("at-least-once"),
        "bare loop, learning the same": lambda: bare(broker, topic, events),
    }
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds):
        for name, loop in loops.items():
            found[name].append(loop())
            print(f"turn {turn + 1} of {rounds}, {name}: {found[name][-1]:,.0f} events/s")
    base = statistics.median(found["bare loop, learning the same"])
    return [
        {
            "loop": name,
            "events": events,
            "rounds": rounds,
            "events/s, median": round(statistics.median(some)),
            "least": round(min(some)),
            "most": round(max(some)),
            "part of bare": statistics.median(some) / base,
        }
        for name, some in found.items()
    ]


def waits(broker: Broker, seconds: float) -> list[table.Row]:
    """Take the time to an answer under a light load, by how often transactions end."""
    return [
        _wait(broker, seconds, "exactly-once", 0.1),
        _wait(broker, seconds, "exactly-once", 0.5),
        _wait(broker, seconds, "at-least-once", 0.1),
    ]


def _wait(broker: Broker, seconds: float, delivery: str, commit: float) -> table.Row:
    more = {"service__delivery": f'"{delivery}"', "service__commit_seconds": str(commit)}
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        path, answers = cards.settings(folder, broker, 1, source__kafka__partitions="1", **more)
        stack.enter_context(running(folder, str(path)))
        reader = stack.enter_context(cards.Reader(broker.bootstrap, answers))
        stack.enter_context(cards.producing(path, RATE))
        _until(lambda: reader.count() > 0)
        time.sleep(WARM + seconds)
        came, took = reader.times()
    kept = took[came > came[0] + WARM]
    how = f"{delivery}, {commit:g} s between commits" if "exactly" in delivery else delivery
    return {"delivery": how, "events/s": RATE, "answers": len(kept), **cards.quantiles(kept)}


def scale(broker: Broker, events: int) -> list[table.Row]:
    """Let one process, then two of one group, answer the same partitions."""
    found = {count: _group(broker, events, count) for count in (1, 2)}
    return [
        {
            "processes": count,
            "partitions": PARTITIONS,
            "events": events,
            "events/s": round(rate),
            "to one": rate / found[1],
        }
        for count, rate in found.items()
    ]


def _group(broker: Broker, events: int, members: int) -> float:
    """Give events a second, from when all members answer until nearly all is answered."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        more = {"source__kafka__membership": '"group"', "agent__device": '"cpu"'}
        path, answers = cards.settings(folder, broker, PARTITIONS, **more)
        with cards.producing(path, 0.0, events) as producer:
            producer.wait(600)
        daemons = [stack.enter_context(running(folder, str(path))) for _ in range(members)]
        reader = stack.enter_context(cards.Reader(broker.bootstrap, answers))
        _until(lambda: all(one.answered() > 0 for one in daemons), 120)
        before, began = reader.count(), time.perf_counter()
        if before > events / 2:
            raise SystemExit(f"{events} events are too few: {before} were answered at the start")
        _until(lambda: reader.count() >= 0.95 * events)
        return (reader.count() - before) / (time.perf_counter() - began)


def _until(true: Callable[[], bool], seconds: float = 1200.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"nothing came about in {seconds:g} s")
        time.sleep(0.02)


def main(events: int, rounds: int, seconds: int) -> None:
    """Write out/delivery.json, out/delivery_waits.json, out/delivery_scale.json, and tables."""
    torch.set_num_threads(1)
    command = f"python -m benchmarks.delivery {events} {rounds} {seconds}"
    with started() as broker:
        table.write("delivery", rates(broker, events, rounds), command)
        table.write("delivery_waits", waits(broker, seconds), command)
        table.write("delivery_scale", scale(broker, max(events, LEAST)), command)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [45_312, 3, 60][len(given) :]))
