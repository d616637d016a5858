"""Rows of floats by name, in two arrays that grow by doubling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


class Pool:
    """Keeps a row and a prediction for each name.

    Args:
        width: floats of a row (F).
        seen: floats of a prediction (S).
        most: names at most; KeyError beyond.
    """

    def __init__(self, width: int, seen: int, most: int) -> None:
        self._most = most
        self._rows_NF = np.zeros((0, width), np.float32)
        self._said_NS = np.zeros((0, seen), np.float32)
        self._slots: dict[str, int] = {}
        self._free: list[int] = []

    def put(self, name: str, row_F: Rows, said_S: Rows) -> None:
        """Copy these in under a new name."""
        if not self._free:
            self._grow()
        slot = self._slots[name] = self._free.pop()
        self._rows_NF[slot] = row_F
        self._said_NS[slot] = said_S

    def fill(self, name: str, said_S: Rows) -> None:
        """Put a prediction in for a name that may be gone already."""
        slot = self._slots.get(name)
        if slot is not None:
            self._said_NS[slot] = said_S

    def widen(self, seen: int) -> None:
        """Make room for longer predictions, S = `seen`; what is kept is filled up with zeros."""
        more = seen - self._said_NS.shape[1]
        self._said_NS = np.pad(self._said_NS, ((0, 0), (0, more)))

    def pop(self, name: str) -> tuple[Rows, Rows]:
        """Take a name out and give copies of its row and its prediction."""
        slot = self._slots.pop(name)
        self._free.append(slot)
        return self._rows_NF[slot].copy(), self._said_NS[slot].copy()

    def gather(self, names: Sequence[str]) -> tuple[Rows, Rows]:
        """Give copies of these names' rows and predictions, in this order."""
        slots = np.array([self._slots[name] for name in names], np.intp)
        return self._rows_NF[slots], self._said_NS[slots]

    def _grow(self) -> None:
        old = len(self._rows_NF)
        new = min(self._most, max(64, 2 * old))
        if new <= old:
            raise KeyError(f"the pool is full: {old} names")
        self._rows_NF = _longer(self._rows_NF, new)
        self._said_NS = _longer(self._said_NS, new)
        self._free.extend(range(new - 1, old - 1, -1))


def _longer(array: Rows, length: int) -> Rows:
    longer = np.zeros((length, array.shape[1]), np.float32)
    longer[: len(array)] = array
    return longer
