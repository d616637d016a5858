"""The cells of this process: hatched when a shard is handed out, dropped when it goes."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from agent.service import together
from agent.service.cell import Cell
from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.clocks import Clocks
from agent.service.fed import Fed
from agent.service.fleet import feed_all
from agent.service.poison import Guard, PoisonSettings
from agent.service.prequential import Prequential
from agent.service.report import Checkpoint, Memory
from agent.service.sharing import Sharing
from agent.service.snapshot import CheckpointError
from agent.service.writer import Writer
from streams.records import Record
from streams.source import WHOLE, AwayError, Shards, Sink

log = structlog.get_logger(__name__)

DRAIN = 15.0  # seconds that a checkpoint may take when there is nothing else to do

Hatch = Callable[[str], Prequential]
"""Makes a learner for a shard."""
Guards = Callable[[], Guard]
"""Makes a guard for a shard's input."""
Stores = Callable[[str], CheckpointStore]
"""Opens a shard's checkpoints."""


class Cells:
    """One cell a shard, restored from its checkpoints.

    Args:
        source: hands out shards and is sought when they are restored.
        sink: cut back to where the one shard's checkpoint stands, if it can be.
        hatch: makes learners.
        stores: opens checkpoints; None keeps none.
        every: how often they are taken.
        clocks: when is now.
        guards: make what stops on poisoned input; None lets all of it be refused.
        commons: where shards lend one another a start; None shares nothing.
    """

    def __init__(
        self,
        source: Shards,
        sink: Sink,
        hatch: Hatch,
        stores: Stores | None,
        every: CheckpointSettings,
        clocks: Clocks,
        guards: Guards | None = None,
        commons: Sharing | None = None,
    ) -> None:
        self._source, self._sink, self._hatch, self._stores = source, sink, hatch, stores
        self._every, self._clocks = every, clocks
        self._guards = guards or (lambda: Guard(PoisonSettings(most=1.0)))
        self._commons = commons
        self._writer = Writer(clocks.now)
        self._cells: dict[str, Cell] = {}
        self._vain = 0  # restored in vain: it is another shard's turn
        self.failures = 0

    def __getitem__(self, shard: str) -> Cell:
        return self._cells[shard]

    def __iter__(self) -> Iterator[Cell]:
        return iter(list(self._cells.values()))

    def __len__(self) -> int:
        return len(self._cells)

    def settle(self) -> bool:
        """Drop cells whose shards are gone, restore one that is new; say if it was found.

        One at a time, so that the group hears of this process in between, and the others go on. A
        group's broker that does not say in time where a shard stands is asked again at the next
        turn: it may only be handing out anew what this process has yet to hear of.

        Raises:
            CheckpointError: a new shard has checkpoints, but none can be used; or its first
                cannot be written.
            SourceError: the source cannot go on where the checkpoint stands.
        """
        placed = self._source.placed()
        for shard in [shard for shard in self._cells if shard not in placed]:
            del self._cells[shard]
            self._writer.cancel(shard)
        new = sorted(self._source.held() - self._cells.keys())
        if not new:
            return False
        shard = new[self._vain % len(new)]
        try:
            return self._restore(shard)
        except AwayError as error:
            if shard == WHOLE:
                raise
            log.warning("shard not taken up yet; trying on", shard=shard, why=str(error))
            self._vain += 1
            return False

    def whole(self) -> bool:
        """Whether every shard that is held has its cell."""
        return self._source.held() == self._cells.keys()

    def clear(self) -> None:
        """Drop all: they will be restored."""
        self._cells.clear()

    def feed(self, records: Mapping[str, Sequence[Record]]) -> dict[str, Fed]:
        """Answer and learn the records of each shard.

        Raises:
            PoisonedError: most of them cannot be read; none was taken.
        """
        for shard, some in records.items():
            self._cells[shard].guard.seen(some)
        return feed_all({cell.shard: cell.learner for cell in self}, records, self._clocks.now)

    def due(self) -> list[Cell]:
        """Give those whose checkpoint is due, and that stand where one may be taken."""
        return [cell for cell in self if cell.due() and not self._source.replaying(cell.shard)]

    def submit(self, cells: Sequence[Cell]) -> None:
        """Hand photographs to the writer; what fails is counted and logged."""
        for cell in cells:
            sink = self._sink.position() if cell.shard == WHOLE else {}
            try:
                cell.submit(self._source.position(cell.shard), sink)
            except CheckpointError as error:
                self._failed(error)
            if self._commons is not None:
                self._commons.lend(cell.shard, cell.learner)

    def collect(self) -> None:
        """See what the writer has done: commit what is durable now, tell what failed."""
        while (error := self._writer.failed()) is not None:
            self._failed(error)
        done = {cell.shard: cell.collect() for cell in self}
        moved = {shard: position for shard, position in done.items() if position is not None}
        if moved:
            self._source.commit(moved)

    def adopt(self, every: CheckpointSettings) -> None:
        """Take checkpoints by other settings from now on."""
        self._every = every
        for cell in self:
            cell.every = every

    def drain(self, timeout: float = DRAIN) -> None:
        """Wait until what was submitted is durable. Raises `CheckpointError` if it is not."""
        self._writer.drain(timeout)

    def close(self) -> None:
        """Let go; an unwritten checkpoint is logged."""
        try:
            self._writer.close(DRAIN)
        except CheckpointError as error:
            log.error("checkpoint failed", why=str(error))

    def exposed(self) -> float:
        """Seconds since when some records are in no durable checkpoint; from any thread."""
        since = [at for cell in self if (at := cell.exposed()) is not None]
        return max(0.0, self._clocks.now() - min(since)) if since else 0.0

    def classes(self) -> tuple[str, ...]:
        """The classes known, by index."""
        return together.classes([cell.learner.classes for cell in self]) if self._cells else ()

    def voices(self) -> dict[str, float]:
        """The experts' weights, averaged."""
        return together.voices([cell.learner.voices() for cell in self]) if self._cells else {}

    def memory(self) -> Memory:
        """What is known of old tasks."""
        return together.memory([cell.learner.memory() for cell in self])

    def pending(self) -> int:
        """Events that wait for their labels."""
        return sum(len(cell.learner.pending) for cell in self)

    def saved(self) -> Checkpoint | None:
        """The last durable checkpoint, the oldest of the shards'."""
        return together.checkpoint([cell.saved for cell in self])

    def _restore(self, shard: str) -> bool:
        """Make a cell and go on where its newest usable checkpoint stands."""
        store = self._stores(shard) if self._stores is not None else None
        learner = self._hatch(shard)
        cell = Cell(shard, learner, store, self._writer, self._every, self._clocks, self._guards())
        found = None
        if store is not None:
            found = store.load(lambda meta: self._source.leads(shard, meta["source"]))
        if found is not None:
            arrays, meta = found
            cell.restore(arrays, meta)
            self._source.seek(shard, meta["source"])
            if shard == WHOLE:
                self._sink.seek(meta["sink"])
            log.info("restored", shard=shard, records=learner.records, source=meta["source"])
        else:
            if self._commons is not None:
                self._commons.begin(shard, learner)
            self._source.seek(shard, {})
            if store is not None:
                cell.submit(self._source.position(shard), self._sink.position())
                self._writer.drain(DRAIN, shard)
        self._cells[shard] = cell
        return found is not None

    def _failed(self, error: CheckpointError) -> None:
        self.failures += 1
        for cell in self:
            cell.again()
        log.error("checkpoint failed; trying on", why=str(error), failures=self.failures)
