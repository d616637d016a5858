"""The daemon's loop: poll, answer, publish, learn; every so often checkpoint and commit.

The order of durability is what makes a crash harmless: answers are flushed before the snapshot that
covers their events is written, and the source's position is committed after it is on disk. So a
crash repeats at most what came since the last snapshot: from the same state, hence with the same
answers.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from agent.service.checkpoint import CheckpointSettings, CheckpointStore, Saved
from agent.service.health import Health
from agent.service.prequential import Fed, Prequential
from agent.service.report import Checkpoint, Step, Watcher
from agent.service.settings import ServiceSettings
from agent.service.snapshot import CheckpointError
from agent.service.writer import Writer
from streams.records import Event, Record
from streams.source import Position, Sink, Source, SourceError

log = structlog.get_logger(__name__)

DRAIN = 15.0  # seconds that a checkpoint may take when there is nothing else to do
PATIENCE = 8.0  # seconds during which a stop still tries to make the last answers durable
LONGEST = 2.0  # seconds between two attempts to make answers durable: a stop waits for it
LABELS = ("joined", "orphan", "duplicate", "expired")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time, handed in: monotonic seconds, Unix seconds, and a sleep in seconds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time  # noqa: TID251 - the one place where the clock comes from
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class _Covered:
    """A durable checkpoint: taken when, after how many records, standing where."""

    at: float
    count: int
    position: Position
    saved: Saved


def _told(saved: Saved | None) -> Checkpoint | None:
    return None if saved is None else Checkpoint(saved.seconds, saved.bytes, saved.created)


class Pump:
    """Moves records through the learner until the source ends or someone asks to stop.

    Args:
        source, sink: where records come from and answers go.
        learner: the agent on its stream.
        store: where checkpoints go; None keeps none.
        every: how often checkpoints are taken.
        settings: batch size and waits.
        health: told of progress.
        watchers: told of every step.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        learner: Prequential,
        store: CheckpointStore | None = None,
        every: CheckpointSettings | None = None,
        settings: ServiceSettings | None = None,
        health: Health | None = None,
        watchers: Sequence[Watcher] = (),
        clocks: Clocks | None = None,
    ) -> None:
        self._source, self._sink, self._learner = source, sink, learner
        self._every, self._settings = every or CheckpointSettings(), settings or ServiceSettings()
        self._clocks = clocks or Clocks()
        self._health = health or Health(self._clocks.now)
        self._watchers = tuple(watchers)
        self._store = store
        self._writer = Writer(store) if store is not None else None
        self._since, self._last = 0, self._clocks.now()
        self._count = 0  # records taken
        self._durable: deque[_Covered] = deque()  # filled by the writer's thread
        self._exposed: float | None = None  # since when records are in no durable checkpoint
        self._saved: Checkpoint | None = None
        self._failures = 0
        self._event_time = 0.0
        self._labels: Counter[str] = Counter(learner.pending.counts)

    def restore(self) -> bool:
        """Go back to the newest whole checkpoint; where there is none, write the first; say which.

        The first one is of the start itself, so that a crash always finds its way back.

        Raises:
            CheckpointError: there are some, but none can be used; or none can be written.
        """
        found = self._store.load() if self._store is not None else None
        if found is not None:
            arrays, meta = found
            self._learner.restore(arrays, meta["learner"])
            self._source.seek(meta["source"])
            self._sink.seek(meta["sink"])
            self._labels = Counter(self._learner.pending.counts)
            self._saved = _told(self._store.loaded) if self._store is not None else None
            log.info("restored", records=self._learner.records, source=meta["source"])
        elif self._writer is not None:
            self._sink.flush()
            self._submit()
            self._writer.drain(DRAIN)
        self._health.mark("restored")
        return found is not None

    def run(self, stop: Callable[[], bool]) -> None:
        """Turn until `stop()` or the end of the source; then drain, checkpoint, commit.

        Raises:
            SourceError: source or sink cannot go on by themselves, or the last answers could not
                be made durable.
            CheckpointError: the last checkpoint could not be written.
        """
        self._last = self._clocks.now()
        while not stop() and not self._source.ended():
            self.turn()
            if self._due():
                self._checkpoint(stop)
        self._health.drain()
        self._finish(stop)

    def turn(self) -> Step:
        """One micro-batch of whatever has arrived."""
        start = self._clocks.now()
        records = self._source.poll(self._settings.max_batch, self._settings.poll_wait)
        polled = self._clocks.now()
        fed = self._learner.feed(records)
        answered = self._clocks.now()
        self._sink.predictions(fed.predictions)
        if fed.refused:
            self._sink.refused(fed.refused)
            self._say(fed)
        done = self._clocks.now()
        self._took(len(records), start)
        self._collect()
        spent = {"poll": polled - start, **fed.seconds, "publish": done - answered}
        step = self._step(records, fed, spent, done)
        for watch in self._watchers:
            watch(step)
        self._health.mark("assigned", holds=self._source.assigned())
        self._health.progress(done)
        return step

    def close(self) -> None:
        """Let go of everything; safe to call after a failure."""
        try:
            if self._writer is not None:
                self._writer.close(DRAIN)
        except CheckpointError as error:
            log.error("checkpoint failed", why=str(error))
        finally:
            self._source.close()
            self._sink.close()

    def exposed(self) -> float:
        """Seconds since when some records are in no durable checkpoint; from any thread."""
        since = self._exposed
        return 0.0 if since is None else max(0.0, self._clocks.now() - since)

    def _took(self, records: int, now: float) -> None:
        self._since += records
        self._count += records
        if records and self._exposed is None:
            self._exposed = now

    def _due(self) -> bool:
        if self._writer is None or self._since == 0:
            return False
        waited = self._clocks.now() - self._last
        return self._since >= self._every.every_records or waited >= self._every.every_seconds

    def _checkpoint(self, stop: Callable[[], bool]) -> None:
        """Flush the answers, then hand a photograph to the writer."""
        if self._flushed(stop):
            self._submit()

    def _submit(self) -> None:
        """Hand the writer a photograph of what stands now; all answers before it are durable."""
        if self._writer is None:
            return
        self._since, self._last = 0, self._clocks.now()
        at, count, position = self._last, self._count, dict(self._source.position())
        arrays, learner = self._learner.snapshot()
        meta = {"source": position, "sink": dict(self._sink.position()), "learner": learner}
        try:
            self._writer.submit(
                arrays,
                meta,
                lambda saved: self._durable.append(_Covered(at, count, position, saved)),
            )
        except CheckpointError as error:
            self._failed(error)

    def _flushed(self, stop: Callable[[], bool], patience: float = 0.0) -> bool:
        """Wait until all answers are durable; once asked to stop, for `patience` seconds more."""
        wait, until = 0.5, None
        while True:
            try:
                self._sink.flush()
            except SourceError as error:
                log.error("answers are not durable yet; trying on", why=str(error), wait=wait)
            else:
                return True
            if stop():
                until = self._clocks.now() + patience if until is None else until
                if self._clocks.now() >= until:
                    return False
            self._health.progress(self._clocks.now())
            self._clocks.sleep(wait)
            wait = min(2 * wait, LONGEST)

    def _collect(self) -> None:
        """See what the writer has done: commit what is durable now, tell what failed."""
        error = self._writer.failed() if self._writer is not None else None
        if error is not None:
            self._failed(error)
        covered = None
        while self._durable:
            covered = self._durable.popleft()
        if covered is not None:
            self._source.commit(covered.position)
            self._saved = _told(covered.saved)
            self._exposed = covered.at if self._count > covered.count else None

    def _failed(self, error: CheckpointError) -> None:
        """Count it; what it should have covered is due again after the usual time."""
        self._failures += 1
        self._since = max(1, self._since)
        log.error("checkpoint failed; trying on", why=str(error), failures=self._failures)

    def _finish(self, stop: Callable[[], bool]) -> None:
        """Make the last answers durable, then the state that gave them."""
        if not self._flushed(stop, PATIENCE):
            raise SourceError(
                "the last answers could not be made durable; what came since the last checkpoint"
                " will be answered again"
            )
        self._collect()
        if self._writer is None:
            return
        if self._since:
            self._submit()
        try:
            self._writer.drain(DRAIN)
        except CheckpointError:
            self._collect()
            if self._exposed is not None:  # else only an earlier one failed
                raise
        self._collect()

    def _step(
        self, records: Sequence[Record], fed: Fed, seconds: Mapping[str, float], now: float
    ) -> Step:
        counts = Counter(self._learner.pending.counts)
        moved = {name: counts[name] - self._labels[name] for name in LABELS}
        self._labels = counts
        self._event_time = max((self._event_time, *(r.time for r in records if type(r) is Event)))
        return Step(
            now=now,
            wall=self._clocks.wall(),
            events=len(fed.predictions),
            predictions=len(fed.predictions),
            labels=moved,
            refused=Counter(one.reason for one in fed.refused),
            seconds=seconds,
            scores=fed.scores,
            voices=self._learner.voices(),
            classes=self._learner.classes,
            pending=len(self._learner.pending),
            event_time=self._event_time,
            lag=sum(self._source.lag().values()),
            checkpoint=self._saved,
            checkpoint_failures=self._failures,
            memory=self._learner.memory(),
            tasks=self._learner.tasks(),
        )

    @staticmethod
    def _say(fed: Fed) -> None:
        first = fed.refused[0]
        log.warning(
            "refused", records=len(fed.refused), where=first.where, reason=first.reason,
            detail=first.detail,
        )  # fmt: skip
