"""Feature hashing: any word, seen before or not, becomes a short fixed row.

Each word of a field has a direction of its own, drawn by SHAKE-128 from the field's and the word's
name, the same in every process: a random projection of the word's indicator (Achlioptas 2003). Two
words never share a row, and many are nearly orthogonal. Beside it each word has a code, a whole
number that float32 holds exactly, for learners that look words up. A memo keeps this fast; it holds
no truth.

Bags of words are hashed sparsely: a word adds +1 or -1 to one column of each quarter of its bag
(Kane and Nelson 2014, Sparser Johnson-Lindenstrauss transforms, the block construction), so that a
column still tells of few words.
"""

import math
from collections.abc import Hashable, Sequence
from hashlib import shake_128

import numpy as np
from numpy.typing import NDArray

CODES = 2**20
"""Codes of words lie under this; 0 is for none."""
MEMO_LENGTH = 64
"""Characters of a word in a memo, on average; a memo of longer ones holds fewer."""
PLACES = 4
"""Columns to which a word of a bag adds; fewer where the bag has fewer."""


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
        self._characters += len(text)
        if place == len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
        self._table[place, :-1] = projected_row(f"{self._field}={text}", self.width)
        self._table[place, -1] = word_code(f"{self._field}={text}")
        self[word] = place
        return place

    def _clear(self) -> None:
        self.clear()
        self._characters = 0
        self[None] = 0
        self._table = np.zeros((64, self.width + 1), np.float32)

    def rows(self, words: Sequence[Hashable]) -> NDArray[np.float32]:
        """Give a row for each word."""
        return self.coded(words)[:, :-1]

    def coded(self, words: Sequence[Hashable]) -> NDArray[np.float32]:
        """Give a row for each word, and its code behind; shape (words, width + 1).

        The memo starts anew when it has outgrown its limit.
        """
        if len(self) > self._limit or self._characters > MEMO_LENGTH * self._limit:
            self._clear()
        places = [self[word] for word in words]
        return self._table.take(places, axis=0)


class Bags(dict[Hashable, int]):
    """The bags of words of one field, hashed: word → its place in the memo."""

    def __init__(self, field: str, width: int, limit: int) -> None:
        super().__init__()
        self._field, self.width, self._limit = field, width, limit
        self._edges = np.linspace(0, width, min(PLACES, width) + 1).astype(np.int64)
        self._clear()

    def _clear(self) -> None:
        self.clear()
        self._characters = 0
        self._column = np.zeros((64, len(self._edges) - 1), np.int64)
        self._sign = np.zeros(self._column.shape)

    def __missing__(self, word: str | float) -> int:
        text = word if isinstance(word, str) else repr(float(word))
        place = len(self)
        self._characters += len(text)
        if place == len(self._column):
            self._column = np.concatenate((self._column, np.zeros_like(self._column)))
            self._sign = np.concatenate((self._sign, np.zeros_like(self._sign)))
        self._column[place], self._sign[place] = hashed(f"{self._field}={text}", self._edges)
        self[word] = place
        return place

    def rows(self, texts: Sequence[Sequence[Hashable]]) -> NDArray[np.float32]:
        """Sum each text's words and divide by the root of their number; shape (texts, width).

        A text of one word has squared length 2; one without words is zeros.
        """
        if len(self) > self._limit or self._characters > MEMO_LENGTH * self._limit:
            self._clear()
        places = [self[word] for text in texts for word in text]
        lengths = np.array([len(text) for text in texts])
        parts = self._column.shape[1]
        cells = np.repeat(np.arange(len(texts)), lengths)[:, None] * self.width
        cells = cells + self._column.take(places, axis=0)
        signs = self._sign.take(places, axis=0)
        # Whole numbers: the sums are exact, in whatever order.
        sums = np.bincount(cells.ravel(), signs.ravel(), len(texts) * self.width)
        size = math.sqrt(2 / parts) / np.sqrt(np.maximum(lengths, 1))
        bags: NDArray[np.float32] = sums.reshape(len(texts), self.width) * size[:, None]
        return bags.astype(np.float32)


def hashed(text: str, edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give a text's column in each range of columns between two edges, and its signs there."""
    digest = shake_128(text.encode("utf-8", "surrogatepass")).digest(8 * (len(edges) - 1))
    drawn = np.frombuffer(digest, "<u8")
    column = edges[:-1] + (drawn >> np.uint64(1)).astype(np.int64) % np.diff(edges)
    return column, np.where(drawn & np.uint64(1), 1.0, -1.0)
