"""Counts of measurements by size: cheap to fill, a step at a time, and read by whoever scrapes."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from agent.service.report import Column


class Histogram:
    """Counts by upper bound. Written by the loop alone; a scrape may miss the step under way.

    Args:
        bounds: upper bounds, rising; what is beyond the last is counted too.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self._sum = 0.0

    def one(self, value: float) -> None:
        """Take one measurement."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self._sum += value

    def many(self, values: Column) -> None:
        """Take N measurements."""
        where = np.searchsorted(self.bounds, values, side="left")
        added = np.bincount(where, minlength=len(self._counts)).tolist()
        self._counts = [old + new for old, new in zip(self._counts, added, strict=True)]
        self._sum += float(values.sum())

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Give cumulative counts by upper bound as text, "+Inf" last, and the sum."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True)), self._sum
