"""A compacted topic that holds one value a shard: where shards lend one another a start."""

from collections.abc import Mapping

from streams.kafka.client import faults, plainly, producer, reader, remedy
from streams.kafka.settings import KafkaSettings
from streams.kafka.tail import to_the_end
from streams.kafka.topics import ensure_topics
from streams.source import SourceError

COMPACT = {"cleanup.policy": "compact"}


class KafkaCommons:
    """Keeps the newest value of each shard of the group in `settings.sharing`.

    Args:
        settings: the cluster and the topic.

    Raises:
        SourceError: the brokers or the topic are not there.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings, self._topic = settings, settings.sharing or ""
        ensure_topics(settings, [self._topic], 1, COMPACT)
        self._producer, self._wire = producer(settings)
        self._closed = False

    def give(self, shard: str, value: bytes) -> None:
        """Send a value, not waiting for it; a later one takes its place.

        Raises:
            SourceError: it cannot be sent.
        """
        key = f"{self._settings.group}/{shard}".encode()
        try:
            self._producer.send(self._topic, value, key, partition=0)
        except (faults.KafkaError, ValueError) as error:
            place = f"kafka {self._settings.bootstrap}, {self._topic}"
            raise SourceError(f"{place}: {error}; {remedy(error)}") from error

    def take(self) -> Mapping[str, bytes]:
        """Read the newest value of every shard of the group.

        Raises:
            SourceError: the topic cannot be read.
        """
        consumer, wire = reader(self._settings, "read_uncommitted")
        try:
            records = to_the_end(self._settings, consumer, self._topic, 0, 0)
        finally:
            wire.cut()
        prefix = f"{self._settings.group}/"
        keyed = [
            ((record.key or b"").decode("utf-8", "replace"), record.value) for record in records
        ]
        return {
            key.removeprefix(prefix): value
            for key, value in keyed
            if key.startswith(prefix) and value is not None
        }

    def close(self) -> None:
        """Wait a second for what is on its way; never raises."""
        if self._closed:
            return
        self._closed = True
        try:
            with plainly(self._settings, "closing"):
                self._producer.close(timeout=1.0)
        except SourceError:
            self._wire.cut()
