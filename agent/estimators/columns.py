"""Dicts without a schema become rows of a fixed width: every feature finds its place as it comes.

A learner's rows have a fixed width, and a dict's features come and go. So a feature takes, when it
is first learned from, the next free place of its kind and keeps it; of several new ones in one dict
the first by name comes first, whatever the dict's order. Once the places of a kind are taken, later
features share the last columns by signed hashing (Weinberger et al. 2009, Feature hashing for large
scale multitask learning). The width is fixed by the first dict.

A number has its z-score, and once it has been missing, one of the gaps that say so; words have the
eight columns of a random direction, whether they are missing, and at the row's end the code of the
word. What is absent, None or NaN is missing. A datetime is six numbers: sine and cosine of the day,
the week and the year.

Shapes: B rows, N places for numbers, G gaps, S shared columns, F columns of a row.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.encode import CYCLES
from agent.hashing import Words
from agent.scale import RunningScale, ScaleSettings

Features: TypeAlias = Mapping[Any, Any]
Found: TypeAlias = tuple[Hashable, float | tuple[str, ...]]
Rows: TypeAlias = NDArray[np.float32]

DIRECTION: Final = 8  # columns of a word
LEAST, MOST, MOST_WORDS = 8, 128, 32  # places that the first dict can ask for
GAPS: Final = 16  # columns that say which numbers are missing; more than so many share them
MEMO: Final = 4096  # words of one feature kept at hand; speed only
SHARE: Final = 4  # one shared column for so many places


@dataclass(frozen=True, slots=True)
class Layout:
    """How many features of each kind have places of their own.

    Args:
        numbers: N, features that are numbers.
        words: features that are words.
        shared: S, columns that all later ones share.
    """

    numbers: int
    words: int
    shared: int

    @classmethod
    def of(cls, x: Features, numbers: int = 0) -> "Layout":
        """For streams that begin with this dict: its features, and half as many again.

        Args:
            x: the first dict.
            numbers: places for numbers; 0 takes them from the dict.
        """
        found = list(_found(x))
        words = len({name for name, value in found if isinstance(value, tuple)})
        count = len(found) - words
        numbers = numbers or min(max(LEAST, count + count // 2), MOST)
        return cls(numbers, min(words + words // 2, MOST_WORDS), max(LEAST, numbers // SHARE))

    @property
    def gaps(self) -> int:
        """G."""
        return min(self.numbers, GAPS)

    @property
    def width(self) -> int:
        """F: z-scores, gaps, shared columns, words' directions, which words are missing, codes."""
        return self.numbers + self.gaps + self.shared + (DIRECTION + 2) * self.words


