"""Rows of floats by name, in arrays that grow by doubling."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float32]
Words: TypeAlias = NDArray[np.floating[Any]]

UNSAID: Words = np.zeros(0, np.float16)
"""The words of a row of which none are kept."""


class Pool:
    """Keeps a row, a prediction and, once they are known, words for each name.

    Args:
        width: floats of a row (F).
        seen: floats of a prediction (S).
        most: names at most; KeyError beyond.
        unsaid: words that are not known yet (W), NaN.
    """

    def __init__(self, width: int, seen: int, most: int, unsaid: Words = UNSAID) -> None:
        self._most, self._unsaid = most, unsaid
        self._rows_NF = np.zeros((0, width), np.float32)
        self._said_NS = np.zeros((0, seen), np.float32)
        self._words_NW = np.zeros((0, len(unsaid)), unsaid.dtype)
        self._slots: dict[str, int] = {}
        self._free: list[int] = []

    def put(self, name: str, row_F: Rows, said_S: Rows) -> None:
        """Copy these in under a new name."""
        if not self._free:
            self._grow()
        slot = self._slots[name] = self._free.pop()
        self._rows_NF[slot] = row_F
        self._said_NS[slot] = said_S
        self._words_NW[slot] = self._unsaid

    def fill(self, name: str, said_S: Rows) -> None:
        """Put a prediction in for a name that may be gone already."""
        slot = self._slots.get(name)
        if slot is not None:
            self._said_NS[slot] = said_S

    def keep(self, name: str, words_W: Words) -> None:
        """Put words in for a name that may be gone already."""
        slot = self._slots.get(name)
        if slot is not None:
            self._words_NW[slot] = words_W

    def widen(self, seen: int, unsaid: Words) -> None:
        """Make room for longer predictions, S = `seen`, and for as many words as in `unsaid`.

        Predictions are filled up with zeros, words with NaN.
        """
        more = seen - self._said_NS.shape[1]
        self._said_NS = np.pad(self._said_NS, ((0, 0), (0, more)))
        kept = min(self._words_NW.shape[1], len(unsaid))
        words = np.tile(unsaid, (len(self._words_NW), 1))
        words[:, :kept] = self._words_NW[:, :kept]
        self._words_NW, self._unsaid = words, unsaid

    def pop(self, name: str) -> tuple[Rows, Rows, Words]:
        """Take a name out and give copies of its row, its prediction and its words."""
        slot = self._slots.pop(name)
        self._free.append(slot)
        kept = (self._rows_NF, self._said_NS, self._words_NW)
        row, said, words = (array[slot].copy() for array in kept)
        return row, said, words

    def gather(self, names: Sequence[str]) -> tuple[Rows, Rows, Words]:
        """Give copies of these names' rows, predictions and words, in this order."""
        slots = np.array([self._slots[name] for name in names], np.intp)
        return self._rows_NF[slots], self._said_NS[slots], self._words_NW[slots]

    def _grow(self) -> None:
        old = len(self._rows_NF)
        new = min(self._most, max(64, 2 * old))
        if new <= old:
            raise KeyError(f"the pool is full: {old} names")
        self._rows_NF = _longer(self._rows_NF, new)
        self._said_NS = _longer(self._said_NS, new)
        self._words_NW = _longer(self._words_NW, new)
        self._free.extend(range(new - 1, old - 1, -1))


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.zeros((length, array.shape[1]), array.dtype)
    longer[: len(array)] = array
    return longer
