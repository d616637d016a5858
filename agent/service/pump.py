"""The daemon's loop: poll, answer, publish, learn; every so often checkpoint and commit.

The order of durability is what makes a crash harmless. At least once: answers are flushed before
the snapshot that covers their events is written, and the source's position is committed after it
is on disk, so a crash repeats at most what came since the last snapshot: from the same state,
hence with the same answers. Exactly once: answers, offsets and journal are committed in one
transaction every `commit_seconds`, and a snapshot is taken between two of them, so a crash repeats
nothing: from the snapshot to the last commit the journal is replayed without answering.
"""

from collections.abc import Callable, Mapping, Sequence

import structlog

from agent.service.cells import DRAIN, Cells, Guards, Hatch, Stores
from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.clocks import Clocks
from agent.service.fed import Fed
from agent.service.health import Health
from agent.service.insist import Insist
from agent.service.prequential import Prequential
from agent.service.recount import Recount
from agent.service.report import Step, Watcher
from agent.service.settings import ServiceSettings
from agent.service.sharing import Sharing
from agent.service.snapshot import CheckpointError
from streams.source import Batch, RewindError, Shards, Sink, Source, SourceError, Transactions
from streams.whole import Whole

__all__ = ["Clocks", "Pump"]

log = structlog.get_logger(__name__)

PATIENCE = 8.0  # seconds for which a stop still tries to make the last answers durable
LOST = "the last answers could not be made durable; what came since will be answered again"
LEAST = 16  # records of a shard at a time, however many shards there are
HANDOVER = 5.0  # seconds that a shard may take to become durable before another takes it over


