"""Figures of merit over labels: of a window (exact), and of a whole run in bounded memory.

N labels, C classes. All is prequential: each label scores what was said before it was known.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.service.report import Column
from streams.schema import Goal

Counts: TypeAlias = NDArray[np.int64]

NAN = math.nan
BINS = 2_048
LOGIT = 16.0  # scores beyond 1 ± 1e-7 share the outermost bins
METRICS: dict[Goal, tuple[str, ...]] = {
    "classes": ("accuracy", "kappa", "average_precision"),
    "number": ("mae", "rmse", "r2"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """Figures over some labels; NaN where one has no meaning for the stream.

    `loss` is the mean log loss in nats; `average_precision` is that of the rarer of two classes;
    `no_change` is the accuracy, or the mean absolute error, of saying the last label known.
    """

    labels: int = 0
    loss: float = NAN
    accuracy: float = NAN
    kappa: float = NAN
    average_precision: float = NAN
    mae: float = NAN
    rmse: float = NAN
    r2: float = NAN
    no_change: float = NAN


class Running(Protocol):
    """Figures over all labels so far."""

    def add(self, columns: NDArray[np.float64]) -> None:
        """Take labels: rows truth, guess, loss, delay, score; shape 5 by N."""
        ...

    def card(self) -> Card:
        """Give the figures."""
        ...

    def rarer(self) -> int:
        """The class whose average precision is meant: 0 or 1."""
        ...


def average_precision(positive: NDArray[np.bool_], score: Column) -> float:
    """Give the area under the precision-recall curve as a sum of steps, equal scores as one step.

    NaN without a positive.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    return _stepwise(np.cumsum(positive[order])[last_of_equals], np.flatnonzero(last_of_equals) + 1)


def _stepwise(found: Counts, shown: Counts) -> float:
    """Sum of precision times the gain in recall: `found` positives among the first `shown`."""
    if len(found) == 0 or found[-1] == 0:
        return NAN
    return float(np.sum(found / shown * np.diff(found, prepend=0)) / found[-1])


def kappa(hits: int, truths: Counts, guesses: Counts) -> float:
    """Cohen's kappa: agreement beyond that of chance. NaN when chance alone always agrees."""
    total = float(truths.sum())
    size = min(len(truths), len(guesses))
    chance = float(truths[:size].astype(float) @ guesses[:size]) / total**2 if total else 1.0
    return (hits / total - chance) / (1.0 - chance) if chance < 1.0 else NAN


def classes_card(columns: NDArray[np.float64]) -> Card:
    """Give loss, accuracy and kappa of these labels, exactly."""
    truth, guess, loss = columns[0], columns[1], columns[2]
    if len(truth) == 0:
        return Card()
    hits = int(np.count_nonzero(truth == guess))
    agreement = kappa(hits, _count(truth), _count(guess))
    return Card(len(truth), float(loss.mean()), hits / len(truth), agreement)


def numbers_card(columns: NDArray[np.float64]) -> Card:
    """Give loss, MAE, RMSE and R² of these labels, exactly."""
    truth, guess, loss = columns[0], columns[1], columns[2]
    if len(truth) == 0:
        return Card()
    error = truth - guess
    square, spread = float(error @ error), float(((truth - truth.mean()) ** 2).sum())
    return Card(
        labels=len(truth),
        loss=float(loss.mean()),
        mae=float(np.abs(error).mean()),
        rmse=math.sqrt(square / len(truth)),
        r2=1.0 - square / spread if spread > 0 else NAN,
    )


def _count(classes: Column, size: int = 0) -> Counts:
    """Count by class index; "none said" (-1) stands first."""
    return np.bincount(classes.astype(np.int64) + 1, minlength=size)


def _grown(sums: Counts, more: Counts) -> Counts:
    """Add counts of which either may know more classes."""
    if len(more) > len(sums):
        sums = np.pad(sums, (0, len(more) - len(sums)))
    sums[: len(more)] += more
    return sums


