"""Exactly once: answers, dead letters, offsets and journal in one transaction."""

from typing import Any

from streams.kafka.client import TopicPartition
from streams.kafka.journal import Entry, encoded, signed
from streams.kafka.settings import KafkaSettings
from streams.kafka.sink import KafkaSink
from streams.kafka.source import KafkaSource
from streams.kafka.supervisor import Output
from streams.kafka.transactional import TransactionalOut
from streams.source import WHOLE, RewindError, SourceError

STALE = 0.8
"""A member that has not polled for this share of the session may have been replaced; a broker that
knows the generations of a group (KIP-447) refuses it by itself, another does not."""


def transactional_id(settings: KafkaSettings, unique: str) -> str:
    """Name this process's transactions.

    The only member of a group, or one with an instance of its own, keeps its name over restarts:
    a new one ends what the old one left, and the old one, should it still live, writes no more.
    Others take a `unique` name; what they leave open ends after `transaction_timeout`.
    """
    if settings.membership == "all":
        return f"{settings.group}-{WHOLE}"
    return f"{settings.group}-{settings.instance or unique}"


class KafkaTransactions:
    """Commits what a source gave together with what a sink was given.

    Args:
        settings: the cluster and its topics.
        source, sink: both of that cluster; the source goes by a journal.

    Raises:
        SourceError: the sink writes without transactions.
    """

    def __init__(self, settings: KafkaSettings, source: KafkaSource, sink: KafkaSink) -> None:
        if not isinstance(sink.out, TransactionalOut):
            raise SourceError("the sink writes without transactions; open it with a name for them")
        self._settings, self._source, self._sink, self._out = settings, source, sink, sink.out

    def waiting(self) -> int:
        """Say how many records were taken since the last commit."""
        return self._source.taken()

    def commit(self) -> None:
        """Make all that was taken and given since the last commit durable, at once.

        Raises:
            RewindError: it was given up; the shards have to be sought anew.
            FencedError: another process has taken this one's place.
            SourceError: it may not write.
        """
        entries = self._source.entries()
        if not entries:
            return
        if not self._belongs():
            raise RewindError("the group has gone on without this member, or does not answer it")
        noted = {shard: self._note(shard, entry) for shard, entry in entries.items()}
        offsets = {
            _partition(part): offset
            for entry in entries.values()
            for part, offset in entry.after.items()
        }
        self._out.commit(offsets, self._source.group(), self._belongs)
        for shard, future in noted.items():
            at = future.get(1.0).offset
            if (
                at < 0
            ):  # it was sent twice, since the first answer was lost: the journal knows where
                raise RewindError(
                    f"the journal of shard {shard} does not say where its entry stands"
                )
            self._source.committed(shard, at)

    def recover(self) -> None:
        """Give up what is under way and be ready for another transaction.

        Raises:
            FencedError: another process has taken this one's place.
            SourceError: no broker says so in time.
        """
        self._out.recover()

    def _belongs(self) -> bool:
        return self._source.belongs(STALE * self._settings.session_timeout)

    def _note(self, shard: str, entry: Entry) -> Any:
        partition = 0 if shard == WHOLE else int(shard)
        headers = signed(self._out.name)
        output = Output(self._settings.journal, encoded(entry), shard.encode(), headers, partition)
        future = self._out.send(output)
        if future is None:
            raise RewindError(f"the journal of shard {shard} cannot be written")
        return future


def _partition(part: str) -> TopicPartition:
    topic, _, number = part.removesuffix("]").rpartition("[")
    return TopicPartition(topic, int(number))
