"""What a fraud engineer would send along: trailing counts and means, and a terminal's record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.worlds.fraud.people import DAY, Floats, Ints

WINDOW_DAYS = 7
TIME_BITS = 40  # eight days of microseconds fit, with 2^23 cards or terminals above


@dataclass(frozen=True, slots=True)
class Trail:
    """Of each purchase of today, what the same card (or terminal) did before it.

    Counts and sums reach back one and seven days and leave the purchase itself out; `since` is
    in seconds, nan where there was nothing in seven days.
    """

    count_1: Ints
    count_7: Ints
    cents_1: Ints
    cents_7: Ints
    since: Floats

    @classmethod
    def of(cls, who: Ints, micros: Ints, cents: Ints, today: int) -> "Trail":
        """Look back for the last `today` rows; `micros` count from seven days before today."""
        keys = (who << TIME_BITS) | micros
        order = np.argsort(keys, kind="stable")
        ordered, mine = keys[order], keys[len(keys) - today :]
        total = np.concatenate((np.zeros(1, np.int64), np.cumsum(cents[order])))
        now = np.searchsorted(ordered, mine)
        day = np.searchsorted(ordered, mine - DAY)
        week = np.searchsorted(ordered, mine - WINDOW_DAYS * DAY)
        since = (mine - ordered[now - 1]) / 1e6
        return cls(
            count_1=now - day,
            count_7=now - week,
            cents_1=total[now] - total[day],
            cents_7=total[now] - total[week],
            since=np.where(now > week, since, np.nan),
        )


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Labels that became known on one day, counted by terminal."""

    known: Ints
    fraud: Ints

    @classmethod
    def of(cls, terminal: Ints, fraud: Ints, terminals: int) -> "Verdicts":
        """Count them."""
        return cls(
            np.bincount(terminal, minlength=terminals),
            np.bincount(terminal[fraud > 0], minlength=terminals),
        )


def risk(verdicts: Sequence[Verdicts], terminal: Ints) -> Floats:
    """Share of fraud among what is known of each terminal by last midnight; nan if nothing is."""
    if not verdicts:
        return np.full(len(terminal), np.nan)
    known = np.sum([day.known for day in verdicts], axis=0)
    fraud = np.sum([day.fraud for day in verdicts], axis=0)
    share = np.where(known > 0, fraud / np.maximum(known, 1), np.nan)
    return share[terminal]


def mean(cents: Ints, count: Ints) -> Floats:
    """Mean amount in the currency's unit; nan where there is none."""
    return np.where(count > 0, cents / np.maximum(count, 1) / 100, np.nan)
