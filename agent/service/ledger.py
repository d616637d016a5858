"""The answers and scores of one feed, in the order of the records.

A label may come for a lane of the open block, whose answer is not known yet: its place among the
scores is kept until it is.

Shapes: B lanes, S floats kept of a prediction.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.service.answers import Answers, Scored
from agent.service.nochange import LastLabel
from agent.service.report import Scores
from streams.records import Prediction


class Ledger:
    """What one feed has brought so far.

    Args:
        answers: scores what was said.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._said: list[Prediction] = []
        self._scored: list[Scored] = []
        self._open: list[tuple[int, int, float, float]] = []  # place in `_scored`, lane, ...
        self._last = LastLabel()
        self._late: list[int] = []

    def score(
        self,
        lane: int | None,
        said: NDArray[np.float32],
        truth: float,
        delay: float,
        late: int = 0,
    ) -> None:
        """Note a label with what was said; of a lane of the open block that is known later.

        `late` counts the labels that joined between the event and this one.
        """
        self._late.append(late)
        if lane is not None:
            self._open.append((len(self._scored), lane, truth, delay))
        self._scored.append((said, truth, delay))

    def answer(self, said_BS: NDArray[np.float32], answers: list[Prediction]) -> None:
        """Take the open block's answers, and score what waited for them."""
        self._said += answers
        for place, lane, truth, delay in self._open:
            self._scored[place] = (said_BS[lane], truth, delay)
        self._open.clear()

    def close(self) -> tuple[list[Prediction], Scores]:
        """Give all of it, and begin anew."""
        said, self._said = self._said, []
        scores = self._answers.scores(self._scored)
        last = self._last.said(scores.truth, np.array(self._late, np.int64))
        self._scored, self._late = [], []
        return said, replace(scores, last=last)
