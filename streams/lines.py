"""The lines of a file as bytes, plain or gzip, in bounded memory."""

import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from streams.source import SourceError

BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"


class Lines:
    """An iterator over a file's lines, each with its end; its first bytes tell whether it is gzip.

    Of a line longer than `longest` bytes only the first `longest + 1` are given. A fault in the
    middle (a damaged gzip, a lost disk) ends the iteration and stands in `fault`.

    Args:
        path: the file; `SourceError` if it cannot be opened.
        longest: bytes of a line that are kept.
    """

    def __init__(self, path: Path, longest: int) -> None:
        self.path = path
        self.number = 0  # of the line given last, from 1
        self.fault: SourceError | None = None
        self._longest = longest
        self._back: deque[bytes] = deque()
        try:
            self._bottom = path.open("rb")
            self._size = max(1, path.stat().st_size)
        except OSError as error:
            raise unreadable(path, error) from error
        self._file = _unpacked(self._bottom)
        self._skip_mark()

    def _skip_mark(self) -> None:
        try:
            if self._file.peek(3)[:3] == BOM:
                self._file.read(3)
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise unreadable(self.path, error) from error

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> bytes:
        line = self._back.popleft() if self._back else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def _read(self) -> bytes:
        if self.fault is not None:
            return b""
        try:
            line = self._file.readline(self._longest + 1)
            if len(line) > self._longest:
                self._drop_rest(line)
        except (OSError, EOFError, zlib.error) as error:
            self.fault = unreadable(self.path, error)
            return b""
        return line

    def _drop_rest(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(self._longest + 1)

    def give_back(self, lines: Iterable[bytes]) -> None:
        """Take back the lines given last; they come again, in this order."""
        again = list(lines)
        self._back.extendleft(reversed(again))
        self.number -= len(again)

    def progress(self) -> float:
        """Give the share of the file's bytes that were read, 0 to 1."""
        return 1.0 if self._bottom.closed else min(1.0, self._bottom.tell() / self._size)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()
        self._bottom.close()


def _unpacked(file: io.BufferedReader) -> io.BufferedReader:
    if file.peek(2)[:2] != GZIP:
        return file
    packed = gzip.GzipFile(fileobj=file)
    return io.BufferedReader(packed, 1 << 17)


def unreadable(path: Path, error: Exception) -> SourceError:
    """Say that a file cannot be read, why, and what to do."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceError(f"{path}: {why}; check that it is there, whole, and may be read")