class Columns:
    """Rows of dicts. `learn` finds places and moves the scale; `look` changes nothing."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._numbers: dict[Hashable, int] = {}
        self._gaps: dict[int, int] = {}
        self._words: dict[Hashable, Words] = {}
        self._scaler = RunningScale(layout.numbers + layout.shared, ScaleSettings())
        self._scale = self._scaler.begin()

    def learn(self, xs: Sequence[Features]) -> Rows:
        """Meet the features of these dicts, then give their rows, shape BF."""
        met = [self._open(list(_found(x)), meet=True) for x in xs]
        raw = np.stack([one.raw for one in met])
        z, state = self._scaler.scale(self._scale, raw)
        self._scale = dict(state)
        return self._rows(z, met)

    def look(self, xs: Sequence[Features]) -> Rows:
        """Give the rows of these dicts as things stand, shape BF; features never met are none."""
        met = [self._open(list(_found(x))) for x in xs]
        raw = np.stack([one.raw for one in met])
        return self._rows(self._scaler.look(self._scale, raw), met)

    def _open(self, found: Sequence[Found], *, meet: bool = False) -> "_Open":
        """Lay one dict out, after giving places to what is new in it if it is to be met."""
        if meet:
            self._meet(found)
        raw = self._raw(found)
        gaps = np.zeros(self.layout.gaps, np.float32)
        for place in np.flatnonzero(np.isnan(raw[: len(self._numbers)])).tolist():
            if meet:
                self._gaps.setdefault(place, len(self._gaps) % self.layout.gaps)
            if place in self._gaps:
                gaps[self._gaps[place]] = 1.0
        return _Open(raw, gaps, self._directions(found))

    def _meet(self, found: Sequence[Found]) -> None:
        """Give places to what is new, as long as there are any."""
        for name, value in found:
            if isinstance(value, tuple):
                if len(self._words) < self.layout.words and name not in self._words:
                    self._words[name] = Words(str(name), DIRECTION, MEMO)
            elif len(self._numbers) < self.layout.numbers:
                self._numbers.setdefault(name, len(self._numbers))

    def _raw(self, found: Sequence[Found]) -> NDArray[np.float64]:
        """Numbers in their places, missing ones NaN; then the shared columns."""
        numbers, shared = self.layout.numbers, self.layout.shared
        raw = np.full(numbers + shared, np.nan)
        raw[numbers:] = 0.0
        for name, value in found:
            if isinstance(value, tuple):
                if name not in self._words and len(self._words) == self.layout.words and shared:
                    for word in value:
                        _put(raw[numbers:], f"{name}={word}", 1.0)
            elif name in self._numbers:
                raw[self._numbers[name]] = value
            elif len(self._numbers) == numbers and shared:
                _put(raw[numbers:], str(name), value)
        return raw

    def _directions(self, found: Sequence[Found]) -> Rows:
        """The directions of words in their places, whether each is missing, their codes."""
        room, given = self.layout.words, dict(found)
        row = np.zeros((DIRECTION + 2) * room, np.float32)
        missing, codes = row[DIRECTION * room : -room or None], row[(DIRECTION + 1) * room :]
        for at, (name, words) in enumerate(self._words.items()):
            texts = given.get(name)
            if isinstance(texts, tuple) and texts:
                coded = words.coded(texts)
                direction = coded[:, :-1].sum(0) / math.sqrt(len(texts))
                row[DIRECTION * at : DIRECTION * (at + 1)] = direction
                codes[at] = coded[0, -1] if len(texts) == 1 else 0.0
            else:
                missing[at] = 1.0
        return row

    def _rows(self, z: NDArray[np.float64], met: Sequence["_Open"]) -> Rows:
        """Z-scores, which met ones are missing, shared columns, words."""
        numbers = self.layout.numbers
        gaps, words = np.stack([one.gaps for one in met]), np.stack([one.words for one in met])
        parts = (z[:, :numbers], gaps, z[:, numbers:], words)
        rows: Rows = np.concatenate(parts, 1, dtype=np.float32, casting="same_kind")
        return rows


@dataclass(frozen=True, slots=True)
class _Open:
    """One dict laid out: numbers as they are, gaps, words' columns."""

    raw: NDArray[np.float64]
    gaps: Rows
    words: Rows


def _found(x: Features) -> Iterator[Found]:
    """Numbers and words of a dict by name; a stable order, whatever the dict's."""
    for name in sorted(x, key=lambda one: (str(one), type(one).__name__)):
        value = x[name].item() if isinstance(x[name], np.generic) else x[name]
        if isinstance(value, date):
            yield from _circles(name, value)
        elif isinstance(value, str):
            yield name, (value,)
        elif isinstance(value, list | tuple | set | frozenset):
            yield name, tuple(sorted(str(one) for one in value))
        elif (number := _number(value)) is None:
            yield name, (str(value),)
        elif not math.isnan(number):
            yield name, number


def _number(value: object) -> float | None:
    """A number, NaN for none, None for what is no number."""
    if value is None:
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]  # whatever knows how to be one
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]  # an int, too long
    except (TypeError, ValueError):
        return None


def _circles(name: Hashable, value: date) -> Iterator[Found]:
    """Where a moment stands in the day, the week and the year; one without a zone is UTC's."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    seconds = value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    if math.isnan(seconds):
        return
    for cycle, period, origin in CYCLES:
        angle = math.fmod(seconds - origin, period) * (2 * math.pi / period)
        yield (name, cycle, "sin"), math.sin(angle)
        yield (name, cycle, "cos"), math.cos(angle)


def _put(shared: NDArray[np.float64], text: str, value: float) -> None:
    """Add a value to the column that its name is hashed to, with the name's sign."""
    code = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    shared[(code >> 1) % len(shared)] += value if code & 1 else -value
