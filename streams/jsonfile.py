"""Records from JSON lines: one JSON object a line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from streams.csvfile import skip
from streams.lines import Lines
from streams.records import Event, Label, Record, Refused

Read: TypeAlias = Callable[[bytes, str, float], Event | Label | Refused]


class JsonFile:
    """An iterator over the records of a JSON lines file, from record number `start` on.

    Blank lines are skipped.

    Args:
        path: the file, plain or gzip.
        read: makes a record of a line.
        max_bytes: what `read` takes at most; longer lines are refused.
        start: records to skip; `SourceError` if the file has fewer.
    """

    def __init__(self, path: Path, read: Read, max_bytes: int, start: int) -> None:
        self.lines = Lines(path, max_bytes + 2)
        self._read, self._start = read, start
        self._rows = (line for line in self.lines if not line.isspace())
        self._records = self._run(path.name)
        skip(self._rows, start, self.lines)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def _run(self, name: str) -> Iterator[Record]:
        read, lines, count = self._read, self.lines, self._start
        for line in self._rows:
            yield read(line.rstrip(b"\r\n"), f"{name}:{lines.number}", float(count))
            count += 1
