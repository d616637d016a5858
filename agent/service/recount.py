"""What watchers are told of a turn: the shards' news, put together."""

from collections import Counter
from collections.abc import Mapping, Sequence

from agent.service import together
from agent.service.cells import Cells
from agent.service.clocks import Clocks
from agent.service.fed import Fed
from agent.service.report import Step
from streams.records import Event
from streams.source import Batch, Shards, Sink

LABELS = ("joined", "orphan", "duplicate", "expired")


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
        self.rewinds = self.commits = 0

    def step(
        self,
        batches: Sequence[Batch],
        fed: Mapping[str, Fed],
        spent: Mapping[str, float],
        now: float,
    ) -> Step:
        """Tell of one turn."""
        new = self._new(batches, fed)
        moved = self._cells.moved()
        answers = sum(len(one.predictions) for one in new.values())
        learners = [cell.learner for cell in self._cells]
        return Step(
            now=now,
            wall=self._clocks.wall(),
            events=answers,
            predictions=answers,
            labels={name: moved[name] for name in LABELS},
            refused=Counter(one.reason for some in new.values() for one in some.refused),
            seconds={**spent, **_spent(fed)},
            scores=self._cells.scores(new),
            voices=self._cells.voices(),
            classes=self._cells.classes(),
            pending=self._cells.pending(),
            event_time=self._event_time,
            lag=sum(self._source.lag().values()),
            checkpoint=self._cells.saved(),
            checkpoint_failures=self._cells.failures,
            memory=self._cells.memory(),
            tasks=together.tasks([one.tasks() for one in learners]),
            shards=len(learners),
            rebalances=self._source.rebalances(),
            recreations=self._sink.recreations,
            rewinds=self.rewinds,
            paused=self._source.paused(),
            transactions=self.commits,
        )

    def _new(self, batches: Sequence[Batch], fed: Mapping[str, Fed]) -> dict[str, Fed]:
        new: dict[str, Fed] = {}
        for shard, records, replayed in batches:
            if replayed:
                self._cells[shard].moved()
                continue
            new[shard] = fed[shard]
            times = (one.time for one in records if type(one) is Event)
            self._event_time = max((self._event_time, *times))
        return new


def _spent(fed: Mapping[str, Fed]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for one in fed.values():
        total.update(one.seconds)
    return dict(total)