@dataclass(slots=True)
class RunningClasses:
    """Counts of truths, guesses and agreements; scores by class in bins of their logit."""

    labels: int = 0
    loss: float = 0.0
    hits: int = 0
    truths: Counts = field(default_factory=lambda: np.zeros(3, np.int64))
    guesses: Counts = field(default_factory=lambda: np.zeros(3, np.int64))
    binned: Counts = field(default_factory=lambda: np.zeros(2 * BINS, np.int64))

    def add(self, columns: NDArray[np.float64]) -> None:
        """Take labels, shape 5 by N."""
        truth, guess, loss, _, score = columns
        self.labels += len(truth)
        self.loss += float(loss.sum())
        self.hits += int(np.count_nonzero(truth == guess))
        self.truths = _grown(self.truths, _count(truth))
        self.guesses = _grown(self.guesses, _count(guess))
        if len(self.truths) == 3:  # noqa: PLR2004 - two classes and "none said"
            self.binned += np.bincount(_bin(score) + BINS * (truth > 0), minlength=2 * BINS)

    def rarer(self) -> int:
        """The rarer of two classes; class 1 when both are as frequent."""
        return int(self.truths[2] <= self.truths[1])

    def card(self) -> Card:
        """Give the figures; average precision is exact up to the width of a bin."""
        if not self.labels:
            return Card()
        return Card(
            labels=self.labels,
            loss=self.loss / self.labels,
            accuracy=self.hits / self.labels,
            kappa=kappa(self.hits, self.truths, self.guesses),
            average_precision=self._average_precision(),
        )

    def _average_precision(self) -> float:
        if len(self.truths) > 3 or not self.truths[1:].all():  # noqa: PLR2004 - as in `add`
            return NAN
        zeros, ones = self.binned[:BINS], self.binned[BINS:]
        positive = ones[::-1] if self.rarer() else zeros
        shown = (zeros + ones)[::-1] if self.rarer() else zeros + ones
        filled = shown > 0
        return _stepwise(np.cumsum(positive[filled]), np.cumsum(shown[filled]))


def _bin(score: Column) -> Counts:
    """Bin of a probability: even in its logit, so that small ones stay apart."""
    inside = np.clip(score, 1e-7, 1 - 1e-7)
    logit = np.log(inside / (1.0 - inside))
    return ((logit / LOGIT + 1.0) * (BINS / 2)).clip(0, BINS - 1).astype(np.int64)


@dataclass(slots=True)
class RunningNumbers:
    """Sums of errors, and the target's mean and squared deviation (Chan, Golub, LeVeque 1983)."""

    labels: int = 0
    loss: float = 0.0
    absolute: float = 0.0
    square: float = 0.0
    mean: float = 0.0
    spread: float = 0.0

    def add(self, columns: NDArray[np.float64]) -> None:
        """Take labels, shape 5 by N."""
        truth, guess, loss = columns[0], columns[1], columns[2]
        if len(truth) == 0:
            return
        error = truth - guess
        known, self.labels = self.labels, self.labels + len(truth)
        self.loss += float(loss.sum())
        self.absolute += float(np.abs(error).sum())
        self.square += float(error @ error)
        shift = float(truth.mean()) - self.mean
        within = float(((truth - truth.mean()) ** 2).sum())
        self.spread += within + shift**2 * known * len(truth) / self.labels
        self.mean += shift * len(truth) / self.labels

    def rarer(self) -> int:
        """Without meaning for numbers."""
        return 1

    def card(self) -> Card:
        """Give the figures."""
        if not self.labels:
            return Card()
        return Card(
            labels=self.labels,
            loss=self.loss / self.labels,
            mae=self.absolute / self.labels,
            rmse=math.sqrt(self.square / self.labels),
            r2=1.0 - self.square / self.spread if self.spread > 0 else NAN,
        )
