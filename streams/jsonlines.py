"""A sink that writes JSON lines: predictions to one file, dead letters to another."""

import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TypeVar

from streams.codec import encode_prediction, encode_refused
from streams.records import Prediction, Refused
from streams.source import Position, SourceError

Given = TypeVar("Given")
BUFFER = 1 << 20  # bytes of a file that wait before they are written without being asked


class JsonLinesSink:
    """Appends one JSON object a line. `flush` makes it durable (fsync).

    `position` is the files' lengths in bytes, of all that was given; `seek` cuts them back to it,
    so that a resumed run repeats no answer. A last line that a crash cut short is ended when the
    file is opened, so that the next answer starts a line of its own. What a full disk does not
    take waits in memory for the next `flush`. Each file is locked while it is open: one writer.

    Args:
        predictions: the file of answers, made if need be.
        refused: the file of dead letters, made if need be.
    """

    def __init__(self, predictions: Path, refused: Path) -> None:
        if predictions == refused:
            raise ValueError(f"predictions and refused are both {refused}; take two files")
        self._files: dict[str, _Appended] = {}
        for name, path in (("predictions", predictions), ("refused", refused)):
            try:
                self._files[name] = _Appended(path)
            except OSError as error:
                self.close()
                raise _unwritable(path, error) from error
            except SourceError:
                self.close()
                raise

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Append these answers, in order."""
        self._append("predictions", predictions, encode_prediction)

    def refused(self, refused: Sequence[Refused]) -> None:
        """Append these dead letters, with their reason and their original bytes."""
        self._append("refused", refused, encode_refused)

    def _append(self, name: str, given: Sequence[Given], encode: Callable[[Given], bytes]) -> None:
        file = self._files[name]
        file.waiting += b"".join([encode(one) + b"\n" for one in given])
        if len(file.waiting) >= BUFFER:
            with suppress(OSError):  # it goes on waiting; `flush` is what tells
                file.write()

    def flush(self) -> None:
        """Write what waits and wait until it is on the disk."""
        for file in self._files.values():
            try:
                file.flush()
            except OSError as error:
                raise _unwritable(file.path, error) from error

    def position(self) -> Position:
        """Give the length of each file in bytes, what waits included."""
        return {name: file.length + len(file.waiting) for name, file in self._files.items()}

    def seek(self, position: Position) -> None:
        """Cut each file that `position` names back to that length.

        `SourceError` if one is shorter: it is not the file that was written.
        """
        for name, file in self._files.items():
            if name in position:
                file.cut(position[name])

    @property
    def recreations(self) -> int:
        """Nothing is ever made anew."""
        return 0

    def in_touch(self) -> float:
        """Say 0: files are here."""
        return 0.0

    def close(self) -> None:
        """Write what waits and close the files; safe to call twice."""
        for file in self._files.values():
            file.close()


class _Appended:
    """One file that is appended to: `length` bytes are in it, `waiting` are not yet."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.waiting = path, bytearray()
        self._file = FileIO(path, "a+")
        self._regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        try:
            self._lock()
            self.length = self._file.seek(0, os.SEEK_END) if self._regular else 0
            self._end_the_line()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if not self._regular:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceError(
                f"{self.path}: another process writes to it; stop that one, or take another file"
            ) from None

    def _end_the_line(self) -> None:
        if self.length:
            self._file.seek(-1, os.SEEK_END)
            self.waiting += b"" if self._file.read(1) == b"\n" else b"\n"

    def write(self) -> None:
        """Write what waits, as far as there is room."""
        while self.waiting:
            written = os.write(self._file.fileno(), self.waiting)
            self.length += written if self._regular else 0
            del self.waiting[:written]

    def flush(self) -> None:
        """Write what waits, onto the disk."""
        self.write()
        if self._regular:
            os.fsync(self._file.fileno())

    def cut(self, length: int) -> None:
        """Take back what was given after that length."""
        if self.length + len(self.waiting) < length:
            raise SourceError(
                f"{self.path}: {self.length} bytes, the checkpoint says {length}; "
                "it is not the file that was written: restore it or start anew"
            )
        try:
            if length > self.length:
                self.write()
            self.waiting.clear()
            if self._regular:
                self._file.truncate(length)
                self.length = length
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Write what waits and close; safe to call twice."""
        if not self._file.closed:
            with suppress(OSError):  # `flush` is what promises
                self.write()
            self._file.close()


def _unwritable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path}: {error.strerror}; check that it may be written, with room")
