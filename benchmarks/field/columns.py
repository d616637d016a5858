"""An event's values as the peers take them: numbers, and codes of words.

What is missing becomes the mean of its column so far, the same for every peer; a text becomes
counts of its words, hashed into so many columns; a time the hour, the day of the week and of the
year. A word's code is its place in the order in which words came.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.rivals import Features
from streams.records import Value
from streams.schema import Kind, Schema

Floats: TypeAlias = NDArray[np.float64]

HASHED: Final = 256  # columns for the words of a text
WIDE: Final = 64  # words of a field that get a column each
CALENDAR: Final = ("hour", "weekday", "yearday")


def distinct(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Count the different values of columns; peers in Java must be told beforehand."""
    found: dict[str, set[str]] = {name: set() for name in names}
    with path.open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            for name, values in found.items():
                values.add(row[name].strip())
    return {name: len(values) for name, values in found.items()}


class Columns:
    """Turns values into rows of numbers.

    Args:
        fields: the features and their kinds, in the order of the values.
        counts: how many different words each categorical feature has, "missing" among them.
        coded: whether codes are given as plain numbers, which suits trees better now and then.
    """

    def __init__(
        self, fields: Mapping[str, Kind], counts: Mapping[str, int], *, coded: bool = False
    ) -> None:
        self._fields = tuple(fields.items())
        self._plain = all(kind == "numeric" for _, kind in self._fields)
        self._codes: dict[str, dict[Value, int]] = {name: {} for name in counts}
        self.nominal = {} if coded else dict(counts)
        self.names = [name for field, kind in self._fields for name in _names(field, kind)]
        self._count = np.zeros(len(self.names))
        self._mean = np.zeros(len(self.names))

    @classmethod
    def of(
        cls, schema: Schema, path: Path, texts: Sequence[str], *, coded: bool = False
    ) -> "Columns":
        """Make them for a stream, its file read through once for the words that it holds.

        A column of few texts that is not named among `texts` counts as categorical.
        """
        fields: dict[str, Kind] = {
            name: "categorical" if kind == "tokens" and name not in texts else kind
            for name, kind in schema.fields.items()
        }
        words = [name for name, kind in fields.items() if kind == "categorical"]
        return cls(fields, distinct(path, words), coded=coded)

    def row(self, values: Sequence[Value]) -> Floats:
        """Give numbers in the order of `names`."""
        cells = values if self._plain else list(self._cells(values))
        x = np.array(cells, np.float64)  # None becomes NaN
        known = x == x  # noqa: PLR0124 (NaN alone differs from itself)
        if not known.all():
            x = np.where(known, x, self._mean)
        self._count += known
        self._mean += known * (x - self._mean) / np.maximum(self._count, 1.0)
        return x

    def named(self, values: Sequence[Value]) -> Features:
        """Give numbers by name, words as words."""
        row = self.row(values).tolist()
        return {
            name: f"{value:.0f}" if name in self.nominal else value
            for name, value in zip(self.names, row, strict=True)
        }

    @property
    def wide_names(self) -> list[str]:
        """What `wide` gives: a column each for the words of a field that knows few."""
        return [
            wide
            for name in self.names
            for wide in ([f"{name}={code}" for code in range(self._width(name))] or [name])
        ]

    def wide(self, values: Sequence[Value]) -> Features:
        """Give numbers by name, each word of a field that knows few as a one among zeros."""
        found: Features = {}
        for name, value in zip(self.names, self.row(values).tolist(), strict=True):
            if width := self._width(name):
                found.update({f"{name}={code}": float(code == value) for code in range(width)})
            else:
                found[name] = value
        return found

    def _width(self, name: str) -> int:
        words = self.nominal.get(name, 0)
        return words if words <= WIDE else 0

    def _cells(self, values: Sequence[Value]) -> Iterator[object]:
        for (name, kind), value in zip(self._fields, values, strict=True):
            if kind == "categorical":
                codes = self._codes[name]
                yield codes.setdefault(value, len(codes))
            elif kind == "tokens":
                yield from _hashed(value)
            elif kind == "time":
                yield from _calendar(value)
            else:
                yield value


def _names(field: str, kind: Kind) -> Sequence[str]:
    if kind == "tokens":
        return [f"{field}_{place}" for place in range(HASHED)]
    if kind == "time":
        return [f"{field}_{part}" for part in CALENDAR]
    return [field]


def _hashed(words: object) -> Iterator[float]:
    counts = [0.0] * HASHED
    for word in words if isinstance(words, tuple) else ():
        counts[crc32(str(word).encode()) % HASHED] += 1.0
    return iter(counts)


def _calendar(time: object) -> Iterator[float | None]:
    if not isinstance(time, float):
        return iter((None, None, None))
    moment = datetime.fromtimestamp(time, UTC)
    hour = moment.hour + moment.minute / 60
    return iter((hour, float(moment.weekday()), float(moment.timetuple().tm_yday)))
