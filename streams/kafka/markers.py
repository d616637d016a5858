"""How transactions ended, by the markers in the log itself.

A reader of committed records takes the broker's word for what was given up, and is shown nothing
behind a transaction that is open; not every broker keeps that word (tansu 0.6 shows what was given
up, and never gives up what a dead member left open). The markers are in the log of any broker.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias


class Fate(Enum):
    """What became of a transaction."""

    COMMITTED = "committed"
    GIVEN_UP = "given up"
    OPEN = "open"


class Batch(NamedTuple):
    """A batch of a transaction: its offsets, its writer, and how it ends one if it is a marker."""

    first: int
    last: int
    producer: int
    ends: Fate | None


Seen: TypeAlias = dict[int, Batch]
"""Batches by their first offsets."""


def noting(consumer: Any) -> Seen:
    """Have a consumer of one partition note the batches of transactions that it is shown.

    Args:
        consumer: one that reads what is not committed, too; no other client is altered.
    """
    seen: Seen = {}
    fetcher = consumer._fetcher  # noqa: SLF001 - nothing public tells of markers
    plain: Any = fetcher.PartitionRecords

    class PartitionRecords(plain):  # type: ignore[misc]  # the client's own, found at run time
        def _unpack_records(self, tp: Any, records: Any, *more: Any) -> Any:
            return super()._unpack_records(tp, _Noting(records, seen), *more)

    fetcher.PartitionRecords = PartitionRecords
    return seen


class _Noting:
    """Records as they came; each batch of a transaction is noted on its way out."""

    def __init__(self, records: Any, seen: Seen) -> None:
        self._records, self._seen = records, seen

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is not None and batch.magic == 2 and batch.is_transactional:  # noqa: PLR2004 - since Kafka 0.11
            ends = None
            if batch.is_control_batch:  # whoever takes it skips it, and reads nothing of it
                ends = Fate.GIVEN_UP if next(batch).abort else Fate.COMMITTED
            first = batch.base_offset
            self._seen[first] = Batch(first, batch.last_offset, batch.producer_id, ends)
        return batch


def fates(seen: Mapping[int, Batch], offsets: Iterable[int]) -> list[Fate]:
    """Say of each record what became of its transaction; one that was in none is committed."""
    judged = sorted(_judged(seen), key=lambda one: one[0].first)
    firsts = [batch.first for batch, _ in judged]
    found = []
    for offset in offsets:
        at = bisect_right(firsts, offset) - 1
        within = at >= 0 and offset <= judged[at][0].last
        found.append(judged[at][1] if within else Fate.COMMITTED)
    return found


def _judged(seen: Mapping[int, Batch]) -> list[tuple[Batch, Fate]]:
    """Give the batches that are no markers, each with its fate."""
    judged: list[tuple[Batch, Fate]] = []
    waiting: dict[int, list[Batch]] = defaultdict(list)
    for batch in sorted(seen.values(), key=lambda one: one.first):
        if batch.ends is None:
            waiting[batch.producer].append(batch)
        else:
            judged += [(one, batch.ends) for one in waiting.pop(batch.producer, [])]
    return judged + [(one, Fate.OPEN) for some in waiting.values() for one in some]
