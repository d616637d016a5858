"""What the columns of a file hold, judged by its first rows."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from streams.cells import MISSING
from streams.csvfile import CsvRows
from streams.lines import Lines
from streams.part import file_format
from streams.schema import Kind
from streams.source import SourceError
from streams.values import BadValueError, iso

Found: TypeAlias = tuple[list[str], list[Sequence[Any]]]

ROWS: Final = 5_000
MOST_BYTES: Final = 65_536
FEW: Final = 20  # distinct numbers in a target that is taken for classes
ODD: Final = 3  # distinct words among numbers that are taken for "missing"
WORDY: Final = 3.0  # words in a text, on average, from which on it is read word by word
TIME_NAME: Final = re.compile(r"(^|_)(time|timestamp|datetime|date|ts|when)(_|$)", re.IGNORECASE)
ID_NAME: Final = re.compile(r"^(id|uuid|guid|(event|transaction|record|row)_?id)$", re.IGNORECASE)
NUMBERED: Final = re.compile(r"(^|_)(id|ID|code|zip)$|[a-z]I[dD]$")
UNIX: Final = (1e8, 1e14)  # seconds of 1973 to milliseconds of 5138


@dataclass(slots=True)
class Column:
    """What was seen of one column.

    `numbers` and `times` count the values that can be read so; `odd` are values among numbers that
    cannot; `ordered` says that its numbers or times never fall.
    """

    name: str
    values: int = 0
    numbers: int = 0
    times: int = 0
    texts: int = 0
    words: int = 0
    lists: int = 0
    whole: bool = True
    ordered: bool = True
    low: float = float("inf")
    high: float = float("-inf")
    last: float = float("-inf")
    distinct: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)

    def see(self, value: object) -> None:
        """Take one value, a CSV cell or a JSON value; what is missing counts for nothing."""
        if value is None or (isinstance(value, str) and value.strip() in MISSING):
            return
        self.values += 1
        if isinstance(value, list):
            self.lists += 1
            return
        self.distinct.add(str(value))
        number = _number(value)
        if number is not None:
            self.numbers += 1
            self.whole = self.whole and number.is_integer()
            self._place(number)
            return
        self.odd.add(str(value))
        self._text(str(value))

    def _text(self, value: str) -> None:
        self.texts += 1
        self.words += len(value.split())
        try:
            moment = iso(value)
        except BadValueError:
            return
        self.times += 1
        self._place(moment)

    def _place(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.ordered = self.ordered and value >= self.last
        self.last = value

    @property
    def all_numbers(self) -> bool:
        """Whether it holds numbers, but for a few words that mean "missing"."""
        rest = self.values - self.numbers
        return rest == 0 or (len(self.odd) <= ODD and self.numbers > rest and not self.lists)

    @property
    def unique(self) -> bool:
        """Whether no value came twice."""
        return self.values > 1 and len(self.distinct) == self.values

    def kind(self) -> tuple[Kind | None, str]:
        """Say what it is, and why; None to leave it out."""
        if not self.values:
            return None, "it is empty"
        if self.lists:
            return "tokens", "it holds lists"
        if self.all_numbers:
            return self._of_numbers()
        return self._of_texts()

    def _of_texts(self) -> tuple[Kind | None, str]:
        if self.times == self.values:
            return "time", "it holds dates"
        if self.texts and self.words / self.texts >= WORDY:
            return "tokens", f"{self.words / self.texts:.0f} words each"
        if self.unique:
            return None, "every value differs"
        return "categorical", f"{len(self.distinct)} different values"

    def _of_numbers(self) -> tuple[Kind | None, str]:
        unix = UNIX[0] <= self.low and self.high <= UNIX[1]
        if unix and TIME_NAME.search(self.name):
            return "time", "its name and its numbers say Unix time"
        if self.whole and NUMBERED.search(self.name):
            return "categorical", "whole numbers that name something, by its name"
        odd = f", {', '.join(sorted(self.odd))} taken for missing" if self.odd else ""
        return "numeric", f"numbers{odd}"


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # a str or a number; anything else raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number - number == 0 and "_" not in str(value) else None


def columns(path: Path, delimiter: str | None) -> dict[str, Column]:
    """Judge the columns by the first rows.

    Raises:
        SourceError: the file cannot be read, or holds no row that can be.
    """
    reader = _json if file_format(path) == "jsonl" else _csv
    found: dict[str, Column] = {}
    for row in islice(reader(path, delimiter), ROWS):
        for name, value in row.items():
            found.setdefault(name, Column(name)).see(value)
    if not found:
        raise SourceError(
            f"{path}: no row in it can be read; is it CSV with a header, or JSON lines?"
        )
    return found


def _csv(path: Path, delimiter: str | None) -> Iterator[dict[str, object]]:
    rows = CsvRows(path, delimiter, MOST_BYTES)
    try:
        for _, cells, _ in rows:
            if isinstance(cells, list) and len(cells) == len(rows.header):
                yield dict(zip(rows.header, cells, strict=True))
    finally:
        rows.lines.close()


def _json(path: Path, _: str | None) -> Iterator[dict[str, object]]:
    lines = Lines(path, MOST_BYTES)
    try:
        for line in lines:
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if isinstance(row, dict):
                yield row
    finally:
        lines.close()
