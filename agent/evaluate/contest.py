"""Feeds a rival and scores what it says.

A rival meets the same records in the same order as the agent, test then train; what waits for its
label waits with what was said of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.evaluate.rivals import Features, Rival, Said, rival
from agent.service.report import Scores
from streams.records import Event, Label, Record, Truth, Value
from streams.schema import Schema

LEAST: Final = 1e-6  # a probability that log loss is taken of, at least: the same as for the agent


@dataclass(frozen=True, slots=True)
class Entry:
    """A rival as an entrant.

    Args:
        name: "no-change", "majority", or "river:MODEL".
        schema: what a record holds.
        seed: for models that draw.
    """

    name: str
    schema: Schema
    seed: int = 0

    def make(self) -> "Contest":
        """Make the rival. Raises `RiverNameError` where the name means none of this goal."""
        return Contest(rival(self.name, self.schema.goal, self.seed), self.schema)


class Contest:
    """A rival, what waits for its label, and the classes in the order of their first labels."""

    def __init__(self, of: Rival, schema: Schema) -> None:
        self._rival, self._names, self._goal = of, list(schema.fields), schema.goal
        self._pending: dict[str, tuple[Features, Said, float]] = {}
        self._index: dict[Truth, int] = {}
        self._second: Truth | None = None

    def feed(self, records: Sequence[Record]) -> Scores:
        """Test then train on these records, in their order."""
        rows: list[tuple[float, float, float, float, float]] = []
        for record in records:
            if isinstance(record, Event):
                x = raw(self._names, record.values)
                said = self._rival.predict(x)
                if record.label is None:
                    self._pending[record.id] = (x, said, record.time)
                else:
                    rows.append(self._learned(x, said, record.label, 0.0))
            elif isinstance(record, Label) and record.id in self._pending:
                x, said, time = self._pending.pop(record.id)
                rows.append(self._learned(x, said, record.truth, record.time - time))
        return Scores(*np.array(rows, np.float64).reshape(-1, 5).T)

    def _learned(
        self, x: Features, said: Said, truth: Truth, delay: float
    ) -> tuple[float, float, float, float, float]:
        if self._goal == "number":
            guess = 0.0 if said.guess is None else float(said.guess)
            row = (float(truth), guess, math.nan, delay, 0.0)
        else:
            row = self._class(said, truth, delay)
        self._rival.learn(x, truth)
        return row

    def _class(
        self, said: Said, truth: Truth, delay: float
    ) -> tuple[float, float, float, float, float]:
        place = self._index.setdefault(truth, len(self._index))
        if place == 1 and self._second is None:
            self._second = truth
        guess = -1 if said.guess is None else self._index.get(said.guess, -1)
        if said.chances is None:
            return place, guess, math.nan, delay, math.nan
        even = 1.0 / max(2, len(self._index))
        chance = said.chances.get(truth, 0.0) if said.chances else even
        score = 0.0 if self._second is None else said.chances.get(self._second, 0.0)
        loss = -math.log(max(LEAST, chance))  # in that order: a NaN counts as LEAST
        return place, guess, loss, delay, score


def raw(names: Sequence[str], values: Sequence[Value]) -> Features:
    """Give features as River takes them: what is missing left out, each word of a text a 1."""
    x: Features = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, tuple):
            x.update({f"{name}={word}": 1.0 for word in value})
        elif value is not None:
            x[name] = value
    return x
