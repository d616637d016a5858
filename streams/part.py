"""One file of records, CSV or JSON lines, and where it stands in it."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import islice
from math import isnan, nan
from pathlib import Path
from typing import Literal, TypeAlias

from streams.codec import Codec
from streams.csvfile import CsvFile, CsvRows
from streams.jsonfile import JsonFile
from streams.lines import Lines
from streams.records import Label, Record, Refused
from streams.source import SourceError

Format: TypeAlias = Literal["auto", "csv", "jsonl"]

_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def file_format(path: Path, wanted: Format = "auto") -> Literal["csv", "jsonl"]:
    """Say whether a file is CSV or JSON lines: by its name, else by its first byte."""
    if wanted != "auto":
        return wanted
    named = [_SUFFIXES[end] for end in path.suffixes[-2:] if end in _SUFFIXES]
    if named:
        return "csv" if named[-1] == "csv" else "jsonl"
    lines = Lines(path, 1)
    first = next(lines, b"")
    lines.close()
    return "jsonl" if first[:1] == b"{" else "csv"


class Part:
    """One file and where it stands: `given` records were given, `_head` was read but not given."""

    def __init__(
        self, path: Path, wanted: Format, delimiter: str | None, codec: Codec, *, labels: bool
    ) -> None:
        self.given = 0
        self.ended = False
        self._head: Record | None = None
        self._path, self._format, self._delimiter = path, wanted, delimiter
        self._codec, self._labels = codec, labels
        self._file = self._open(0)

    def _open(self, start: int) -> CsvFile | JsonFile:
        codec, most = self._codec, self._codec.schema.max_bytes
        if file_format(self._path, self._format) == "jsonl":
            read = _timely(codec) if self._labels else codec.event
            return JsonFile(self._path, read, most, start)
        rows = CsvRows(self._path, self._delimiter, most)
        try:
            bind = codec.label_rows if self._labels else codec.event_rows
            return CsvFile(rows, bind(rows.header), start)
        except KeyError as error:
            rows.lines.close()
            raise _no_column(self._path, str(error.args[0]), rows.header) from None

    def seek(self, start: int) -> None:
        """Open the file anew and pass over the first `start` records."""
        self.close()
        self._file = self._open(start)
        self.given, self.ended, self._head = start, False, None

    def head(self) -> Record | None:
        """Give the next record without taking it; None at the end."""
        if self._head is None and not self.ended:
            self._head = next(iter(self._file), None)
            if self._head is None:
                self._end()
        return self._head

    def at_end(self) -> bool:
        """Say whether all records were given; False where a fault stands before the end."""
        try:
            return self.head() is None
        except SourceError:
            return False

    def pop(self) -> None:
        """Take the record that `head` gave."""
        self.given += 1
        self._head = None

    def take(self, most: int) -> list[Record]:
        """Take up to `most` records; none at the end."""
        first = [] if self._head is None or most < 1 else [self._head]
        records = first + list(islice(self._file, most - len(first)))
        self._head = None if records else self._head
        self.given += len(records)
        if len(records) < most and not self.ended:
            self._end(silent=bool(records))
        return records

    def _end(self, *, silent: bool = False) -> None:
        fault = self._file.lines.fault
        if fault is None:
            self.ended = True
        elif not silent:  # else the records before the fault go first
            raise fault

    def progress(self) -> float:
        """Give the share of the file that was read."""
        return self._file.lines.progress()

    def close(self) -> None:
        """Close the file."""
        self._file.lines.close()


def _no_column(path: Path, name: str, header: Sequence[str]) -> SourceError:
    near = get_close_matches(name, header, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(header[:20])}"
    return SourceError(f"{path}: no column {name!r}; {hint}; check the schema and the delimiter")


def _timely(codec: Codec) -> Callable[[bytes, str, float], Label | Refused]:
    """Read labels; where the schema names a time, refuse those without: they have no place."""
    if codec.schema.label_time is None and codec.schema.time is None:
        return codec.label

    def read(raw: bytes, where: str, time: float) -> Label | Refused:  # noqa: ARG001  # a row number is no time
        found = codec.label(raw, where, nan)
        if isinstance(found, Label) and isnan(found.time):
            name = codec.schema.label_time or codec.schema.time
            detail = f"{name!r} is missing; a label in a file needs the time when it was known"
            return Refused("bad-time", detail, where, raw)
        return found

    return read
