"""Feature hashing: any word, seen before or not, becomes a short fixed row.

Each word of a field has a direction of its own, drawn by SHAKE-128 from the field's and the word's
name, the same in every process: a random projection of the word's indicator (Achlioptas 2003). Two
words never share a row, and many are nearly orthogonal. A memo keeps this fast; it holds no truth.
"""

import math
from collections.abc import Hashable, Sequence
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray


def projected_row(text: str, width: int) -> NDArray[np.float32]:
    """Give the row of a text, of squared length 2: as far from others as standardised numbers."""
    digest = shake_128(text.encode("utf-8", "surrogatepass")).digest(2 * width)
    row = np.frombuffer(digest, np.uint16).astype(np.float64) - 32767.5
    scaled: NDArray[np.float32] = (row * math.sqrt(2 / float((row * row).sum()))).astype(np.float32)
    return scaled


class Words(dict[Hashable, int]):
    """The rows of one field's words, made at their first use; `None` is the row of zeros."""

    def __init__(self, field: str, width: int, limit: int) -> None:
        super().__init__()
        self._field, self.width, self._limit = field, width, limit
        self._table = np.zeros((64, width), np.float32)
        self[None] = 0

    def __missing__(self, word: str | float) -> int:
        text = word if isinstance(word, str) else repr(float(word))
        place = len(self)
        if place == len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._table[place] = projected_row(f"{self._field}={text}", self.width)
        self[word] = place
        return place

    def rows(self, words: Sequence[Hashable]) -> NDArray[np.float32]:
        """Give a row for each word; the memo starts anew when it has outgrown its limit."""
        if len(self) > self._limit:
            self.clear()
            self[None] = 0
            self._table = np.zeros((64, self.width), np.float32)
        places = [self[word] for word in words]
        return self._table.take(places, axis=0)
