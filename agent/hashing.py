"""Feature hashing: any word, seen before or not, becomes a short fixed row.

Each word of a field has a direction of its own, drawn by SHAKE-128 from the field's and the word's
name, the same in every process: a random projection of the word's indicator (Achlioptas 2003). Two
words never share a row, and many are nearly orthogonal. Beside it each word has a code, a whole
number that float32 holds exactly, for learners that look words up. A memo keeps this fast; it holds
no truth.
"""

import math
from collections.abc import Hashable, Sequence
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

CODES = 2**20
"""Codes of words lie under this; 0 is for none."""


def projected_row(text: str, width: int) -> NDArray[np.float32]:
    """Give the row of a text, of squared length 2: as far from others as standardised numbers."""
    digest = shake_128(text.encode("utf-8", "surrogatepass")).digest(2 * width)
    row = np.frombuffer(digest, np.uint16).astype(np.float64) - 32767.5
    scaled: NDArray[np.float32] = (row * math.sqrt(2 / float((row * row).sum()))).astype(np.float32)
    return scaled


def word_code(text: str) -> int:
    """Give the code of a text, 1 to 2^20 - 1: of 1,000 words about one pair shares a code."""
    digest = shake_128(text.encode("utf-8", "surrogatepass") + b"\0code").digest(8)
    return int.from_bytes(digest, "little") % (CODES - 1) + 1


class Words(dict[Hashable, int]):
    """Rows and codes of one field's words, made at their first use; `None` is zeros, and 0."""

    def __init__(self, field: str, width: int, limit: int) -> None:
        super().__init__()
        self._field, self.width, self._limit = field, width, limit
        self._table = np.zeros((0, width + 1), np.float32)  # the last column: codes
        self._clear()

    def __missing__(self, word: str | float) -> int:
        text = word if isinstance(word, str) else repr(float(word))
        place = len(self)
        if place == len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._table[place, :-1] = projected_row(f"{self._field}={text}", self.width)
        self._table[place, -1] = word_code(f"{self._field}={text}")
        self[word] = place
        return place

    def _clear(self) -> None:
        self.clear()
        self[None] = 0
        self._table = np.zeros((64, self.width + 1), np.float32)

    def rows(self, words: Sequence[Hashable]) -> NDArray[np.float32]:
        """Give a row for each word."""
        return self.coded(words)[:, :-1]

    def coded(self, words: Sequence[Hashable]) -> NDArray[np.float32]:
        """Give a row for each word, and its code behind; shape (words, width + 1).

        The memo starts anew when it has outgrown its limit.
        """
        if len(self) > self._limit:
            self._clear()
        places = [self[word] for word in words]
        return self._table.take(places, axis=0)
