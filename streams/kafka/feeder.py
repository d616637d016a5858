"""Events and labels to their topics: what `adaptd produce` writes with."""

from collections import deque
from typing import Any

from streams.kafka.client import BATCH_LIFE, faults, plainly, producer, remedy
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Clock
from streams.source import SourceError


class Feeder:
    """Writes in order and without duplicates, at most `max_unflushed` records ahead of the broker.

    An event and its label have the same key, so they lie in partitions of the same number.

    Args:
        settings: the cluster and its topics; labels need one of their own.
        clock: seconds, never going back.

    Raises:
        SourceError: the brokers or topics are not there, let this client not in, or the two
            topics have not the same number of partitions.
    """

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        if settings.labels is None:
            raise SourceError("source.kafka.labels is missing; name the topic for late labels")
        self._settings, self._labels, self._clock = settings, settings.labels, clock
        ensure_topics(settings, [settings.events, settings.labels])
        self._producer, self._wire = producer(settings)
        self._patience = max(settings.flush_timeout, BATCH_LIFE)
        self._waiting: deque[tuple[float, Any]] = deque()  # since when, and what
        self.acknowledged = 0
        try:
            self._check_partitions()
        except SourceError:
            self.close()
            raise

    def event(self, key: str, value: bytes) -> None:
        """Write an event.

        Raises:
            SourceError: one before it was not acknowledged in `flush_timeout`, or ten seconds.
        """
        self._send(self._settings.events, key, value)

    def label(self, key: str, value: bytes) -> None:
        """Write the label of an event of that key; raises as `event` does."""
        self._send(self._labels, key, value)

    def flush(self) -> None:
        """Wait until all is acknowledged.

        Raises:
            SourceError: it was not in time.
        """
        while self._waiting:
            self._settle()

    def close(self) -> None:
        """Let go, of what is not acknowledged too; safe to call twice; never raises."""
        self._waiting.clear()
        try:
            self._producer.close(timeout=1.0)
        except (faults.KafkaError, OSError, RuntimeError, ValueError):
            sender = self._producer._sender  # noqa: SLF001 - a failed close leaves its thread running
            sender.force_close()
            sender.join(2.0)
            self._producer._closed = True  # noqa: SLF001 - and would be tried again, and fail, at exit

    def _check_partitions(self) -> None:
        with plainly(self._settings, "looking for partitions", self._wire):
            events, labels = (
                len(self._producer.partitions_for(topic) or ())
                for topic in (self._settings.events, self._labels)
            )
        if events != labels:
            raise SourceError(
                f"topic {self._settings.events!r} has {events} partitions, {self._labels!r} has"
                f" {labels}: a label would miss its event; give both the same number"
            )

    def _send(self, topic: str, key: str, value: bytes) -> None:
        try:
            future = self._producer.send(topic, value, key.encode())
        except (faults.KafkaError, ValueError) as error:
            raise self._failed(error) from error
        now = self._clock()
        self._waiting.append((now, future))
        while self._waiting and self._waiting[0][1].is_done:
            self._settle()
        if self._waiting and now - self._waiting[0][0] > self._patience:
            self._settle()  # the client itself would try for ever
        if len(self._waiting) >= self._settings.max_unflushed:
            self._settle()

    def _settle(self) -> None:
        """Wait for the oldest."""
        since, future = self._waiting.popleft()
        try:
            future.get(max(0.0, since + self._patience - self._clock()))
        except faults.KafkaError as error:
            raise self._failed(error) from error
        self.acknowledged += 1

    def _failed(self, error: Exception) -> SourceError:
        why = str(error) or type(error).__name__
        if isinstance(error, faults.KafkaTimeoutError):
            why = f"not acknowledged in {self._patience:g} s"
        return SourceError(f"kafka {self._settings.bootstrap}, writing: {why}; {remedy(error)}")
