"""A cell: one shard's learner, and what of it is in durable checkpoints."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import structlog

from agent.service.checkpoint import CheckpointSettings, CheckpointStore, Saved
from agent.service.clocks import Clocks
from agent.service.poison import Guard
from agent.service.prequential import Prequential
from agent.service.report import Checkpoint
from agent.service.writer import Writer
from streams.source import Position

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Covered:
    """A durable checkpoint: taken when, after how many records, standing where."""

    at: float
    count: int
    position: Position
    saved: Saved


class Cell:
    """One shard's learner.

    Args:
        shard: its name.
        learner: as it was made; `found` says whether a checkpoint has been restored since.
        store: where its checkpoints go; None keeps none.
        writer: writes them.
        every: how often.
        clocks: when is now.
        guard: watches for poisoned input.
    """

    def __init__(
        self,
        shard: str,
        learner: Prequential,
        store: CheckpointStore | None,
        writer: Writer,
        every: CheckpointSettings,
        clocks: Clocks,
        guard: Guard,
    ) -> None:
        self.shard, self.learner, self.store = shard, learner, store
        self.every, self.guard = every, guard
        self._writer, self._clocks = writer, clocks
        self._since, self._last = 0, clocks.now()
        self._count = 0  # records taken
        self._durable: deque[_Covered] = deque()  # filled by the writer's thread
        self._exposed: float | None = None  # since when records are in no durable checkpoint
        self.saved: Checkpoint | None = None
        self.labels: Counter[str] = Counter(learner.pending.counts)

    def restore(self, arrays: Any, meta: Any) -> None:
        """Go on as the one that gave this snapshot."""
        self.learner.restore(arrays, meta["learner"])
        self.guard.restore(meta.get("guard", {}))
        self.labels = Counter(self.learner.pending.counts)
        if self.store is not None and (loaded := self.store.loaded) is not None:
            self.saved = _told(loaded)

    def took(self, records: int, now: float) -> None:
        """Count records; they are in no checkpoint yet."""
        self._since += records
        self._count += records
        if records and self._exposed is None:
            self._exposed = now

    def exposed(self) -> float | None:
        """Since when some records are in no durable checkpoint; None where all are."""
        return self._exposed

    def moved(self) -> Counter[str]:
        """Labels by what became of them, since the last call."""
        counts = Counter(self.learner.pending.counts)
        moved = Counter({name: counts[name] - self.labels[name] for name in counts})
        self.labels = counts
        return moved

    @property
    def unsaved(self) -> int:
        """Records since the last photograph."""
        return self._since if self.store is not None else 0

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        if self.store is None or self._since == 0:
            return False
        waited = self._clocks.now() - self._last
        return self._since >= self.every.every_records or waited >= self.every.every_seconds

    def submit(self, position: Position, sink: Position) -> None:
        """Hand the writer a photograph of what stands now; all answers before it are durable.

        Raises:
            CheckpointError: an earlier one failed; this one is taken all the same.
        """
        if self.store is None:
            return
        self._since, self._last = 0, self._clocks.now()
        at, count, place = self._last, self._count, dict(position)
        arrays, learner = self.learner.snapshot()
        meta = {
            "source": place,
            "sink": dict(sink),
            "learner": learner,
            "guard": self.guard.keep(),
        }
        self._writer.submit(
            self.store,
            arrays,
            meta,
            lambda saved: self._durable.append(_Covered(at, count, place, saved)),
        )

    def again(self) -> None:
        """A checkpoint failed: what it should have covered is due again after the usual time."""
        self._since = max(1, self._since)

    def collect(self) -> Position | None:
        """See what the writer has done; give the position that is durable now, if it is new."""
        covered = None
        while self._durable:
            covered = self._durable.popleft()
        if covered is None:
            return None
        self.saved = _told(covered.saved)
        self._exposed = covered.at if self._count > covered.count else None
        return covered.position


def _told(saved: Saved) -> Checkpoint:
    return Checkpoint(saved.seconds, saved.bytes, saved.created)
