"""Partitions side by side, merged into one stream by the records' own times."""

from collections import deque
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import repeat
from typing import TypeAlias

from streams.records import Record, Refused

_THEN = "its schema was not known when it was first taken"

Item: TypeAlias = tuple[float, int, Record]
"""A record waiting: its time, the offset after it, and itself."""

Head: TypeAlias = tuple[float, int, int]
"""A lane's first record: its time, its rank at a tie (events go first), the lane's place."""


class Lane:
    """One partition: what was read of it, and what of that was given on.

    Args:
        part: its name in a position, "topic[0]".
        rank: 0 for events, 1 for labels: who goes first when times are the same.
        given: offset of the next record to give.
    """

    __slots__ = ("drained", "fetched", "given", "items", "part", "rank", "skipped", "time")

    def __init__(self, part: str, rank: int, given: int) -> None:
        self.part = part
        self.rank = rank
        self.given = given
        self.fetched = given  # offset of the next record to read from the broker
        self.items: deque[Item] = deque()
        self.time = float("-inf")  # of the record read last; refused ones have none of their own
        self.drained = False  # nothing more is on the broker, as far as is known
        self.skipped = False  # kept the others waiting too long

    def add(self, records: Sequence[Record], after: Sequence[int]) -> None:
        """Take records in their order; `after` are the offsets after each."""
        items, time = self.items, self.time
        for record, offset in zip(records, after, strict=True):
            if not isinstance(record, Refused):
                time = record.time
            items.append((time, offset, record))
        self.time = time
        self.fetched = after[-1]
        self.drained = self.skipped = False

    def take(self, most: int, into: list[Record], unread: Collection[int] = ()) -> None:
        """Give up to `most` records, in order; those at the offsets `unread` as refused."""
        popleft = self.items.popleft
        count = min(most, len(self.items))
        if count:
            taken = [popleft() for _ in repeat(None, count)]
            self.given = taken[-1][1]
            into += [item[2] for item in taken] if not unread else self._again(taken, unread)

    def _again(self, taken: Sequence[Item], unread: Collection[int]) -> list[Record]:
        """Give records as they were taken the first time."""
        return [
            Refused("unknown-schema", _THEN, f"{self.part}@{after - 1}", b"")
            if after - 1 in unread
            else record
            for _, after, record in taken
        ]


def missing(lanes: Sequence[Lane]) -> list[Lane]:
    """Name the lanes that may have an earlier record than all that wait, but show none."""
    return [lane for lane in lanes if not (lane.items or lane.drained or lane.skipped)]


def merge(lanes: Sequence[Lane], most: int, into: list[Record], runs: list[int]) -> None:
    """Move records into `into`, smallest time first, until it holds `most` or a lane runs dry.

    At the same time events go before labels, then lanes in their order. A lane that is drained or
    skipped is not waited for. The order depends on the logs alone where no lane is skipped.
    `runs` grows by what was done: a lane's place and a count, again and again.
    """
    if missing(lanes):
        return
    if len(lanes) == 1:
        before = len(into)
        lanes[0].take(most - before, into)
        if len(into) > before:
            note(runs, 0, len(into) - before)
        return
    heap: list[Head] = [
        (lane.items[0][0], lane.rank, at) for at, lane in enumerate(lanes) if lane.items
    ]
    heapify(heap)
    while heap and len(into) < most:
        _, rank, at = heap[0]
        lane = lanes[at]
        _, lane.given, record = lane.items.popleft()
        into.append(record)
        note(runs, at, 1)
        if lane.items:
            heapreplace(heap, (lane.items[0][0], rank, at))
        else:
            heappop(heap)
            if not lane.drained and not lane.skipped:
                return


def note(runs: list[int], at: int, count: int) -> None:
    """Add to a list of runs: a lane's place and how many records came from there, in turn."""
    if runs and runs[-2] == at:
        runs[-1] += count
    else:
        runs += (at, count)
