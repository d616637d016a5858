"""Records from CSV (RFC 4180: quoted cells may hold delimiters, doubled quotes and line ends)."""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from streams.codec import not_text, oversize
from streams.lines import Lines
from streams.records import Event, Label, Record, Refused
from streams.source import SourceError

Read: TypeAlias = Callable[[Sequence[str], str, float, bytes], Event | Label | Refused]
Row: TypeAlias = tuple[int, "list[str] | Refused", bytes]
"""The number of its first line, its cells, and its bytes as they came."""

DELIMITERS = ",;\t|"


class CsvRows:
    """An iterator over the rows of a CSV file whose first row is its header.

    Blank lines are skipped. A row that is no UTF-8, or whose quotes do not close within
    `max_bytes`, is refused; after an unclosed quote reading goes on with the next line.

    Args:
        path: the file, plain or gzip; `SourceError` if it has no header.
        delimiter: what divides cells; None takes the one that is most frequent in the header.
        max_bytes: a row longer than that is refused.
    """

    def __init__(self, path: Path, delimiter: str | None, max_bytes: int) -> None:
        self.lines = Lines(path, max_bytes + 2)  # and a line's end
        self._name = path.name
        self._most = max_bytes
        self._delimiter = delimiter or self._guess()
        self._rows = self._read()
        self.header = self._head()

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _guess(self) -> str:
        first = next(self.lines, b"")
        self.lines.give_back([first] if first else [])
        return max(DELIMITERS, key=lambda one: first.count(one.encode()))

    def _head(self) -> list[str]:
        row = next(self._rows, None)
        if row is None or isinstance(row[1], Refused):
            self.lines.close()
            why = "it is empty" if row is None else f"its header cannot be read ({row[1].detail})"  # type: ignore[union-attr]  # mypy keeps the tuple's union
            raise self.lines.fault or SourceError(
                f"{self.lines.path}: {why}; the first line must name the columns"
            )
        return [name.strip() for name in row[1]]

    def _read(self) -> Iterator[Row]:
        delimiter, lines = self._delimiter, self.lines
        for raw in lines:
            number = lines.number
            if b'"' in raw:
                yield self._quoted(raw)
                continue
            line = raw.rstrip(b"\r\n")
            try:
                cells = line.decode().split(delimiter)
            except UnicodeDecodeError as error:
                yield number, not_text(error, line, f"{self._name}:{number}"), line
                continue
            if line:
                yield number, cells, line

    def _quoted(self, first: bytes) -> Row:
        number, taken = self.lines.number, [first]
        if len(first) > self._most + 2:
            return number, oversize(first, f"{self._name}:{number}", self._most), first
        try:
            cells = next(csv.reader(self._feed(taken), delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            self.lines.give_back(taken[1:])
            detail = f"{error}; close every quote, double those inside a quoted cell"
            raw = first.rstrip(b"\r\n")
            return number, Refused("undecodable", detail, f"{self._name}:{number}", raw), raw
        raw = b"".join(taken).rstrip(b"\r\n")
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return number, not_text(error, raw, f"{self._name}:{number}"), raw
        return number, cells, raw

    def _feed(self, taken: list[bytes]) -> Iterator[str]:
        yield taken[0].decode(errors="surrogateescape")
        size = len(taken[0])
        for raw in self.lines:
            taken.append(raw)
            size += len(raw)
            if size > self._most + 2:
                raise csv.Error(f"a quoted cell goes on beyond {self._most} bytes")
            yield raw.decode(errors="surrogateescape")


class CsvFile:
    """An iterator over the records of a CSV file, from record number `start` on.

    Args:
        rows: the file's rows.
        read: makes a record of a row's cells.
        start: records to skip; `SourceError` if the file has fewer.
    """

    def __init__(self, rows: CsvRows, read: Read, start: int) -> None:
        self.lines = rows.lines
        self._rows, self._read, self._start = iter(rows), read, start
        self._records = self._run(rows.lines.path.name)
        skip(self._rows, start, self.lines)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def _run(self, name: str) -> Iterator[Record]:
        read, count = self._read, self._start
        for number, cells, raw in self._rows:
            if isinstance(cells, list):
                yield read(cells, f"{name}:{number}", float(count), raw)
            else:
                yield cells
            count += 1


def skip(rows: Iterator[object], start: int, lines: Lines) -> None:
    """Pass over the first `start` rows; `SourceError` if there are fewer."""
    seen = deque(enumerate(islice(rows, start), 1), maxlen=1)
    if start and (not seen or seen[0][0] < start):
        lines.close()
        raise lines.fault or SourceError(
            f"{lines.path}: fewer than {start} records; "
            "it is not the file that the checkpoint was made on: restore it or start anew"
        )
