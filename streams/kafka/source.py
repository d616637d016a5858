"""Events and labels from Kafka: shards of the topics' partitions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from streams.codec import Codec
from streams.kafka.assignor import ShardAssignor
from streams.kafka.client import TopicPartition, consumer, faults, plainly, unpark
from streams.kafka.decode import Decoder
from streams.kafka.group import Members
from streams.kafka.journal import Entry
from streams.kafka.lanes import Lane
from streams.kafka.place import Placing, part_of
from streams.kafka.restore import Restoring
from streams.kafka.settings import KafkaSettings
from streams.kafka.shard import Shard, hold_back
from streams.kafka.topics import ensure_topics
from streams.kafka.touch import Clock, Touch
from streams.records import Record
from streams.source import Batch, Position
from streams.wire import LaterError

_log = structlog.get_logger()


class KafkaSource:
    """Reads the events topic and, where there is one, the labels topic.

    With membership "all" there is one shard of all partitions; with "group" a shard for each
    number of a partition: events[7] and labels[7] are shard "0007". Several partitions, or two
    topics, are merged by the records' own times (events before labels at a tie): the order depends
    on the logs alone, as long as every partition shows its next record within `merge_wait`. With
    a journal the order is replayed as it was, whatever it depended on.

    Args:
        settings: the cluster and its topics.
        codec: reads the records.
        clock: seconds, never going back.
        journal: go by the journal, for delivery exactly once.

    Raises:
        SourceError: the brokers or topics are not there, or let this client not in.
    """

    def __init__(
        self, settings: KafkaSettings, codec: Codec, clock: Clock, *, journal: bool = False
    ) -> None:
        topics = [settings.events, *([settings.labels] if settings.labels is not None else [])]
        ensure_topics(settings, topics)
        self._settings, self._clock = settings, clock
        self._decode = Decoder(codec, labels=settings.labels)
        assignor = ShardAssignor(topics)
        self._consumer, self._wire = consumer(settings, assignor)
        self._touch = Touch(clock)
        self._placing = Placing(settings, self._consumer)
        self._members = Members(settings, self._consumer, topics, assignor)
        self._restoring = Restoring(settings, self._placing, self._members, clock, journal=journal)
        self._shards: dict[str, Shard] = {}
        self._met, self._closed = clock(), False  # when the client was last polled
        with plainly(settings, "joining", self._wire):
            self._members.join()

    def held(self) -> frozenset[str]:
        """Name the shards that are handed out to this member."""
        return self._members.held()

    def placed(self) -> frozenset[str]:
        """Name those that were sought and have not been away since."""
        return frozenset(self._shards)

    def replaying(self, shard: str) -> bool:
        """Say whether entries of the journal are left to go through."""
        return self._shards[shard].replaying

    def poll(self, most: int, wait: float) -> Sequence[Batch]:
        """Give at most `most` records of each shard, waiting `wait` seconds for the first.

        Raises:
            SourceError: the log no longer holds the position, or the cluster refuses this client.
        """
        given: dict[str, list[Record]] = {}
        until, replayed = self._clock() + wait, set[str]()
        while not given:
            # What is taken here is answered after this returns, so nothing is taken before the
            # client was asked: inside, the group may have what was answered made durable.
            left = max(0.0, until - self._clock())
            self._fetch(left)
            for shard in self._shards.values():
                shard.mind_the_wait()
            self._take(most, given, replayed)
            if left == 0.0:
                break
        return [Batch(name, records, name in replayed) for name, records in given.items()]

    def position(self, shard: str) -> Position:
        """Say where a shard stands: just after the last record that `poll` gave of it."""
        held = self._shards[shard]
        return {**held.position(), **self._restoring.mark(shard, held.head)}

    def seek(self, shard: str, position: Position) -> None:
        """Go on from there; what `position` does not name begins as it would anew.

        Raises:
            SourceError: the log or the journal does not lead on from there.
        """
        parts = sorted(self._members.parts(shard))
        with plainly(self._settings, "asking where partitions stand"):
            start = self._restoring.start(shard, parts, position)
        ranked = sorted((int(tp.topic == self._settings.labels), tp) for tp in parts)
        ordered = {tp: Lane(part_of(tp), rank, start.places[tp]) for rank, tp in ranked}
        how = (self._settings.merge_wait, self._settings.group)
        self._shards[shard] = Shard(ordered, self._clock, *how, start.replay, start.head)
        self._place()

    def leads(self, shard: str, position: Position) -> bool:
        """Say whether the journal leads on from `position`; without one, any will do."""
        with plainly(self._settings, "asking where partitions stand"):
            return self._restoring.leads(shard, position)

    def commit(self, positions: Mapping[str, Position]) -> None:
        """Commit these offsets to the group, for other tools and a lost checkpoint.

        Not waited for: one that fails is only logged. With a journal the offsets are those of the
        transactions, which are further on.
        """
        if self._restoring.journaled:
            return
        for shard, position in positions.items():
            if shard in self._shards:
                self._placing.commit(position, list(self._shards[shard].lanes))

    def revoking(self, call: Callable[[frozenset[str]], None]) -> None:
        """Have `call` told, inside `poll`, of shards that the group is about to take away."""
        self._members.revoking(call)

    def rewind(self) -> None:
        """Have every shard sought anew."""
        self._shards.clear()
        self._members.hold_still(self._members.held())

    def idle(self) -> None:
        """Stay a member of the group while nothing can be taken: poll, with all of it paused."""
        if assigned := self._consumer.assignment():
            self._consumer.pause(*assigned)
        batches = self._polled(0.0)
        if not self._members.changed():  # else all is sought anew at the next poll
            self._take_in(batches)

    def rebalances(self) -> int:
        """Say how often the group has handed out partitions."""
        return self._members.rebalances

    def paused(self) -> int:
        """Say how many partitions wait until there is room for more of their records."""
        lanes = [lane for shard in list(self._shards.values()) for lane in shard.lanes.values()]
        return sum(len(lane.items) >= self._settings.max_poll_records for lane in lanes)

    def ended(self) -> bool:
        """Say False: more may come at any time."""
        return False

    def in_touch(self) -> float:
        """Seconds since broker and registry last answered; safe from any thread."""
        return max(self._touch.age(self._wire), self._decode.in_touch())

    def belongs(self, fresh: float) -> bool:
        """Whether this member has its shards still: asked if it was met `fresh` seconds ago."""
        if self._settings.membership == "all" or self._clock() - self._met < fresh:
            return True
        return self._members.still(self._settings.session_timeout)

    def assigned(self) -> bool:
        """Whether this member has its shards and knows where to read them; it may have none."""
        return self._members.joined() and self._members.held() == self._shards.keys()

    def lag(self) -> Mapping[str, int] | None:
        """Records that wait, by part, by the last answers; None until each partition gave one."""
        lanes = [pair for shard in list(self._shards.values()) for pair in shard.lanes.items()]
        ends = [(lane, self._placing.highwater(tp)) for tp, lane in lanes]
        known = {lane.part: max(0, end - lane.given) for lane, end in ends if end is not None}
        return known if self.assigned() and len(known) == len(ends) else None

    def group(self) -> Any:
        """What a transaction tells the group of this member."""
        return self._members.metadata()

    def taken(self) -> int:
        """Records given since the last commit."""
        return sum(shard.taken() for shard in self._shards.values())

    def entries(self) -> dict[str, Entry]:
        """What was given since the last commit, by shard."""
        found = ((name, shard.entry()) for name, shard in self._shards.items())
        return {name: entry for name, entry in found if entry is not None}

    def committed(self, shard: str, at: int) -> None:
        """Take note that a shard's entry is committed, at that offset of the journal."""
        if shard in self._shards:
            self._shards[shard].committed(at)

    def close(self) -> None:
        """Leave the group; safe to call twice; neither hangs nor raises if the broker is gone."""
        if not self._closed:
            self._closed = True
            self._placing.close()
            self._wire.cut()
            self._restoring.close()

    def _take(self, most: int, given: dict[str, list[Record]], replayed: set[str]) -> None:
        for name, shard in self._shards.items():
            records: list[Record] = []
            if shard.take(most, records):
                replayed.add(name)
            if records:
                given[name] = records

    def _fetch(self, wait: float) -> None:
        """Read what is there into the lanes, waiting only where none of them can give anything."""
        held = {tp: one for some in self._shards.values() for tp, one in some.lanes.items()}
        hold_back(self._consumer, held, self._settings.max_poll_records)
        if any(shard.ready() for shard in self._shards.values()):
            wait = 0.0
        elif any(lane.items for lane in held.values()):
            wait = min(wait, self._settings.merge_wait)
        if not held:
            wait = max(wait, 0.01)  # joining makes no headway without a moment of its own
        batches = self._polled(wait)
        if self._members.changed():
            for name in [name for name in self._shards if name in self._members.gone()]:
                _log.warning("shard taken away", shard=name, **self._shards.pop(name).position())
            self._members.settle(self._shards)
            self._place()
            return  # sought anew: what came before that may stand elsewhere
        self._take_in(batches)

    def _take_in(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for shard in self._shards.values():
            for tp, lane in shard.lanes.items():
                self._fill(tp, lane, batches.get(tp, ()))
        self._touch.age(self._wire)

    def _fill(self, tp: TopicPartition, lane: Lane, records: Sequence[Any]) -> None:
        fresh = [record for record in records if record.offset >= lane.fetched]
        if fresh:
            try:
                lane.add(*self._decode(lane.part, tp.topic, fresh))
            except LaterError:  # the registry tells the log itself
                self._consumer.seek(tp, lane.fetched)
                return
        end = self._placing.highwater(tp)
        if end is None:
            return
        if lane.fetched > end:
            self._lost(tp, lane.fetched)
        else:  # the client also steps over what is no record: markers of transactions
            lane.drained = lane.fetched == end or (
                not lane.items and self._consumer.position(tp, timeout_ms=100) == end
            )

    def _polled(self, wait: float) -> Mapping[TopicPartition, Sequence[Any]]:
        unpark(self._consumer)
        with plainly(self._settings, "reading"):
            try:
                batches: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(
                    round(wait * 1000)
                )
            except faults.NoOffsetForPartitionError:  # a partition without a place: give it one
                self._members.look_again()
            except faults.OffsetOutOfRangeError as error:
                for tp, offset in error.args[0].items():
                    self._lost(tp, offset)
            except (faults.RetriableError, faults.KafkaConnectionError) as error:
                _log.warning("kafka does not answer", error=str(error))
            else:
                self._met = self._clock()
                return batches
        return {}

    def _place(self) -> None:
        """Have the client read on where the lanes stand, and leave alone what was not sought."""
        placed = {tp for shard in self._shards.values() for tp in shard.lanes}
        self._members.hold_still(self._members.held() - self._shards.keys())
        for shard in self._shards.values():
            for tp, lane in shard.lanes.items():
                self._consumer.seek(tp, lane.fetched)
        waiting = placed & self._consumer.paused()
        if waiting:
            self._consumer.resume(*waiting)

    def _lost(self, tp: TopicPartition, offset: int) -> None:
        """Obey `out_of_range` where the log does not hold `offset`."""
        for shard in self._shards.values():
            if (lane := shard.lanes.get(tp)) is not None:
                lane.given = lane.fetched = self._placing.instead(tp, offset)
                lane.items.clear()
                self._consumer.seek(tp, lane.fetched)
                return
        self._members.look_again()
