"""A load on two topics: events at a steady rate, their labels later, by fits and starts.

What is written depends on numbers alone, when it is written on the clock: two runs interleave
events and labels in different ways.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from kafka import KafkaProducer

from streams.schema import Schema

SCHEMA = Schema({"a": "numeric", "b": "numeric"}, target="y", id="id", time="t", label_target="y")
KEYS = 96
"""A multiple of the partitions: all records of a key lie in one of them."""
BROKEN = 197
"""Every so many events one cannot be read."""


def broken(at: int) -> bool:
    """Say whether the event of that number cannot be read."""
    return at % BROKEN == BROKEN - 1


def event(at: int, rate: float) -> bytes:
    """Give the event of that number."""
    if broken(at):
        return b"no event %d" % at
    a, b = _values(at)
    return msgspec.json.encode({"id": f"e{at}", "t": at / rate, "a": a, "b": b})


def label(at: int, rate: float, late: float) -> bytes:
    """Give its label, known so many seconds later."""
    a, b = _values(at)
    truth = "up" if a + 0.3 * b > 0 else "down"
    return msgspec.json.encode({"id": f"e{at}", "t": at / rate + late, "y": truth})


def _values(at: int) -> tuple[float, float]:
    draw = random.Random(at)  # noqa: S311 - features, no secret
    return draw.gauss(0, 1), draw.gauss(0, 1)


@dataclass(frozen=True)
class Written:
    """How many events were written, those that cannot be read included, and how many labels."""

    events: int
    labels: int

    @property
    def good(self) -> list[str]:
        """Ids of the events that can be read."""
        return [f"e{at}" for at in range(self.events) if not broken(at)]

    @property
    def refused(self) -> list[bytes]:
        """Those that cannot, as they were written."""
        return [event(at, 1.0) for at in range(self.events) if broken(at)]


class Load:
    """Writes from a thread of its own until `end`.

    Args:
        bootstrap: the broker.
        topics: of events and of labels; a label lies in the partition of its event's number.
        partitions: of each of the two.
        rate: events a second.
        late: seconds from an event to its label.
        seed: of the moments at which labels are held up.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: tuple[str, str],
        partitions: int,
        rate: float,
        late: float = 1.0,
        seed: int = 0,
    ) -> None:
        self._events, self._labels = topics
        self._partitions, self._rate, self._late = partitions, rate, late
        self._draw = random.Random(seed)  # noqa: S311 - when to stall, no secret
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, linger_ms=5, max_block_ms=60_000
        )
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._sent = self._labelled = self._taught = 0
        self._stalled = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> Written:
        """Write the labels that are still due, see all acknowledged, and say how many."""
        self._enough.set()
        self._thread.join(70)
        self._teach(self._sent)
        self._producer.flush(60)
        self._producer.close(10)
        return Written(self._sent, self._taught)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._enough.wait(0.02):
            now = time.monotonic() - began
            for at in range(self._sent, round(now * self._rate)):
                self._send(self._events, at, event(at, self._rate))
                self._sent = at + 1
            if self._draw.random() < 0.02:  # about once a second
                self._stalled = now + self._draw.uniform(0.0, 0.8)
            if now >= self._stalled:
                self._teach(min(self._sent, round((now - self._late) * self._rate)))

    def _teach(self, upto: int) -> None:
        for at in range(self._labelled, upto):
            if not broken(at):
                self._send(self._labels, at, label(at, self._rate, self._late))
                self._taught += 1
            self._labelled = at + 1

    def _send(self, topic: str, at: int, value: bytes) -> None:
        key = b"k%d" % (at % KEYS)
        self._producer.send(topic, value, key, partition=at % self._partitions)


@contextmanager
def loaded(
    bootstrap: str, topics: Sequence[str], partitions: int, rate: float, seed: int
) -> Iterator[Load]:
    """Write for as long as it is held, and until `end`."""
    load = Load(bootstrap, (topics[0], topics[1]), partitions, rate, seed=seed)
    load.start()
    try:
        yield load
    finally:
        load._enough.set()
        load._thread.join(70)
