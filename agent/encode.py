"""Events become rows of float32: numbers scaled, words hashed, times put on circles.

A row is quantities first; then, a column for each categorical field, the codes of its words: whole
numbers from 1, 0 where missing.

Shapes: B events, F columns of a row, N numeric fields, I columns that say which numbers are
missing.

All that changes is in the `EncoderState` that goes in and out; the rows and the state depend on the
order of the events alone, bit for bit, never on how they were cut into calls.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.hashing import Bags, Words
from agent.scale import RunningScale, ScaleSettings
from streams.records import Value
from streams.schema import Kind

Rows: TypeAlias = NDArray[np.float32]
EncoderState: TypeAlias = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]

DAY = 86_400.0
MONDAY = 4 * DAY  # 1970-01-05, a Monday, at midnight UTC
YEAR = 365.2425 * DAY
CYCLES = (("hour", DAY, 0.0), ("weekday", 7 * DAY, MONDAY), ("yearday", YEAR, 0.0))


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How events become rows.

    Args:
        categorical_width: columns for the words of one categorical field.
        tokens_width: columns for the bag of words of one token field.
        indicators: columns that say which numbers are missing, at most. Where there are more
            numeric fields, a field takes the next of them when it first lacks a value; when they
            run out they are shared. One more column then holds the share that is missing.
        memo: words of one field whose rows are kept at hand; speed only, never the result.
        block: events between two moves of the running scale; a power of two.
        horizon: values of a column that the running scale remembers, about.
        linear: deviations up to which a number is linear; logarithmic beyond.
        clip: the largest size of a scaled number.
    """

    categorical_width: int = 8
    tokens_width: int = 256
    indicators: int = 16
    memo: int = 65_536
    block: int = 32
    horizon: int = 20_000
    linear: float = 3.0
    clip: float = 10.0

    def __post_init__(self) -> None:
        for name in ("categorical_width", "tokens_width", "indicators", "memo"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is too few; take 1 or more")
        self.scale()

    def scale(self) -> ScaleSettings:
        """Give the part that concerns numbers."""
        return ScaleSettings(self.block, self.horizon, self.linear, self.clip)


class Encoder:
    """Rows for the fields of one schema.

    In a row: numbers, their gaps, words, their gaps, tokens, times; then the codes of the words.
    `width` is F, `codes` how many of the columns are codes.
    """

    def __init__(self, fields: Mapping[str, Kind], settings: EncoderSettings) -> None:
        def places(kind: Kind) -> list[tuple[int, str]]:
            return [(at, name) for at, (name, k) in enumerate(fields.items()) if k == kind]

        self._numeric, self._time = places("numeric"), places("time")
        self._words = [
            (at, Words(name, settings.categorical_width, settings.memo))
            for at, name in places("categorical")
        ]
        self._tokens = [
            (at, Bags(name, settings.tokens_width, settings.memo)) for at, name in places("tokens")
        ]
        self._settings = settings
        self._scale = RunningScale(len(self._numeric), settings.scale())
        self.columns: tuple[str, ...] = _columns(fields, settings)
        self.width: int = len(self.columns)
        self.codes: int = len(self._words)
        self._shared = len(self._numeric) > settings.indicators

    def begin(self) -> EncoderState:
        """Give the state before the first event."""
        state = self._scale.begin()
        if self._shared:
            state["indicator"] = np.full(len(self._numeric), -1, np.int64)  # -1: never missing yet
        return state

    def encode(
        self, state: EncoderState, values: Sequence[tuple[Value, ...]]
    ) -> tuple[Rows, EncoderState]:
        """Give the rows of these events, shape BF, and the state after them."""
        x_BF = np.empty((len(values), self.width), np.float32)
        if not values:
            return x_BF, state
        fields = list(zip(*values, strict=True))
        blocks, state = self._numbers(state, fields, len(values))
        coded = [words.coded(fields[at]) for at, words in self._words]
        blocks += [rows[:, :-1] for rows in coded]
        blocks += [_missing(fields[at]) for at, _ in self._words]
        blocks += [bags.rows([_split(text) for text in fields[at]]) for at, bags in self._tokens]
        blocks += [_circles(fields[at]) for at, _ in self._time]
        blocks += [rows[:, -1:] for rows in coded]
        start = 0
        for block in blocks:
            x_BF[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return x_BF, state

    def _numbers(
        self, state: EncoderState, fields: list[tuple[Value, ...]], rows: int
    ) -> tuple[list[NDArray[np.generic]], EncoderState]:
        """Scale the numeric fields; give the z-scores and which were missing."""
        x_BN = np.empty((rows, len(self._numeric)))
        for column, (at, _) in enumerate(self._numeric):
            x_BN[:, column] = fields[at]  # None becomes nan
        gone_BN = np.isnan(x_BN)
        z_BN, after = self._scale.scale(state, x_BN)
        if not self._shared:
            return [z_BN, gone_BN], after
        indicator = _taken(state["indicator"], gone_BN, self._settings.indicators)
        hot_NI = indicator[:, None] == np.arange(self._settings.indicators)
        flags_BI = np.minimum(gone_BN.astype(np.float32) @ hot_NI.astype(np.float32), 1.0)
        share = gone_BN.mean(axis=1, keepdims=True)
        return [z_BN, flags_BI, share], {**after, "indicator": indicator}


def _columns(fields: Mapping[str, Kind], settings: EncoderSettings) -> tuple[str, ...]:
    """Name the columns in the order in which `encode` lays them out."""
    by_kind: dict[Kind, list[str]] = {"numeric": [], "categorical": [], "tokens": [], "time": []}
    for name, kind in fields.items():
        by_kind[kind].append(name)
    gaps = [f"{name}?" for name in by_kind["numeric"]]
    if len(gaps) > settings.indicators:
        gaps = [*(f"?{i}" for i in range(settings.indicators)), "?share"]
    return (
        *by_kind["numeric"],
        *gaps,
        *(f"{n}#{i}" for n in by_kind["categorical"] for i in range(settings.categorical_width)),
        *(f"{name}?" for name in by_kind["categorical"]),
        *(f"{n}#{i}" for n in by_kind["tokens"] for i in range(settings.tokens_width)),
        *(f"{n}.{f}.{c}" for n in by_kind["time"] for f in ("sin", "cos") for c, _, _ in CYCLES),
        *(f"{name}#" for name in by_kind["categorical"]),
    )


def _taken(
    indicator_N: NDArray[np.generic], gone_BN: NDArray[np.bool_], indicators: int
) -> NDArray[np.int64]:
    """Hand indicators to the fields that lack a value for the first time, in order of the rows."""
    taken = indicator_N.astype(np.int64)
    novel = np.flatnonzero(gone_BN.any(axis=0) & (taken < 0))
    if novel.size:
        order = novel[np.argsort(gone_BN[:, novel].argmax(axis=0), kind="stable")]
        taken[order] = (np.count_nonzero(taken >= 0) + np.arange(len(order))) % indicators
    return taken


def _missing(words: Sequence[Value]) -> NDArray[np.bool_]:
    return np.array([[word is None] for word in words])


def _split(text: Value) -> Sequence[str]:
    if isinstance(text, tuple):
        return text
    return () if text is None else str(text).split()


def _circles(times: Sequence[Value]) -> NDArray[np.float64]:
    """Sine, then cosine, of the angles of the day, the week and the (mean Gregorian) year."""
    seconds = np.array(times, np.float64)[:, None]
    period = np.array([cycle[1] for cycle in CYCLES])
    origin = np.array([cycle[2] for cycle in CYCLES])
    angle = np.mod(np.nan_to_num(seconds) - origin, period) * (2 * math.pi / period)
    circles = np.concatenate((np.sin(angle), np.cos(angle)), axis=1)
    return np.where(np.isnan(seconds), 0.0, circles)
