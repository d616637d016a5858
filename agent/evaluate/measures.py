"""Figures over the labels of a whole run, exact, and their curves over windows of labels.

N labels so far. A label is scored with what was said of its event before the label was known.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.service.report import Scores
from agent.service.scorecard import Card, average_precision, classes_card, numbers_card
from streams.schema import Goal

Column: TypeAlias = NDArray[np.float64]
Curve: TypeAlias = list[float | None]

WINDOWS: Final = 100  # points of a curve, at most
LEAST: Final = 100  # labels in a point, at least
FIGURES: Final = (
    *("accuracy", "kappa", "log_loss", "average_precision"),
    *("mae", "rmse", "r2"),
)
PANELS: Final[dict[Goal, tuple[str, ...]]] = {
    "classes": ("accuracy", "kappa"),
    "number": ("mae", "rmse"),
}


@dataclass(slots=True)
class Ledger:
    """Every label's truth, guess, loss and score; 32 bytes a label.

    Average precision needs all scores at the end, and exactness is worth the memory here.
    """

    goal: Goal
    parts: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, scores: Scores) -> None:
        """Take labels."""
        if len(scores):
            self.parts.append(
                np.stack((scores.truth, scores.guess, scores.loss, scores.score)).astype(np.float64)
            )

    def columns(self) -> NDArray[np.float64]:
        """Give truth, guess, loss and score; shape 4 by N."""
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts, axis=1)]
        return self.parts[0] if self.parts else np.zeros((4, 0))

    def figures(self) -> dict[str, float | None]:
        """Give every figure by name; None where it means nothing here."""
        return figures(self.goal, self.columns())

    def curves(self) -> tuple[list[int], dict[str, Curve]]:
        """Give the labels at the end of each window, and the figures of the goal's panels there."""
        columns = self.columns()
        count = columns.shape[1]
        windows = max(1, min(WINDOWS, count // LEAST))
        edges = np.linspace(0, count, windows + 1).astype(int)
        cut = [figures(self.goal, columns[:, a:b]) for a, b in pairwise(edges)]
        return edges[1:].tolist(), {name: [one[name] for one in cut] for name in PANELS[self.goal]}


def figures(goal: Goal, columns: NDArray[np.float64]) -> dict[str, float | None]:
    """Give every figure of these labels by name; shape 4 by N."""
    card = classes_card(columns) if goal == "classes" else numbers_card(columns)
    found = {name: _known(getattr(card, name)) for name in FIGURES if hasattr(Card, name)}
    found["log_loss"] = _known(card.loss) if goal == "classes" else None
    found["average_precision"] = _rare(columns) if goal == "classes" else None
    return {name: found[name] for name in FIGURES}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rare(columns: NDArray[np.float64]) -> float | None:
    """Average precision of the rarer of two classes; class 1 when both are as frequent."""
    truth, score = columns[0], columns[3]
    if not len(truth) or set(np.unique(truth)) != {0.0, 1.0} or not np.isfinite(score).all():
        return None
    ones = truth == 1
    if ones.mean() <= 0.5:  # noqa: PLR2004 (half of two classes)
        return _known(average_precision(ones, score))
    return _known(average_precision(~ones, -score))
