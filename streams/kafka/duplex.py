"""A topic read at its end and another written, for who must answer at once or not at all.

Nothing is remembered: reading begins at the end of the topic each time, so no record is given
twice, and what came while nobody read is never given. What cannot be sent is lost, and counted.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import structlog

from streams.kafka.client import TopicPartition, faults, plainly, producer, reader
from streams.kafka.letters import let_go
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Touch

_ANSWER_MS: Final = 5000
_log = structlog.get_logger()


class Arrived(NamedTuple):
    """A record: key, value, its time (Unix seconds), and where it stands, as "topic[0]@17"."""

    key: bytes | None
    value: bytes | None
    time: float
    at: str


class Duplex:
    """Reads `events` from now on, and writes `predictions`.

    Args:
        settings: the cluster and its topics.
        clock: seconds, never going back.

    Raises:
        SourceError: the brokers or topics are not there, or let this client not in.
    """

    def __init__(
        self, settings: KafkaSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        ensure_topics(settings, [settings.events, settings.predictions])
        self._settings, self._touch = settings, Touch(clock)
        self._consumer, self._heard = reader(settings)
        self._futures: list[Any] = []
        self.lost = 0
        try:
            self._producer, self._wire = producer(replace(settings, linger_ms=0))
        except BaseException:
            let_go(self._consumer, self._heard)
            raise
        try:
            self._stand_at_the_end()
        except BaseException:
            self.close()
            raise

    def _stand_at_the_end(self) -> None:
        """Fetch a little of each partition: only an answer to a fetch tells the end for sure."""
        topic = self._settings.events
        with plainly(self._settings, f"looking for the end of {topic!r}"):
            parts = [TopicPartition(topic, p) for p in self._consumer.partitions_for_topic(topic)]
            self._consumer.assign(parts)
            first = self._consumer.beginning_offsets(parts, timeout_ms=_ANSWER_MS)
            for tp in parts:
                self._consumer.seek(tp, first[tp])
            until = time.monotonic() + _ANSWER_MS / 1000
            while any(self._consumer.highwater(tp) is None for tp in parts):
                if time.monotonic() > until:
                    raise faults.KafkaTimeoutError("no answer in time")
                self._consumer.poll(50, max_records=1)
            for tp in parts:
                self._consumer.seek(tp, self._consumer.highwater(tp))

    def poll(self, seconds: float) -> Sequence[Arrived]:
        """Give what has arrived, each partition in its order; wait for the first so long.

        Raises:
            SourceError: the brokers do not let this client read any more.
        """
        with plainly(self._settings, f"reading {self._settings.events!r}"):
            batches = self._consumer.poll(round(1000 * seconds))
        return [
            Arrived(
                one.key, one.value, one.timestamp / 1000, f"{tp.topic}[{tp.partition}]@{one.offset}"
            )
            for tp, records in batches.items()
            for one in records
        ]

    def send(self, key: bytes, value: bytes) -> None:
        """Send an answer at once, and once; what fails is not sent again."""
        try:
            self._futures.append(self._producer.send(self._settings.predictions, value, key))
        except (faults.KafkaError, ValueError) as error:
            self._fail(error)

    def settle(self, seconds: float) -> int:
        """Wait so long for what was sent to be acknowledged; give how many were."""
        with suppress(faults.KafkaError):
            self._producer.flush(seconds)
        done = sum(bool(future.succeeded()) for future in self._futures)
        failed = [future for future in self._futures if future.failed()]
        for future in failed:
            self._fail(future.exception)
        self._futures = [one for one in self._futures if not one.succeeded() and not one.failed()]
        return done

    def _fail(self, error: object) -> None:
        self.lost += 1
        _log.warning("an action was not sent", why=str(error))

    def in_touch(self) -> float:
        """Give the seconds since a broker last answered; may be asked from any thread."""
        return self._touch.age(self._heard)

    def close(self) -> None:
        """Let go of the brokers; safe to call twice."""
        let_go(self._consumer, self._heard)
        with suppress(faults.KafkaError, OSError, RuntimeError, ValueError):
            self._producer.close(timeout=1.0)
        self._wire.cut()
