"""Events and labels from Kafka: the Source that reads topics."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from streams.codec import Codec
from streams.kafka.client import (
    ConsumerRebalanceListener,
    TopicPartition,
    consumer,
    ensure_topics,
    faults,
    plainly,
    unpark,
)
from streams.kafka.decode import Decoder
from streams.kafka.lanes import Lane, merge, missing
from streams.kafka.place import Placing, part_of
from streams.kafka.settings import KafkaSettings
from streams.kafka.touch import Clock, Touch
from streams.records import Record
from streams.source import Position

_log = structlog.get_logger()


class KafkaSource:
    """Reads the events topic and, where there is one, the labels topic.

    One partition with riding labels is replayable. Several partitions, or two topics, are merged
    by the records' own times (events before labels at a tie): the order depends on the logs
    alone, as long as every partition shows its next record within `merge_wait`. Positions are the
    checkpoint's; the group's committed offsets matter only without one.

    Args:
        settings: the cluster and its topics.
        codec: reads the records.
        clock: seconds, never going back.

    Raises:
        SourceError: the brokers or topics are not there, or let this client not in.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, clock: Clock) -> None:
        topics = [settings.events, *([settings.labels] if settings.labels is not None else [])]
        ensure_topics(settings, topics)
        self._settings = settings
        self._clock = clock
        self._decode = Decoder(codec, labels=settings.labels)
        self._consumer, self._wire = consumer(settings)
        self._touch = Touch(clock)
        self._placing = Placing(settings, self._consumer)
        self._lanes: dict[TopicPartition, Lane] = {}
        self._given: dict[str, int] = {}  # where parts stand that are not ours just now
        self._blocked: float | None = None  # since when the merge waits for a lane
        self._closed = False
        self._rebalance = _Rebalance()
        self._join(topics)

    def poll(self, most: int, wait: float) -> Sequence[Record]:
        """Give at most `most` records, waiting at most `wait` seconds for the first; maybe none.

        Raises:
            SourceError: the log no longer holds the position, or the cluster refuses this client.
        """
        until = self._clock() + wait
        given: list[Record] = []
        merge(list(self._lanes.values()), most, given)
        while len(given) < most:
            left = 0.0 if given else max(0.0, until - self._clock())
            fetched = self._fetch(left)
            self._mind_the_wait()
            merge(list(self._lanes.values()), most, given)
            if not fetched and (given or left == 0.0):
                break
        return given

    def position(self) -> Position:
        """Say where it stands: just after the last record that `poll` gave."""
        return {**self._given, **{lane.part: lane.given for lane in self._lanes.values()}}

    def seek(self, position: Position) -> None:
        """Go on from there; what `position` does not name begins as it would anew."""
        self._given = dict(position)
        self._lanes.clear()
        self._blocked = None
        self._rebalance.happened.set()

    def commit(self, position: Position) -> None:
        """Commit these offsets to the group, for other tools and a lost checkpoint.

        Not waited for: the checkpoint is what counts, and one that fails is only logged.
        """
        self._placing.commit(position, list(self._lanes))

    def ended(self) -> bool:
        """Say False: more may come at any time."""
        return False

    def in_touch(self) -> float:
        """Seconds since a broker last answered anything; safe from any thread."""
        return self._touch.age(self._wire)

    def assigned(self) -> bool:
        """Whether partitions have been given to this member and it knows where to read them."""
        return bool(self._lanes)

    def lag(self) -> Mapping[str, int]:
        """Records that wait, by part, as far as the last answers told."""
        waiting = {}
        for tp, lane in list(self._lanes.items()):
            end = self._placing.highwater(tp)
            if end is not None:
                waiting[lane.part] = max(0, end - lane.given)
        return waiting

    def close(self) -> None:
        """Leave the group; safe to call twice; neither hangs nor raises if the broker is gone."""
        if not self._closed:
            self._closed = True
            self._placing.close()
            self._wire.cut()

    def _join(self, topics: Sequence[str]) -> None:
        with plainly(self._settings, "joining", self._wire):
            if self._settings.membership == "group":
                self._consumer.subscribe(topics, listener=self._rebalance)
                return
            parts = [
                TopicPartition(topic, part)
                for topic in topics
                for part in self._consumer.partitions_for_topic(topic)
            ]
            self._consumer.assign(sorted(parts))
            self._rebalance.happened.set()

    def _fetch(self, wait: float) -> bool:
        """Read what is there into the lanes; say whether anything came."""
        self._pause_full()
        if self._blocked is not None or any(lane.items for lane in self._lanes.values()):
            wait = min(wait, self._settings.merge_wait)
        if not self._lanes:
            wait = max(wait, 0.01)  # joining makes no headway without a moment of its own
        batches = self._polled(wait)
        if self._rebalance.happened.is_set():
            self._settle()
            return False  # sought anew: what came before that may stand elsewhere
        for tp, records in batches.items():
            lane = self._lanes[tp]
            fresh = [record for record in records if record.offset >= lane.fetched]
            if fresh:
                lane.add(*self._decode(lane.part, tp.topic, fresh))
        for tp, lane in self._lanes.items():
            self._look_for_the_end(tp, lane)
        self._touch.age(self._wire)
        return bool(batches)

    def _polled(self, wait: float) -> Mapping[TopicPartition, Sequence[Any]]:
        unpark(self._consumer)
        with plainly(self._settings, "reading"):
            try:
                batches: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
                    round(wait * 1000)
                )
            except faults.NoOffsetForPartitionError:
                self._rebalance.happened.set()  # a partition without a place: give it one
            except faults.OffsetOutOfRangeError as error:
                for tp, offset in error.args[0].items():
                    self._lost(tp, offset)
            except (faults.RetriableError, faults.KafkaConnectionError) as error:
                _log.warning("kafka does not answer", error=str(error))
            else:
                return batches
        return {}

    def _settle(self) -> None:
        """Give every assigned partition a lane, and have the client read on where lanes stand."""
        self._rebalance.happened.clear()
        assigned = self._consumer.assignment()
        for tp in [tp for tp in self._lanes if tp not in assigned]:
            lane = self._lanes.pop(tp)
            self._given[lane.part] = lane.given
            _log.warning("partition taken away", part=lane.part, position=lane.given)
        with plainly(self._settings, "asking where partitions stand"):
            try:
                fresh = self._placing.places(assigned - self._lanes.keys(), self._given)
            except faults.RetriableError as error:
                _log.warning("kafka does not say where partitions stand", error=str(error))
                self._rebalance.happened.set()
                return
        for tp, offset in fresh.items():
            rank = 1 if tp.topic == self._settings.labels else 0
            self._lanes[tp] = Lane(part_of(tp), rank, offset)
        self._lanes = dict(sorted(self._lanes.items(), key=lambda pair: (pair[1].rank, pair[0])))
        for tp, lane in self._lanes.items():
            self._consumer.seek(tp, lane.fetched)

    def _look_for_the_end(self, tp: TopicPartition, lane: Lane) -> None:
        """Note whether the broker has nothing more of this partition, or less than was read."""
        end = self._placing.highwater(tp)
        if end is None:
            return
        if lane.fetched > end:
            self._lost(tp, lane.fetched)
        else:  # the client also steps over what is no record: markers of transactions
            lane.drained = lane.fetched == end or (
                not lane.items and self._consumer.position(tp, timeout_ms=100) == end
            )

    def _lost(self, tp: TopicPartition, offset: int) -> None:
        """Obey `out_of_range` where the log does not hold `offset`."""
        lane = self._lanes.get(tp)
        if lane is None:  # not placed yet
            self._rebalance.happened.set()
            return
        lane.given = lane.fetched = self._placing.instead(tp, offset)
        lane.items.clear()
        self._consumer.seek(tp, lane.fetched)

    def _pause_full(self) -> None:
        """Stop reading partitions whose lane is full, and go on with those that have room."""
        most = self._settings.max_poll_records
        full = {tp for tp, lane in self._lanes.items() if len(lane.items) >= most}
        paused = self._consumer.paused()
        if full - paused:
            self._consumer.pause(*(full - paused))
        if paused - full:
            self._consumer.resume(*(paused - full))

    def _mind_the_wait(self) -> None:
        """Go on without a lane that has kept the others waiting for `merge_wait`."""
        late = missing(list(self._lanes.values()))
        if not late or not any(lane.items for lane in self._lanes.values()):
            self._blocked = None
        elif self._blocked is None:
            self._blocked = self._clock()
        elif self._clock() - self._blocked >= self._settings.merge_wait:
            for lane in late:
                lane.skipped = True
            _log.warning("merging without", parts=[lane.part for lane in late])
            self._blocked = None


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """Notes that partitions were handed out; called on the client's own thread."""

    def __init__(self) -> None:
        self.happened = threading.Event()

    def on_partitions_revoked(self, revoked: object) -> None:
        """Do nothing: they may well come back."""

    def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002 - the client's
        """Have the reading thread look where to go on, before it takes another record."""
        self.happened.set()
