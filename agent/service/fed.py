"""What comes of handing records to the learner."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agent.service.calls import Call, Came, alone
from agent.service.report import Scores
from streams.records import Prediction, Refused


@dataclass(frozen=True, slots=True)
class Fed:
    """What came of one feed, in the order of the records.

    Args:
        predictions: one an event.
        refused: the records that could not be read.
        scores: one a label joined, by what had been said of its event.
        seconds: spent, by stage: encode (with joining labels and scoring), predict (answering lanes
            of an open block), learn (answering and learning a block that is closed).
    """

    predictions: list[Prediction]
    refused: list[Refused]
    scores: Scores
    seconds: Mapping[str, float]


Walk: TypeAlias = Generator[list[Call], tuple[list[Came], float], Fed]
"""A feed in steps: it yields the calls that have to be made next, and is sent what came of them and
the seconds that they took."""


class Stages:
    """The seconds that each stage of a feed took.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = dict.fromkeys(("encode", "predict", "learn"), 0.0)
        self._clock, self._at = clock, clock()

    def spent(self, stage: str) -> None:
        """Put down the time since the last call to this stage."""
        now = self._clock()
        self.seconds[stage] += now - self._at
        self._at = now

    def waited(
        self, calls: list[Call]
    ) -> Generator[list[Call], tuple[list[Came], float], list[Came]]:
        """Wait for these calls; their seconds, as they are said, count to what is put down next."""
        self.spent("encode")
        came, seconds = yield calls
        self._at = self._clock() - seconds
        return came


def walked(walk: Walk, clock: Callable[[], float]) -> Fed:
    """Go through a walk, making each of its calls alone."""
    try:
        calls = next(walk)
        while True:
            start = clock()
            came = [alone(call) for call in calls]
            calls = walk.send((came, clock() - start))
    except StopIteration as done:
        fed: Fed = done.value
        return fed
