"""What the pump tells of each micro-batch, and who may listen.

N labels joined in the step. The pump calls its watchers after every poll, an empty one included, so
that a page or a table goes on while nothing comes. Watchers observe; what is learned never depends
on them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # it stands on torch, which the rivals of `evaluate` do without
    from agent.continual.changes import TaskReport


Column: TypeAlias = NDArray[np.float64]
"""One number a label, float64, shape N."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How the labels joined in one step were predicted, in the order in which they were joined.

    Args:
        truth: the class's index in `Step.classes`, or the number.
        guess: the class or number that was said; -1 where no class was known yet.
        loss: log loss at prediction time, in nats.
        delay: event time from the event to its label, in seconds.
        score: probability of class 1 as it was said; 0 for numbers.
        last: what the last label known when the event was asked would have said; NaN where there
            was none; None where nobody kept count.
    """

    truth: Column
    guess: Column
    loss: Column
    delay: Column
    score: Column
    last: Column | None = None

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        last = () if self.last is None else (self.last,)
        sizes = {len(column) for column in (*self.columns(), *last)}
        if len(sizes) != 1:
            raise ValueError(f"Scores columns have lengths {sorted(sizes)}: give one length")

    def __len__(self) -> int:
        return len(self.truth)

    def columns(self) -> tuple[Column, Column, Column, Column, Column]:
        """Give truth, guess, loss, delay and score."""
        return self.truth, self.guess, self.loss, self.delay, self.score


NO_SCORES = Scores(*(np.zeros(0) for _ in range(5)))
"""A step in which no label was joined."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last durable snapshot: seconds that writing took, its size, when it stood (Unix)."""

    seconds: float
    bytes: int
    wall: float


@dataclass(frozen=True, slots=True)
class Probed:
    """An old task: rows kept, mean loss on them before it was left, and when last asked; nats."""

    task: int
    rows: int
    left: float
    loss: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent still knows of tasks that are not current, and how ready it is to learn.

    Args:
        tasks: those that are probed.
        plasticity: figures of the network by kind, as its learner names them; empty where unknown.
    """

    tasks: tuple[Probed, ...] = ()
    plasticity: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Mean loss on old tasks now; NaN where there is none."""
        return _mean([one.loss for one in self.tasks])

    @property
    def forgetting(self) -> float:
        """Mean rise of the loss on old tasks since each was left; NaN where there is none."""
        return _mean([one.loss - one.left for one in self.tasks])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


NO_MEMORY = Memory()
"""Of an agent that is not probed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop.

    Args:
        now: monotonic seconds at its end.
        wall: Unix seconds at its end.
        events: events read and predicted.
        predictions: answers handed to the sink.
        labels: labels by outcome: joined, orphan, duplicate, expired.
        refused: records refused, by reason.
        seconds: time spent, by stage: poll, encode, predict, learn, publish, commit; a stage that
            did not run is absent.
        scores: the labels joined, with what had been said of their events.
        voices: the experts' weights; they sum to 1.
        classes: names of the classes known, by index; empty for numbers.
        pending: events that wait for their label.
        event_time: the latest event time seen, Unix seconds.
        lag: records that wait in the source; None while that is not known.
        checkpoint: the last durable one; None before the first.
        checkpoint_failures: how many could not be written.
        memory: what is known of old tasks.
        tasks: what is believed of the tasks in the stream; None where nothing looks for them.
        shards: states held by this process.
        rebalances: times that shards came or went with the consumer group, so far.
        recreations: producers made anew after a fatal error, so far.
        rewinds: times that the loop went back to the last commit, so far.
        paused: partitions held back by backpressure now.
        faults: voices that gave what is not a number and were reset, by voice, so far.
        transactions: committed so far.
    """

    now: float
    wall: float
    events: int = 0
    predictions: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    scores: Scores = NO_SCORES
    voices: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    pending: int = 0
    event_time: float = 0.0
    lag: int | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_failures: int = 0
    memory: Memory = NO_MEMORY
    tasks: "TaskReport | None" = None
    shards: int = 0
    rebalances: int = 0
    recreations: int = 0
    rewinds: int = 0
    paused: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    transactions: int = 0


Watcher: TypeAlias = Callable[[Step], None]
"""Called by the pump after each step; quick, and never raises."""
