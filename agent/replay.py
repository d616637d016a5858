"""What a checkpoint would have answered: an agent restored, and a file of events shown to it.

Learning, it goes on as the daemon would have: each event answered, then its label learned. Frozen,
every event is answered by the state as it stood; labels only score.

Shapes: N events, F columns with the lateness behind, S floats kept of an answer.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from agent.service.answers import ClassAnswers, Scored
from agent.service.fed import Fed
from agent.service.prequential import Prequential
from agent.service.scorecard import Card, Running, RunningClasses, RunningNumbers
from streams.records import Event, Label, Prediction, Record, Refused, Truth
from streams.schema import Goal
from streams.source import Source

BATCH: Final = 512  # records at a time


class Frozen(Prequential):
    """An agent that answers and learns nothing: neither its state moves nor its scale of numbers.

    It stands as after its last whole block; what an open block had learned is not in its answers.
    """

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._answers_to: dict[str, tuple[NDArray[np.float32], float]] = {}  # that wait for a label

    @override
    def feed(self, records: Sequence[Record]) -> Fed:
        """Answer every event; score the labels of events that were answered here."""
        start = self._clock()
        events = [record for record in records if type(record) is Event]
        said_NS = self._say(events)
        answers = dict(zip(map(id, events), said_NS, strict=True))
        scored: list[Scored] = []
        for record in records:
            if type(record) is Event:
                self._answers_to[record.id] = answers[id(record)], record.time
                if record.label is not None:
                    self._joined(record.id, record.label, record.time, scored)
            elif type(record) is Label:
                self._joined(record.id, record.truth, record.time, scored)
        known = len(self.classes)
        asked = [(lane, event, known) for lane, event in enumerate(events)]
        said = self._teacher.tags.on(self._answers.predictions(said_NS, asked))
        refused = [record for record in records if type(record) is Refused]
        seconds = {"predict": self._clock() - start}
        return Fed(said, refused, self._answers.scores(scored), seconds)

    def _say(self, events: Sequence[Event]) -> NDArray[np.float32]:
        """Answer by the state as it stands, each event by itself, shape NS."""
        if not events:
            return np.zeros((0, 1), np.float32)
        rows = [self._encoder.encode(self._scale, [event.values])[0] for event in events]
        x_NF = np.pad(np.concatenate(rows), ((0, 0), (0, 1)))
        said_NS = self._teacher.ask(x_NF)
        if isinstance(self._answers, ClassAnswers):
            said_NS[:, len(self.classes) :] = 0.0
        return said_NS

    def _joined(self, name: str, label: Truth, time: float, scored: list[Scored]) -> None:
        answer = self._answers_to.pop(name, None)
        if answer is not None:
            scored.append((answer[0], self._truth(label), max(time - answer[1], 0.0)))

    def _truth(self, label: Truth) -> float:
        """Give a number, or a class by its index; of one never met, the one behind the last."""
        if not isinstance(self._answers, ClassAnswers):
            return float(label)
        name = str(label)
        return float(self.classes.index(name) if name in self.classes else len(self.classes))


@dataclass(slots=True)
class Replayed:
    """What came of a replay.

    Args:
        events: answered.
        known: of these, how many the agent had met before: answered, and not learned again.
        refused: records that could not be read, by reason.
        card: the figures over the labels that joined.
        classes: known at the end; empty for numbers.
        seconds: that answering and learning took.
    """

    events: int
    known: int
    refused: Counter[str]
    card: Card
    classes: Sequence[str]
    seconds: float


def replay(
    agent: Prequential,
    source: Source,
    goal: Goal,
    take: Callable[[Sequence[Prediction]], None],
    most: int | None = None,
) -> Replayed:
    """Show a source to an agent until it ends, or until `most` events have been answered.

    Args:
        agent: restored; a `Frozen` one learns nothing.
        source: read from its beginning.
        goal: of the stream.
        take: is given the answers, in order.
        most: None is no limit.

    Raises:
        SourceError: the source cannot be read on.
    """
    running: Running = RunningNumbers() if goal == "number" else RunningClasses()
    events, refused, seconds = 0, Counter[str](), 0.0
    before = agent.pending.counts["duplicate_event"]
    while not source.ended() and (most is None or events < most):
        room = BATCH if most is None else min(BATCH, most - events)
        fed = agent.feed(source.poll(room, 0.0))
        running.add(np.stack(fed.scores.columns()))
        refused.update(one.reason for one in fed.refused)
        take(fed.predictions)
        events += len(fed.predictions)
        seconds += sum(fed.seconds.values())
    known = agent.pending.counts["duplicate_event"] - before
    return Replayed(events, known, refused, running.card(), agent.classes, seconds)
