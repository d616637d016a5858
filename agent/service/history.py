"""The past in bounded memory: rows of figures, thinned as they grow many; and a ring of labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


class History:
    """At most `capacity` points, each of them `stride` rows made one.

    When full, a *rolling* history forgets its older half; any other halves its resolution (two
    points become one, and `stride` doubles), so that it always shows its whole life.
    Columns in `last` keep their latest value when rows are made one; the others keep the mean of
    what is not NaN.
    """

    def __init__(
        self,
        width: int,
        capacity: int,
        last: Sequence[int],
        *,
        stride: int = 1,
        rolling: bool = False,
    ) -> None:
        if capacity < 2 or capacity % 2:  # noqa: PLR2004 - points are joined in pairs
            raise ValueError(f"capacity is {capacity}: give an even number of points, 2 or more")
        self.stride = stride
        self._last = list(last)
        self._rolling = rolling
        self._capacity = capacity
        self._points = np.full((2 * capacity if rolling else capacity, width), np.nan)
        self._size = 0
        self._open: list[Rows] = []

    def add(self, row: Rows) -> None:
        """Take one row."""
        self._open.append(row)
        if len(self._open) < self.stride:
            return
        if self._size == len(self._points):
            self._make_room()
            if len(self._open) < self.stride:
                return
        self._points[self._size] = self._joined(np.stack(self._open))
        self._size += 1
        self._open.clear()

    def fold(self, column: int, into: int) -> None:
        """Add a column's past to another's, and begin it anew."""
        for points in (self._points, *self._open):
            pair = points[..., [column, into]]
            known = ~np.isnan(pair).all(-1)
            points[..., into] = np.where(known, np.nansum(pair, -1), np.nan)
            points[..., column] = np.nan

    def rows(self) -> Rows:
        """Give the points, the oldest first, and what is still open as one more."""
        points = self._points[
            max(0, self._size - self._capacity) if self._rolling else 0 : self._size
        ]
        if not self._open:
            return points.copy()
        return np.vstack([points, self._joined(np.stack(self._open))])

    def _make_room(self) -> None:
        if self._rolling:
            self._points[: self._capacity] = self._points[self._capacity :]
            self._size = self._capacity
            return
        pairs = self._points.reshape(self._capacity // 2, 2, -1)
        self._size = self._capacity // 2
        self._points[: self._size] = self._joined(pairs.swapaxes(0, 1))
        self._points[self._size :] = np.nan
        self.stride *= 2

    def _joined(self, rows: Rows) -> Rows:
        """Join along the first axis."""
        known = ~np.isnan(rows)
        count = known.sum(0)
        total = np.where(known, rows, 0.0).sum(0)
        mean: Rows = np.full(total.shape, np.nan)
        np.divide(total, count, out=mean, where=count > 0)
        mean[..., self._last] = rows[-1][..., self._last]
        return mean


class Ring:
    """The last `capacity` columns of what was added, in order."""

    def __init__(self, height: int, capacity: int) -> None:
        self._capacity = capacity
        self._cells = np.zeros((height, 2 * capacity))
        self._end = 0

    def add(self, columns: Rows) -> None:
        """Take columns, shape height by N."""
        columns = columns[:, -self._capacity :]
        size = columns.shape[1]
        if self._end + size > 2 * self._capacity:
            kept = self._cells[:, self._end - self._capacity + size : self._end].copy()
            self._end = kept.shape[1]
            self._cells[:, : self._end] = kept
        self._cells[:, self._end : self._end + size] = columns
        self._end += size

    def last(self, most: int) -> Rows:
        """Give at most the last `most` columns: a view, valid until the next `add`."""
        return self._cells[:, max(0, self._end - min(most, self._capacity)) : self._end]
