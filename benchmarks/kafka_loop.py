"""How fast a bare kafka-python loop reads events and writes answers, on this machine.

The end-to-end rate of the daemon over Kafka is given as a part of this one's:

    python -m benchmarks.kafka_loop [events]
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.codec import Codec
from streams.kafka.settings import KafkaSettings
from streams.kafka.sink import KafkaSink
from streams.kafka.source import KafkaSource
from streams.records import ClassPrediction, Event
from streams.schema import Schema
from tests.broker import Broker, started
from tests.single import Single

ANSWER = {
    "id": "event-00000000",
    "key": "card-0000",
    "time": 1_700_000_000.5,
    "label": "genuine",
    "probabilities": {"genuine": 0.987654321, "fraud": 0.012345679},
}
EVERY = 10_000  # events between flushes and commits
SCHEMA = Schema(
    {"amount": "numeric", "hour": "numeric", "merchant": "categorical", "country": "categorical"},
    target="label",
    id="id",
    key="card",
    time="time",
)


@dataclass(frozen=True)
class Rate:
    """What a loop did: events read and answered, and the seconds that it took."""

    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


def events(count: int) -> list[bytes]:
    """Make `count` events of about 175 bytes."""
    return [
        msgspec.json.encode(
            {
                "id": f"event-{at:08d}",
                "card": f"card-{at % 997:04d}",
                "time": 1_700_000_000.0 + at,
                "amount": 1.25 * (at % 400),
                "hour": at % 24,
                "merchant": f"merchant-{at % 89}",
                "country": "DE",
                "label": "fraud" if at % 97 == 0 else "genuine",
            }
        )
        for at in range(count)
    ]


def bare(broker: Broker, topic: str, answers: str, count: int) -> Rate:
    """Poll, decode, answer: nothing but kafka-python and msgspec, with their plain settings."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5, batch_size=262_144)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0), 0)
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    done, began = 0, time.perf_counter()
    while done < count:
        for records in consumer.poll(500).values():
            for record in records:
                found = decode(record.value)
                answer = {**ANSWER, "id": found["id"]}
                key = found.get("card", found["id"]).encode()
                producer.send(answers, encode(answer), key, partition=0)
            done += len(records)
    producer.flush(60)
    seconds = time.perf_counter() - began
    producer.close(5)
    consumer.close(autocommit=False)
    return Rate(done, seconds)


def ours(broker: Broker, topic: str, answers: str, count: int, schema: Schema = SCHEMA) -> Rate:
    """Do the same with adaptd's source and sink, flushing and committing as a daemon does."""
    settings = KafkaSettings(
        bootstrap=broker.bootstrap,
        events=topic,
        predictions=answers,
        refused=broker.topic("refused"),
        group=answers,
        membership="all",
    )
    source = Single(KafkaSource(settings, Codec(schema), time.monotonic))
    sink = KafkaSink(settings, time.monotonic)
    done, flushed, began = 0, 0, time.perf_counter()
    while done < count:
        records = source.poll(512, 0.5)
        sink.predictions(
            [
                ClassPrediction(
                    record.id,
                    record.key,
                    record.time,
                    "genuine",
                    {"genuine": 0.987654321, "fraud": 0.012345679},
                )
                for record in records
                if isinstance(record, Event)
            ]
        )
        done += len(records)
        if done - flushed >= EVERY:
            flushed = done
            sink.flush()
            source.commit(source.position())
    sink.flush()
    seconds = time.perf_counter() - began
    sink.close()
    source.close()
    return Rate(done, seconds)


def main(count: int) -> None:
    """Print the rates of both loops over the same events."""
    loops: dict[str, Callable[[Broker, str, str, int], Rate]] = {"bare": bare, "ours": ours}
    with started() as broker:
        topic = broker.topic("events")
        broker.preload(topic, events(count))
        for name, loop in loops.items():
            rate = loop(broker, topic, broker.topic("answers"), count)
            print(f"{name}: {rate.per_second:,.0f} events/s ({rate.events:,} events)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
