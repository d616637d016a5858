"""One shard of a Kafka source: its lanes, merged or replayed, and what was taken of them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from streams.kafka.client import TopicPartition
from streams.kafka.journal import NONE, Entry, Noted
from streams.kafka.lanes import Lane, merge, missing
from streams.records import Record, Refused
from streams.source import Position, SourceError

_log = structlog.get_logger()


class Shard:
    """Gives the records of its lanes in one order, and remembers which since the last commit.

    Args:
        lanes: by partition, events first, as they merge.
        clock: monotonic seconds.
        patience: seconds that lanes with records wait for one that shows none.
        group: whose shard it is.
        replay: entries of the journal to go through before anything new.
        head: offset of the last entry that is covered; `NONE` for none.
    """

    def __init__(
        self,
        lanes: Mapping[TopicPartition, Lane],
        clock: Callable[[], float],
        patience: float,
        group: str,
        replay: Sequence[Noted] = (),
        head: int = NONE,
    ) -> None:
        self.lanes = dict(lanes)
        self._order = list(self.lanes.values())
        self._clock, self._patience, self._group = clock, patience, group
        self._script = deque(replay)
        self._run = 0  # runs of the first entry that are done
        self._left = 0  # records left of the run under way; 0 before it begins
        self.head = head
        self._runs: list[int] = []
        self._unread: dict[str, tuple[int, ...]] = {}
        self._before = self.position()
        self._blocked: float | None = None

    @property
    def replaying(self) -> bool:
        """Whether entries of the journal are left."""
        return bool(self._script)

    def ready(self) -> bool:
        """Whether something can be given at once."""
        if self._script:
            entry = self._script[0].entry
            return bool(self._of(entry, entry.runs[self._run]).items)
        return any(lane.items for lane in self._order) and not missing(self._order)

    def position(self) -> dict[str, int]:
        """Offsets of the next records to give, by part."""
        return {lane.part: lane.given for lane in self._order}

    def taken(self) -> int:
        """Records given since the last commit."""
        return sum(self._runs[1::2])

    def entry(self) -> Entry | None:
        """What was given since the last commit; None for nothing."""
        if not self._runs:
            return None
        parts = tuple(lane.part for lane in self._order)
        after, runs = self.position(), tuple(self._runs)
        return Entry(self._before, after, parts, runs, self._group, self.head, self._unread)

    def committed(self, at: int) -> None:
        """Take note that the entry is committed, at that offset of the journal."""
        self.head, self._before, self._runs, self._unread = at, self.position(), [], {}

    def take(self, most: int, into: list[Record]) -> bool:
        """Move up to `most` records into `into`; say whether they are replayed ones.

        Raises:
            SourceError: the topics do not hold what the journal says.
        """
        if not self._script:
            before = len(into)
            merge(self._order, most, into, self._runs)
            self._unread = _unread(into[before:], self._unread)
            return False
        while self._script and len(into) < most and self._replay(most, into):
            pass
        return True

    def _replay(self, most: int, into: list[Record]) -> bool:
        """Take records of the run under way; say whether to go on."""
        entry = self._script[0].entry
        if not self._run and not self._left:
            self._check(entry.before, "before")
        if not self._left:
            self._left = entry.runs[self._run + 1]
        lane = self._of(entry, entry.runs[self._run])
        before = len(into)
        lane.take(min(most - before, self._left), into, entry.unread.get(lane.part, ()))
        self._left -= len(into) - before
        if self._left:
            return False
        self._run += 2
        if self._run >= len(entry.runs):
            self._check(entry.after, "after")
            self.head = self._script.popleft().at
            self._run = 0
            self._before = self.position()
        return True

    def _of(self, entry: Entry, at: int) -> Lane:
        part = entry.parts[at]
        lane: Lane | None = next((one for one in self._order if one.part == part), None)
        if lane is not None:
            return lane
        raise SourceError(f"the journal names {part}, which is no part of this shard any more")

    def _check(self, said: Position, when: str) -> None:
        """Compare where lanes stand with an entry. Offsets may skip markers, never go back."""
        here = self.position()
        wrong = [part for part in said if here.get(part, 0) != said[part]]
        if wrong:
            part = wrong[0]
            raise SourceError(
                f"{part} stands at {here.get(part)}, where the journal says {said[part]} {when}"
                " a transaction: the topic has lost records since; restore it, or begin anew with"
                " other checkpoints, another group and another journal"
            )

    def mind_the_wait(self) -> None:
        """Go on without a lane that has kept the others waiting too long."""
        late = [] if self._script else missing(self._order)
        if not late or not any(lane.items for lane in self._order):
            self._blocked = None
        elif self._blocked is None:
            self._blocked = self._clock()
        elif self._clock() - self._blocked >= self._patience:
            for lane in late:
                lane.skipped = True
            _log.warning("merging without", parts=[lane.part for lane in late])
            self._blocked = None


def _unread(
    records: Sequence[Record], known: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Add the places of those that a later reader might be able to read."""
    for record in records:
        if type(record) is Refused and record.reason == "unknown-schema":
            part, _, offset = record.where.rpartition("@")
            known = {**known, part: (*known.get(part, ()), int(offset))}
    return known


def hold_back(consumer: Any, lanes: Mapping[TopicPartition, Lane], most: int) -> None:
    """Stop reading partitions whose lane is full, and go on with those that have room."""
    full = {tp for tp, lane in lanes.items() if len(lane.items) >= most}
    paused = consumer.paused() & lanes.keys()
    if full - paused:
        consumer.pause(*(full - paused))
    if paused - full:
        consumer.resume(*(paused - full))