class Pump:
    """Moves records through the learners until the source ends or someone asks to stop.

    Args:
        source, sink: where records come from and answers go.
        hatch: makes a learner for each shard.
        stores: opens each shard's checkpoints; None keeps none.
        every: how often checkpoints are taken.
        settings: batch size and waits.
        health: told of progress.
        watchers: told of every step.
        clocks: time.
        transactions: commits answers and positions together; None delivers at least once.
        guards: make what stops on poisoned input, for each shard.
        commons: where shards lend one another a start; None shares nothing.
    """

    def __init__(
        self,
        source: Shards,
        sink: Sink,
        hatch: Hatch,
        stores: Stores | None = None,
        every: CheckpointSettings | None = None,
        settings: ServiceSettings | None = None,
        health: Health | None = None,
        watchers: Sequence[Watcher] = (),
        clocks: Clocks | None = None,
        transactions: Transactions | None = None,
        guards: Guards | None = None,
        commons: Sharing | None = None,
    ) -> None:
        self._source, self._sink, self._transactions = source, sink, transactions
        self._settings = settings or ServiceSettings()
        self._clocks = clocks or Clocks()
        self._health = health or Health(self._clocks.now)
        self._watchers = tuple(watchers)
        every = every or CheckpointSettings()
        self._cells = Cells(source, sink, hatch, stores, every, self._clocks, guards, commons)
        self._stop: Callable[[], bool] = lambda: False
        self._committed = self._clocks.now()
        self._astray: RewindError | None = None  # found while shards were going
        self._recount = Recount(source, sink, self._cells, self._clocks)
        self._insist = Insist(self._health, source, self._clocks)
        self._closing = False
        source.revoking(self._hand_over)

    @classmethod
    def over(
        cls,
        source: Source,
        sink: Sink,
        learner: Prequential,
        store: CheckpointStore | None = None,
        every: CheckpointSettings | None = None,
        settings: ServiceSettings | None = None,
        health: Health | None = None,
        watchers: Sequence[Watcher] = (),
        clocks: Clocks | None = None,
    ) -> "Pump":
        """Make one for a source that one state learns from."""
        stores = None if store is None else lambda _: store
        hatch: Hatch = lambda _: learner  # noqa: E731 - it has a type
        return cls(Whole(source), sink, hatch, stores, every, settings, health, watchers, clocks)

    def restore(self) -> bool:
        """Go back to the newest whole checkpoints; write the first, of the start, where is none.

        Says whether some were found.

        Raises `CheckpointError` if none of those that are there can be used, or none can be
        written; `SourceError` if the source cannot go on from there.
        """
        found = self._cells.settle()
        self._health.mark("restored", holds=self._cells.whole())
        return found

    def run(self, stop: Callable[[], bool]) -> None:
        """Turn until `stop()` or the end of the source; then drain, checkpoint, commit.

        Raises `SourceError` if source or sink cannot go on by themselves, or the last answers not
        be made durable; `CheckpointError` if the last checkpoint cannot be written, or a shard not
        restored; `PoisonedError` if most of what comes cannot be read.
        """
        self._stop = stop
        self._committed = self._clocks.now()
        while not stop() and not self._source.ended():
            self.turn()
            due = self._cells.due()
            if due and self._durable():
                self._cells.submit(due)
        self._health.drain()
        self._finish()

    def turn(self) -> Step:
        """One micro-batch of whatever has arrived."""
        start = self._clocks.now()
        if self._astray is not None:
            self._rewind(self._astray)
        self.restore()
        most = self._settings.max_batch
        each = min(most, max(LEAST, most // max(1, len(self._cells))))
        batches = self._source.poll(each, self._wait())
        polled = self._clocks.now()
        if self._astray is not None:
            batches = []  # what came before them is about to be forgotten
        fed = self._cells.feed({batch.shard: batch.records for batch in batches})
        answered = self._clocks.now()
        self._publish(batches, fed)
        published = self._clocks.now()
        for batch in batches:
            self._cells[batch.shard].took(len(batch.records), start)
        committed = self._commit()
        self._cells.collect()
        done = self._clocks.now()
        spent = {"poll": polled - start, "publish": published - answered}
        spent |= {"commit": done - published} if committed else {}
        if not self._cells:  # gone back: nothing of this turn counts
            batches, fed = [], {}
        settled = self._transactions is None or not self._transactions.waiting()
        step = self._recount.step(batches, fed, spent, done, settled=settled)
        for watch in self._watchers:
            watch(step)
        self._health.mark("assigned", holds=self._source.assigned())
        self._health.progress(done)
        return step

    def close(self) -> None:
        """Let go of everything; safe to call after a failure."""
        self._closing = True
        try:
            self._cells.close()
        finally:
            self._source.close()
            self._sink.close()

    def adopt(self, settings: ServiceSettings, every: CheckpointSettings) -> None:
        """Go on by other settings, between two turns."""
        self._settings = settings
        self._cells.adopt(every)

    def exposed(self) -> float:
        """Seconds since when some records are in no durable checkpoint; from any thread."""
        return self._cells.exposed()

    def records(self) -> int:
        """Count the records that the states here have taken in since their very start."""
        return sum(cell.learner.records for cell in self._cells)

    def _publish(self, batches: Sequence[Batch], fed: Mapping[str, Fed]) -> None:
        """Hand out what is new."""
        for one in (fed[batch.shard] for batch in batches if not batch.replayed):
            self._sink.predictions(one.predictions)
            if one.refused:
                self._sink.refused(one.refused)
                _say(one)

    def _wait(self) -> float:
        """Seconds that a poll may wait: no longer than until the next commit."""
        wait = self._settings.poll_wait
        if self._transactions is None or not self._transactions.waiting():
            return wait
        due = self._committed + self._settings.commit_seconds - self._clocks.now()
        return min(wait, max(0.0, due))

    def _commit(self, *, now: bool = False) -> bool:
        """End the transaction if it is time; say whether it was ended."""
        waited = self._clocks.now() - self._committed
        early = not now and waited < self._settings.commit_seconds
        if self._transactions is None or early or not self._transactions.waiting():
            return False
        try:
            self._transactions.commit()
        except RewindError as error:
            self._rewind(error)
            return False
        self._committed = self._clocks.now()
        self._recount.commits += 1
        return True

    def _rewind(self, why: RewindError) -> None:
        """Go back to the last commit: forget the states, and restore them at the next turn."""
        self._astray = None
        self._recount.rewinds += 1
        log.error("going back to the last commit", why=str(why), rewinds=self._recount.rewinds)
        self._cells.clear()
        self._recount.forget()
        self._source.rewind()
        recover = None if self._transactions is None else self._transactions.recover
        if recover and not self._tried(recover, "no transaction begins yet; trying on", PATIENCE):
            raise SourceError(LOST)

    def _hand_over(self, shards: frozenset[str]) -> None:
        """Make shards durable that are about to go; called while `poll` waits."""
        if self._closing:
            return
        if self._transactions is None:
            self._sink.flush()
        elif self._transactions.waiting():
            try:
                self._transactions.commit()
            except RewindError as error:
                self._astray = error
                return
            self._recount.commits += 1
        going = [cell for cell in self._cells if cell.shard in shards and cell.unsaved]
        self._cells.submit([cell for cell in going if not self._source.replaying(cell.shard)])
        try:
            self._cells.drain(HANDOVER)
        except CheckpointError as error:
            log.warning("handed over without a fresh checkpoint", why=str(error))
        log.info("handed over", shards=sorted(shards), checkpoints=len(going))

    def _durable(self, patience: float = 0.0) -> bool:
        """Make all answers durable; once asked to stop, try for `patience` seconds more."""
        if self._transactions is not None:
            self._commit(now=True)
            return self._cells.whole() and not self._transactions.waiting()
        return self._tried(self._sink.flush, "answers are not durable yet; trying on", patience)

    def _tried(self, attempt: Callable[[], None], lack: str, patience: float) -> bool:
        """Try until it succeeds; once asked to stop, for `patience` seconds more."""
        return self._insist(attempt, lack, patience, self._stop)

    def _finish(self) -> None:
        """Make the last answers durable, then the states that gave them."""
        if not self._durable(PATIENCE) and self._cells:  # gone back, nothing is left undone
            raise SourceError(LOST)
        self._cells.collect()
        unsaved = [cell for cell in self._cells if cell.unsaved]
        self._cells.submit([one for one in unsaved if not self._source.replaying(one.shard)])
        try:
            self._cells.drain(DRAIN)
        except CheckpointError:
            self._cells.collect()
            if self._cells.exposed() > 0.0:  # else only an earlier one failed
                raise
        self._cells.collect()


def _say(fed: Fed) -> None:
    first = fed.refused[0]
    about = {"where": first.where, "reason": first.reason, "detail": first.detail}
    log.warning("refused", records=len(fed.refused), **about)
