"""Where to read a partition: the checkpoint's word, else the group's, else the settings'."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from streams.kafka.client import OffsetAndMetadata, TopicPartition, faults
from streams.kafka.settings import KafkaSettings
from streams.source import Position, SourceError

_log = structlog.get_logger()
_ANSWER_MS = 5000


def part_of(tp: TopicPartition) -> str:
    """Name a partition as positions do."""
    return f"{tp.topic}[{tp.partition}]"


class Placing:
    """Finds offsets for partitions, and commits them.

    Args:
        settings: the policy.
        consumer: the connected client.
    """

    def __init__(self, settings: KafkaSettings, consumer: Any) -> None:
        self._settings = settings
        self._consumer = consumer
        self._commit: Any = None  # the future of the last commit

    def places(
        self, parts: Iterable[TopicPartition], known: Position, by: str = "checkpoint"
    ) -> dict[TopicPartition, int]:
        """Give the offset where each partition is to be read on, and log why.

        Args:
            parts: which.
            known: offsets by part, from the checkpoint or the journal.
            by: from which of them.

        Raises:
            SourceError: the log no longer holds it, and the policy is to stop.
        """
        parts = sorted(parts)
        if not parts:
            return {}
        first = self._consumer.beginning_offsets(parts, timeout_ms=_ANSWER_MS)
        places = {tp: self._place(tp, known, by) for tp in parts}
        return {
            tp: offset if offset >= first[tp] else self.instead(tp, offset)
            for tp, offset in places.items()
        }

    def _place(self, tp: TopicPartition, known: Position, by: str) -> int:
        part = part_of(tp)
        offset = known.get(part)
        if offset is None:
            by = "committed offset, without a checkpoint"
            offset = self._consumer.committed(tp, timeout_ms=_ANSWER_MS)
        if offset is None:
            by = f"start = {self._settings.start}"
            offset = self._bound(tp, self._settings.start)
        _log.info("reading", part=part, position=offset, by=by)
        return offset

    def instead(self, tp: TopicPartition, offset: int) -> int:
        """Say where to read on when the log does not hold `offset`, and say so loudly.

        Raises:
            SourceError: the policy is to stop.
        """
        first, end = self._bound(tp, "earliest"), self._bound(tp, "latest")
        end = max(end, self.highwater(tp) or 0)
        part, policy = part_of(tp), self._settings.out_of_range
        if policy == "fail":
            raise SourceError(
                f"kafka {self._settings.bootstrap}: {part} holds the offsets {first} to {end}, "
                f"not {offset}, where the checkpoint stands; restore the topic, or set "
                'out_of_range to "earliest" or "latest" and lose what is between'
            )
        place = first if policy == "earliest" else end
        lost = max(0, place - offset)
        _log.error("offset out of range", part=part, wanted=offset, to=place, lost=lost, by=policy)
        return place

    def highwater(self, tp: TopicPartition) -> int | None:
        """Give the offset after the partition's last record, as the last answer told it."""
        try:
            offset: int | None = self._consumer.highwater(tp)
        except faults.IllegalStateError:  # taken away meanwhile
            return None
        return offset

    def commit(self, position: Position, mine: Sequence[TopicPartition]) -> None:
        """Send the offsets of those partitions that are still this member's."""
        offsets = {
            tp: OffsetAndMetadata(position[part_of(tp)], "", -1)
            for tp in mine
            if part_of(tp) in position
        }
        if offsets:
            self._commit = self._consumer.commit_async(offsets, callback=_committed)

    def committed(self, parts: Iterable[TopicPartition]) -> dict[str, int]:
        """Give the group's committed offsets by part; empty unless there is one for each."""
        asked = sorted(parts)
        found = {part_of(tp): self._consumer.committed(tp, timeout_ms=_ANSWER_MS) for tp in asked}
        return {} if None in found.values() else found

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def close(self) -> None:
        """Let a commit on its way arrive and leave the group, in two seconds at the most."""
        last, self._commit = self._commit, None
        try:
            if last is not None and not last.is_done:
                self._consumer.poll(200)
            self._consumer.close(autocommit=False, timeout_ms=1500)
        except (faults.KafkaError, OSError, RuntimeError) as error:
            _log.warning("closing without the broker", error=str(error))

    def _bound(self, tp: TopicPartition, end: str) -> int:
        ask = self._consumer.beginning_offsets if end == "earliest" else self._consumer.end_offsets
        offsets: Mapping[TopicPartition, int] = ask([tp], timeout_ms=_ANSWER_MS)
        return offsets[tp]


def _committed(offsets: object, answer: object) -> None:
    if isinstance(answer, Exception):
        _log.warning("offsets not committed", offsets=str(offsets), error=str(answer))
