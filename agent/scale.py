"""Running scale: columns of numbers to z-scores, in one pass, whatever the cut and the values.

Shapes: N columns, B rows handed in, K = `block` rows of the waiting room.

The statistics move only when the count of events reaches 1, 2, 4, ... K, 2K, 3K, ...; the rows in
between wait in a buffer of fixed shape. So rows and state depend on the order of the events alone,
bit for bit, and never on how the events were cut into calls. A column starts from the median and
the interquartile range of its first K values; from then on each block is merged (Chan, Golub and
LeVeque 1983) in units of the present spread, winsorised, with a bounded count so that it follows
slow drift.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
ScaleState: TypeAlias = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]

HUGE = 1e250  # values beyond are taken as this: differences and limits then cannot overflow
IQR_OF_NORMAL = 1.3489795003921634  # interquartile range of a standard normal
MOST_CLIP = 100.0  # e to that times any spread is still a number
ODD_ENOUGH = 3  # so many odd ones make a spread for a column that is nearly constant


@dataclass(frozen=True, slots=True)
class ScaleSettings:
    """How numbers are scaled.

    Args:
        block: events between two moves of the statistics; a power of two.
        horizon: events (of one column) that the statistics remember, about.
        linear: deviations up to which a z-score is left as it is; logarithmic beyond.
        clip: the largest size of a scaled value.
    """

    block: int = 32
    horizon: int = 20_000
    linear: float = 3.0
    clip: float = 10.0

    def __post_init__(self) -> None:
        if self.block < 1 or self.block & (self.block - 1):
            raise ValueError(f"block: {self.block} is not a power of two; take 32")
        if self.horizon < self.block:
            raise ValueError(f"horizon: {self.horizon} is under block; take {self.block} or more")
        if not self.linear > 0:
            raise ValueError(f"linear: {self.linear} is not above 0; take 3")
        if not self.linear < self.clip <= MOST_CLIP:
            raise ValueError(f"clip: {self.clip} is not above linear and up to 100; take 10")


class RunningScale:
    """Z-scores of `columns` columns; all that changes is in the state that goes in and out."""

    def __init__(self, columns: int, settings: ScaleSettings) -> None:
        self.columns = columns
        self.settings = settings
        self._reach = settings.linear + math.expm1(settings.clip - settings.linear)

    def begin(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """Give the state before the first event: nothing is known, everything scales to 0."""
        rows, columns = self.settings.block, self.columns
        return {
            "events": np.zeros(1, np.int64),
            "waiting": np.full((rows, columns), np.nan),  # rows since the last boundary
            "early": np.full((rows, columns), np.nan),  # first values of each column
            "kept": np.zeros(columns, np.int64),  # how many went into `early`
            "count": np.zeros(columns),  # values that the statistics rest on
            "centre": np.zeros(columns),
            "spread": np.zeros(columns),  # 0: not known yet, or constant
        }

    def scale(self, state: ScaleState, x_BN: Floats) -> tuple[Floats, ScaleState]:
        """Z-score each row by what was known at the last boundary before it; missing is nan."""
        clamped = np.maximum(np.minimum(x_BN, HUGE), -HUGE)
        work = _Work(state, self.settings)
        lengths: list[int] = []
        centres: list[Floats] = []
        spreads: list[Floats] = []
        at = 0
        while at < len(clamped):
            centres.append(work.centre)
            spreads.append(work.spread)
            taken = work.take(clamped, at)
            lengths.append(taken)
            at += taken
        if not lengths:
            return clamped, state
        centre_BN: Floats = np.repeat(np.stack(centres), lengths, axis=0)
        spread_BN: Floats = np.repeat(np.stack(spreads), lengths, axis=0)
        return self._z(clamped, centre_BN, spread_BN), work.state()

    def look(self, state: ScaleState, x_BN: Floats) -> Floats:
        """Z-score every row by what was known at the last boundary, and learn nothing."""
        clamped = np.maximum(np.minimum(x_BN, HUGE), -HUGE)
        work = _Work(state, self.settings)
        return self._z(clamped, work.centre, work.spread)

    def _z(self, x_BN: Floats, centre_BN: Floats, spread_BN: Floats) -> Floats:
        """(x - centre) / spread, compressed beyond `linear`, clipped; nan and no spread give 0."""
        linear, clip = self.settings.linear, self.settings.clip
        z = _winsorised(x_BN - centre_BN, self._reach, spread_BN)
        size = np.abs(z)
        if size.size and size.max() > linear:
            far = linear + np.log1p(np.maximum(size - linear, 0.0))
            z = np.where(size > linear, np.copysign(np.minimum(far, clip), z), z)
        return z


class _Work:
    """A copy of the state, moved on by one call of `scale`."""

    def __init__(self, state: ScaleState, settings: ScaleSettings) -> None:
        self._settings = settings
        self._events = int(state["events"][0])
        self._waiting = state["waiting"].astype(np.float64)
        self._early, self._kept = state["early"], state["kept"]
        self._count = state["count"]
        self.centre: Floats = state["centre"].astype(np.float64, copy=False)
        self.spread: Floats = state["spread"].astype(np.float64, copy=False)

    def take(self, x_BN: Floats, at: int) -> int:
        """Take rows from `at` on, to the next boundary or the end; say how many."""
        block, events = self._settings.block, self._events
        last, following = _boundaries(events, block)
        taken = min(len(x_BN) - at, following - events)
        filled = events - last
        self._waiting[filled : filled + taken] = x_BN[at : at + taken]
        self._events = events + taken
        if self._events == following:
            self._absorb()
            self._waiting.fill(np.nan)
        return taken

    def state(self) -> ScaleState:
        """Give the state after the rows taken."""
        return {
            "events": np.array([self._events], np.int64),
            "waiting": self._waiting,
            "early": self._early,
            "kept": self._kept,
            "count": self._count,
            "centre": self.centre,
            "spread": self.spread,
        }

    def _absorb(self) -> None:
        """Move the statistics on by the rows that wait: merge settled columns, start the others."""
        settled = (self._kept >= self._settings.block) & (self.spread > 0)
        before, centre = self._count, self.centre
        present = ~np.isnan(self._waiting)
        m = np.add.reduce(present, axis=0, dtype=np.float64)
        self._merge(np.where(settled, m, 0.0), settled)
        self._count = np.minimum(before + m, self._settings.horizon)
        if not settled.all():
            novel = present & ((self._waiting != centre) | (self._kept < self._settings.block))
            columns = np.flatnonzero(novel.any(axis=0) & ~settled)
            if columns.size:
                self._restart(columns, present)

    def _merge(self, m: Floats, settled: NDArray[np.bool_]) -> None:
        """Chan's merge with the old mean as origin and the old spread as unit.

        One value moves the variance by at most a quarter (by half in a column's first blocks).
        """
        n = np.maximum(self._count, 1.0)
        most = np.maximum(4.0, 0.5 * np.sqrt(n))
        u = _winsorised(self._waiting - self.centre, most, np.where(settled, self.spread, 0.0))
        shift = np.add.reduce(u, axis=0) / (n + m)
        second = (n + np.add.reduce(u * u, axis=0)) / (n + m)
        ratio = np.where(m > 0, np.maximum(second - shift * shift, 0.0), 1.0)
        self.centre = self.centre + self.spread * shift
        self.spread = self.spread * np.sqrt(ratio)

    def _restart(self, columns: NDArray[np.intp], present: NDArray[np.bool_]) -> None:
        """Start these columns from the median and the robust spread of their early values."""
        block = self._settings.block
        early, kept = self._early.copy(), self._kept.copy()
        centre, spread, count = self.centre.copy(), self.spread.copy(), self._count.copy()
        for j in columns.tolist():
            fresh = self._waiting[present[:, j], j]
            room = max(0, block - int(kept[j]))
            rest = fresh[room:]
            news = np.concatenate((fresh[:room], rest[rest != centre[j]]))
            early[(kept[j] + np.arange(len(news))) % block, j] = news
            kept[j] += len(news)
            known: Floats = np.sort(early[: min(int(kept[j]), block), j])
            centre[j], spread[j], count[j] = robust(known, float(count[j]))
        self._early, self._kept, self._count = early, kept, count
        self.centre, self.spread = centre, spread


def robust(known: Floats, count: float) -> tuple[float, float, float]:
    """Median and spread of sorted values, and on how many they rest; `count` were seen in all.

    The spread is the interquartile range in units of a normal's deviation. Where that is 0 (a flag
    that is seldom up), the spread comes from the size and share of the values off the median, once
    there are three: a single wild value is no spread.
    """
    low, middle, high = (_quantile(known, q) for q in (0.25, 0.5, 0.75))
    if high > low:
        return middle, (high - low) / IQR_OF_NORMAL, float(len(known))
    off = np.sort(np.abs(known[known != middle] - middle))
    if len(off) < ODD_ENOUGH:
        return middle, 0.0, count
    return middle, _quantile(off, 0.5) * math.sqrt(len(off) / count), count


def _quantile(ordered: Floats, q: float) -> float:
    """Linear interpolation between the two neighbours; exact where they are equal."""
    where = q * (len(ordered) - 1)
    below = int(where)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (where - below)


def _winsorised(d: Floats, most: float | Floats, spread: Floats) -> Floats:
    """Give d in units of the spread, at most `most` in size; 0 without a d or a spread."""
    limit = most * spread
    u = np.fmin(np.fmax(d, -limit), limit) / np.where(spread > 0, spread, 1.0)
    return np.where(np.isnan(d), 0.0, u) + 0.0  # no -0: its sign would depend on the lane


def _boundaries(events: int, block: int) -> tuple[int, int]:
    """The last count at which the statistics moved, and the next at which they will."""
    if events >= block:
        last = events // block * block
        return last, last + block
    last = (1 << events.bit_length()) >> 1
    return last, last << 1 or 1
