"""The daemon's loop: poll, answer, publish, learn; every so often checkpoint and commit.

The order of durability is what makes a crash harmless: answers are flushed before the snapshot that
covers their events is written, and the source's position is committed after it is on disk. So a
crash repeats at most what came since the last snapshot: from the same state, hence with the same
answers.
"""

import time
from collections import Counter
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

DRAIN = 60.0  # seconds that a checkpoint may take when there is nothing else to do
LABELS = ("joined", "orphan", "duplicate", "expired")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time, handed in: monotonic seconds, Unix seconds, and a sleep in seconds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time  # noqa: TID251 - the one place where the clock comes from
    sleep: Callable[[float], None] = time.sleep


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
        self._durable: tuple[Position, Saved] | None = None  # written by the writer's thread
        self._saved: Checkpoint | None = None
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
            log.info("restored", records=self._learner.records, source=meta["source"])
        elif self._writer is not None:
            self._checkpoint(lambda: True)
            self._writer.drain(DRAIN)
        self._health.mark("restored")
        return found is not None

    def run(self, stop: Callable[[], bool]) -> None:
        """Turn until `stop()` or the end of the source; then drain, checkpoint, commit.

        Raises:
            SourceError: source or sink cannot go on by themselves.
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
        self._since += len(records)
        spent = {"poll": polled - start, **fed.seconds, "publish": done - answered}
        step = self._step(records, fed, spent, done)
        self._commit()
        for watch in self._watchers:
            watch(step)
        self._health.mark("assigned", holds=self._source.assigned())
        self._health.progress(done)
        return step

    def close(self) -> None:
        """Let go of everything; safe to call after a failure."""
        if self._writer is not None:
            try:
                self._writer.close()
            except CheckpointError as error:
                log.error("checkpoint failed", why=str(error))
        self._source.close()
        self._sink.close()

    def _due(self) -> bool:
        if self._writer is None or self._since == 0:
            return False
        waited = self._clocks.now() - self._last
        return self._since >= self._every.every_records or waited >= self._every.every_seconds

    def _checkpoint(self, stop: Callable[[], bool]) -> bool:
        """Flush the answers, then hand a photograph to the writer."""
        self._since, self._last = 0, self._clocks.now()
        if self._writer is None or not self._flushed(stop):
            return False
        position = dict(self._source.position())
        arrays, learner = self._learner.snapshot()
        meta = {"source": position, "sink": dict(self._sink.position()), "learner": learner}

        def done(saved: Saved) -> None:
            self._durable = (position, saved)

        try:
            self._writer.submit(arrays, meta, done)
        except CheckpointError as error:
            log.error("the last checkpoint failed; trying on", why=str(error))
        return True

    def _flushed(self, stop: Callable[[], bool]) -> bool:
        """Wait until all answers are durable; nothing is lost meanwhile, for nothing is polled."""
        wait = 0.5
        while True:
            try:
                self._sink.flush()
            except SourceError as error:
                log.error("answers are not durable yet; trying on", why=str(error), wait=wait)
            else:
                return True
            if stop():
                return False
            self._health.progress(self._clocks.now())
            self._clocks.sleep(wait)
            wait = min(2 * wait, 10.0)

    def _commit(self) -> None:
        """Commit what the newest durable checkpoint covers."""
        durable, self._durable = self._durable, None
        if durable is None:
            return
        position, saved = durable
        self._source.commit(position)
        self._saved = Checkpoint(saved.seconds, saved.bytes, saved.created)

    def _finish(self, stop: Callable[[], bool]) -> None:
        """Make the last state durable; without a store, at least the answers."""
        if self._writer is None:
            self._flushed(stop)
            return
        if self._checkpoint(lambda: True):
            self._writer.drain(DRAIN)
            self._commit()
        else:
            log.error("left without a last checkpoint: what came since will be answered again")

    def _step(
        self, records: Sequence[Record], fed: Fed, seconds: Mapping[str, float], now: float
    ) -> Step:
        counts = Counter(self._learner.pending.counts)
        moved = {name: counts[name] - self._labels[name] for name in LABELS}
        self._labels = counts
        latest = max((one.time for one in records if type(one) is Event), default=0.0)
        self._event_time = max(self._event_time, latest)
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
        )

    @staticmethod
    def _say(fed: Fed) -> None:
        first = fed.refused[0]
        log.warning(
            "refused", records=len(fed.refused), where=first.where, reason=first.reason,
            detail=first.detail,
        )  # fmt: skip
