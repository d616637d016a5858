"""From what a learner says, in tensors, to predictions for people and floats for the pending store.

Shapes: B lanes, C classes (capacity), S floats kept of a prediction (C, or mean and deviation).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.learners.base import Classes, Numbers, Said
from agent.service.report import NO_SCORES, Scores
from streams.records import ClassPrediction, Event, NumberPrediction, Prediction

LEAST = 1e-6
"""The least probability that a loss is taken of; also that of a class never seen before."""

UNKNOWN = float(np.log(2.0))
"""The loss of an answer given before any class was known: one of two, this class or another."""

MOST_AWAY = 1e6
"""Deviations between a number and what was said of it that a loss is taken of at most."""

HALF_LOG_2PI = 0.9189385332046727

CENTRAL = 1.6448536269514722
"""Half the width of a central 90 % interval of the standard normal."""

Scored = tuple[NDArray[np.float32], float, float]
"""What had been said of an event (S floats), its truth, and the delay of its label in seconds."""


class Answers(Protocol):
    """Turns what was said of a block into predictions, floats to keep, and scores."""

    def said(self, said: Said, asked: Sequence[tuple[int, Event, int]]) -> NDArray[np.float32]:
        """What is kept of each lane, shape BS."""
        ...

    def predictions(
        self, said_BS: NDArray[np.float32], asked: Sequence[tuple[int, Event, int]]
    ) -> list[Prediction]:
        """One answer an event asked."""
        ...

    def scores(self, scored: Sequence[Scored]) -> Scores:
        """How labels had been predicted."""
        ...


class ClassAnswers:
    """For classes; `names` is the live list of classes known, in the order they were met."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def said(self, said: Said, asked: Sequence[tuple[int, Event, int]]) -> NDArray[np.float32]:
        """Probabilities of the classes known when a lane was asked; zeros for the others."""
        if not isinstance(said, Classes):
            raise TypeError("the learner predicts numbers, but the stream's goal is classes")
        given = np.array(said.marginal()[0].exp().cpu().numpy(), np.float32)
        if asked and asked[0][2] < given.shape[1]:
            for lane, _, known in asked:
                given[lane, known:] = 0.0
        return given

    def predictions(
        self, said_BS: NDArray[np.float32], asked: Sequence[tuple[int, Event, int]]
    ) -> list[Prediction]:
        """Probabilities of the classes known when the event was asked, rounded to six digits."""
        if not asked:
            return []
        lanes = np.fromiter((lane for lane, _, _ in asked), np.intp, len(asked))
        given = said_BS[lanes].astype(np.float64)
        total = np.maximum(given.sum(1, keepdims=True), 1e-300)
        shares = np.round(given / total, 6).tolist()
        best = given.argmax(1).tolist()
        names = self._names
        return [
            ClassPrediction(
                event.id,
                event.key,
                event.time,
                names[top] if count else None,
                dict(zip(names[:count], share, strict=False)),
            )
            for (_, event, count), share, top in zip(asked, shares, best, strict=True)
        ]

    def scores(self, scored: Sequence[Scored]) -> Scores:
        """Log loss of the true class; the guess is -1 where nothing was known."""
        if not scored:
            return NO_SCORES
        said, truth, delay = zip(*scored, strict=True)
        given = _level(said)
        total = given.sum(1)
        nothing = total <= 0
        given /= np.where(nothing, 1.0, total)[:, None]
        index = np.array(truth)
        inside = np.minimum(index, given.shape[1] - 1).astype(np.intp)
        true = given[np.arange(len(given)), inside] * (index == inside)
        guess = np.where(nothing, -1.0, given.argmax(1))
        loss = np.where(nothing, UNKNOWN, -np.log(np.maximum(true, LEAST)))
        return Scores(index, guess, loss, np.array(delay), given[:, 1].copy())


class NumberAnswers:
    """For numbers: mean and deviation."""

    def said(self, said: Said, asked: Sequence[tuple[int, Event, int]]) -> NDArray[np.float32]:
        """Mean and deviation of the mixture."""
        del asked
        if not isinstance(said, Numbers):
            raise TypeError("the learner predicts classes, but the stream's goal is a number")
        mean, deviation = said.moments()
        return np.stack([mean[0].cpu().numpy(), deviation[0].cpu().numpy()], 1).astype(np.float32)

    def predictions(
        self, said_BS: NDArray[np.float32], asked: Sequence[tuple[int, Event, int]]
    ) -> list[Prediction]:
        """Mean, deviation and the central 90 % interval of a normal with these."""
        answers: list[Prediction] = []
        for lane, event, _ in asked:
            mean, deviation = said_BS[lane].tolist()
            low, high = mean - CENTRAL * deviation, mean + CENTRAL * deviation
            answers.append(
                NumberPrediction(event.id, event.key, event.time, mean, deviation, low, high)
            )
        return answers

    def scores(self, scored: Sequence[Scored]) -> Scores:
        """Negative log density of the truth under a normal with this mean and deviation."""
        if not scored:
            return NO_SCORES
        said, truth, delay = zip(*scored, strict=True)
        mean, deviation = _level(said).T
        deviation = np.maximum(deviation, 1e-12)
        away = ((np.array(truth) - mean) / deviation).clip(-MOST_AWAY, MOST_AWAY)
        loss = 0.5 * away**2 + np.log(deviation) + HALF_LOG_2PI
        return Scores(np.array(truth), mean.copy(), loss, np.array(delay), np.zeros(len(mean)))


def _level(said: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Stack what was said, at the width of the widest: room for classes may have grown between."""
    width = max(len(one) for one in said)
    return np.stack(
        [np.pad(one, (0, width - len(one))) if len(one) < width else one for one in said]
    ).astype(np.float64)
