"""Signed feature hashing: any word, seen before or not, becomes a short fixed row.

Each word of a field has two places in the field's row, each +1 or -1 (Weinberger et al. 2009), by
BLAKE2, the same in every process. A memo of words keeps this fast; it holds no truth of its own.
"""

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def signed_row(text: str, width: int) -> NDArray[np.float32]:
    """Give the row of a text: two signed places (one where there is room for one only)."""
    row = np.zeros(width, np.float32)
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    first, second = (int.from_bytes(half, "little") for half in (digest[:8], digest[8:]))
    place = (first >> 1) % width
    row[place] = 1 - 2 * (first & 1)
    if width > 1:
        row[(place + 1 + (second >> 1) % (width - 1)) % width] = 1 - 2 * (second & 1)
    return row


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
        self._table[place] = signed_row(f"{self._field}={text}", self.width)
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
