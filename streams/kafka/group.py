"""Which shards this process holds: all partitions at once, or those that the group hands out."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from streams.kafka.assignor import ShardAssignor
from streams.kafka.client import ConsumerRebalanceListener, TopicPartition
from streams.kafka.settings import KafkaSettings
from streams.source import WHOLE, SourceError

_log = structlog.get_logger()


def shard_of(tp: TopicPartition) -> str:
    """Name the shard of a partition in a group: its number in four digits."""
    return f"{tp.partition:04d}"


class Members:
    """The partitions of this member, by shard.

    Args:
        settings: the topics and the kind of membership.
        consumer: the connected client.
        topics: events and, where there is one, labels.
        assignor: the consumer's own.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        consumer: Any,
        topics: Sequence[str],
        assignor: ShardAssignor,
    ) -> None:
        self._settings, self._consumer, self._topics = settings, consumer, tuple(topics)
        self._parts: dict[str, frozenset[TopicPartition]] = {}
        self._listener = _Listener(assignor)
        self.rebalances = 0

    def join(self) -> None:
        """Join the group, or take all partitions.

        Raises:
            SourceError: events and labels cannot be handed out together.
        """
        if self._settings.membership == "group":
            self._check()
            self._consumer.subscribe(list(self._topics), listener=self._listener)
            return
        parts = [
            TopicPartition(topic, part)
            for topic in self._topics
            for part in self._consumer.partitions_for_topic(topic)
        ]
        self._consumer.assign(sorted(parts))
        self._parts = {WHOLE: frozenset(parts)}
        self.hold_still((WHOLE,))

    def joined(self) -> bool:
        """Whether the group has handed out partitions; it may be none where members are many."""
        if self._settings.membership == "all":
            return True
        return bool(self._consumer.group_metadata().generation_id >= 0)

    def held(self) -> frozenset[str]:
        """Name the shards that are handed out now."""
        return frozenset(self._parts)

    def parts(self, shard: str) -> frozenset[TopicPartition]:
        """Give a shard's partitions."""
        return self._parts[shard]

    def metadata(self) -> Any:
        """What the group's coordinator is told: the member and its generation, or the name."""
        if self._settings.membership == "group":
            return self._consumer.group_metadata()
        return self._settings.group

    def still(self, seconds: float) -> bool:
        """Wait for the group to say that this member belongs to it; say whether it has.

        A heartbeat that is sent from now on has to be answered well.
        """
        beat = self._consumer._coordinator.heartbeat  # noqa: SLF001 - no public word on it
        now = time.monotonic()
        while time.monotonic() - now < seconds:
            if now < beat.last_send < beat.last_receive and not beat.heartbeat_failed:
                return True
            time.sleep(0.02)
        return False

    def revoking(self, call: Callable[[frozenset[str]], None]) -> None:
        """Have `call` told of shards that are about to go."""
        self._listener.call = lambda going: call(frozenset(map(shard_of, going)))

    def look_again(self) -> None:
        """Have partitions placed again."""
        self._listener.happened.set()

    def changed(self) -> bool:
        """Whether partitions were handed out, or have to be placed, since the last `settle`."""
        return self._listener.happened.is_set()

    def gone(self) -> frozenset[str]:
        """Name the shards that were away for a moment at least: what is known of them is old."""
        assigned = set(self._consumer.assignment())
        missing = {shard_of(tp) for tp in self._listener.missing}
        if self._settings.membership == "all":
            return frozenset()
        away = {name for name, parts in self._parts.items() if not parts <= assigned}
        return frozenset(away | missing)

    def settle(self, known: Collection[str] | Mapping[str, object]) -> None:
        """Take up what the group has handed out; those not `known` are read once sought.

        Raises:
            SourceError: the group has parted the events of a shard from its labels.
        """
        self._listener.happened.clear()
        self._listener.missing.clear()
        if self._settings.membership == "all":
            return
        found: dict[str, set[TopicPartition]] = {}
        for tp in self._consumer.assignment():
            found.setdefault(shard_of(tp), set()).add(tp)
        for name, parts in found.items():
            if len(parts) != len(self._topics):
                raise SourceError(
                    f"group {self._settings.group}: {sorted(parts)} came without the other topic's"
                    f" partition {name}; let no other kind of program join this group"
                )
        self._parts = {name: frozenset(parts) for name, parts in sorted(found.items())}
        self.rebalances = self._listener.times
        _log.info("shards handed out", shards=list(self._parts), known=sorted(known))

    def hold_still(self, shards: Collection[str]) -> None:
        """Have nothing read of these until they are sought."""
        still = [tp for name in shards for tp in self._parts.get(name, ())]
        for tp in still:
            self._consumer.seek(tp, 0)  # a place of some kind, so that the client asks for none
        if still:
            self._consumer.pause(*still)

    def _check(self) -> None:
        """See that the topics have as many partitions, so that equal numbers go together."""
        counts = {
            topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._topics
        }
        if len(set(counts.values())) != 1:
            said = ", ".join(f"{topic} {count}" for topic, count in counts.items())
            raise SourceError(
                f"kafka {self._settings.bootstrap}: events and labels need as many partitions"
                f" ({said}), so that an event and its label meet in one shard; make the topics"
                ' alike, or set source.kafka.membership = "all" for one state over all partitions'
            )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """Called on the client's own thread, while `poll` waits for it on the daemon's."""

    def __init__(self, assignor: ShardAssignor) -> None:
        self.happened = threading.Event()
        self.call: Callable[[Collection[TopicPartition]], None] = lambda _: None
        self.missing: set[TopicPartition] = set()
        self.times = 0
        self._assignor = assignor

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Make durable what is under way in them: the next owner goes on from there."""
        if not revoked:
            return
        try:
            self.call(revoked)
        except Exception as error:  # noqa: BLE001 - the client would log it, and go on all the same
            _log.warning("not all was made durable before a rebalance", why=str(error))
        self._changed(revoked)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Take note: the group has gone on without this member."""
        _log.warning("partitions lost", partitions=len(lost))
        self._assignor.lost()
        self._changed(lost)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Have the reading thread look where to go on, before it takes another record."""
        del assigned
        self._changed(())

    def _changed(self, away: Collection[TopicPartition]) -> None:
        self.missing |= set(away)
        self.times += 1
        self.happened.set()
