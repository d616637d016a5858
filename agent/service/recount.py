"""What watchers are told of a turn: the shards' news, put together.

Where answers wait for a transaction, what came of them is told once it is committed: what has to
be done over is never told twice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from agent.service import together
from agent.service.cells import Cells
from agent.service.clocks import Clocks
from agent.service.fed import Fed
from agent.service.report import Scores, Step
from streams.records import Event
from streams.source import Batch, Shards, Sink

LABELS = ("joined", "orphan", "duplicate", "expired")


@dataclass(slots=True)
class _News:
    """What came of records whose answers are not committed yet."""

    answers: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    scores: list[tuple[Scores, tuple[str, ...]]] = field(default_factory=list)


class Recount:
    """Makes the report of each turn; what is replayed was told of before, and does not count.

    Args:
        source, sink: asked for lag and the like.
        cells: asked for what they know.
        clocks: when is now.
    """

    def __init__(self, source: Shards, sink: Sink, cells: Cells, clocks: Clocks) -> None:
        self._source, self._sink, self._cells, self._clocks = source, sink, cells, clocks
        self._event_time = 0.0
        self._last: dict[str, float] = {}  # of each shard's last event
        self._news = _News()
        self.rewinds = self.commits = 0

    def step(
        self,
        batches: Sequence[Batch],
        fed: Mapping[str, Fed],
        spent: Mapping[str, float],
        now: float,
        *,
        settled: bool,
    ) -> Step:
        """Tell of one turn; `settled` says that nothing waits for a commit."""
        self._note(batches, fed)
        news, self._news = (self._news, _News()) if settled else (_News(), self._news)
        learners = [cell.learner for cell in self._cells]
        classes, lag = self._cells.classes(), self._source.lag()
        return Step(
            now=now,
            wall=self._clocks.wall(),
            events=news.answers,
            predictions=news.answers,
            labels={name: news.labels[name] for name in LABELS},
            refused=dict(news.refused),
            seconds={**spent, **_spent(fed)},
            scores=together.scores(news.scores, classes),
            voices=self._cells.voices(),
            classes=classes,
            pending=self._cells.pending(),
            event_time=self._event_time,
            lag=None if lag is None else sum(lag.values()),
            checkpoint=self._cells.saved(),
            checkpoint_failures=self._cells.failures,
            memory=self._cells.memory(),
            tasks=together.tasks([one.tasks() for one in learners]),
            faults=together.faults([one.faults() for one in learners]),
            shards=len(learners),
            rebalances=self._source.rebalances(),
            recreations=self._sink.recreations,
            rewinds=self.rewinds,
            paused=self._source.paused(),
            transactions=self.commits,
        )

    def forget(self) -> None:
        """Drop what was never committed."""
        self._news = _News()

    def _note(self, batches: Sequence[Batch], fed: Mapping[str, Fed]) -> None:
        for shard, records, replayed in batches:
            cell, came = self._cells[shard], fed[shard]
            moved = cell.moved()
            if replayed:
                continue
            self._news.answers += len(came.predictions)
            self._news.labels.update(moved)
            self._news.refused.update(one.reason for one in came.refused)
            self._news.scores.append((came.scores, cell.learner.classes))
            self._tell_time(shard, [one.time for one in records if type(one) is Event])

    def _tell_time(self, shard: str, times: list[float]) -> None:
        """Note the latest time of an event whose neighbour agrees: a lone one may be mistaken."""
        agreed = map(min, times, [self._last.get(shard, -inf), *times])
        self._event_time = max(self._event_time, *agreed, 0.0)
        self._last |= {shard: times[-1]} if times else {}


def _spent(fed: Mapping[str, Fed]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for one in fed.values():
        total.update(one.seconds)
    return dict(total)
