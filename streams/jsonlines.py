"""A sink that writes JSON lines: predictions to one file, dead letters to another."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from streams.codec import encode_prediction, encode_refused
from streams.records import Prediction, Refused
from streams.source import Position, SourceError

Given = TypeVar("Given")


class JsonLinesSink:
    """Appends one JSON object a line. `flush` makes it durable (fsync).

    `position` is the files' lengths in bytes, of all that was given; `seek` cuts them back to it,
    so that a resumed run repeats no answer. A last line that a crash cut short is ended when the
    file is opened, so that the next answer starts a line of its own.

    Args:
        predictions: the file of answers, made if need be.
        refused: the file of dead letters, made if need be.
    """

    def __init__(self, predictions: Path, refused: Path) -> None:
        self._files: dict[str, BinaryIO] = {}
        if predictions == refused:
            raise ValueError(f"predictions and refused are both {refused}; take two files")
        self._paths = {"predictions": predictions, "refused": refused}
        for name, path in self._paths.items():
            try:
                self._files[name] = _opened(path)
            except OSError as error:
                self.close()
                raise _unwritable(path, error) from error

    def predictions(self, predictions: Sequence[Prediction]) -> None:
        """Append these answers, in order."""
        self._append("predictions", predictions, encode_prediction)

    def refused(self, refused: Sequence[Refused]) -> None:
        """Append these dead letters, with their reason and their original bytes."""
        self._append("refused", refused, encode_refused)

    def _append(self, name: str, given: Sequence[Given], encode: Callable[[Given], bytes]) -> None:
        try:
            self._files[name].write(b"".join([encode(one) + b"\n" for one in given]))
        except OSError as error:
            raise _unwritable(self._paths[name], error) from error

    def flush(self) -> None:
        """Write what is buffered and wait until it is on the disk."""
        for name, file in self._files.items():
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(self._paths[name], error) from error

    def position(self) -> Position:
        """Give the length of each file in bytes."""
        return {name: file.tell() for name, file in self._files.items()}

    def seek(self, position: Position) -> None:
        """Cut each file that `position` names back to that length.

        `SourceError` if one is shorter: it is not the file that was written.
        """
        for name, file in self._files.items():
            if name in position:
                self._cut(self._paths[name], file, position[name])

    def _cut(self, path: Path, file: BinaryIO, length: int) -> None:
        if file.tell() < length:
            raise SourceError(
                f"{path}: {file.tell()} bytes, the checkpoint says {length}; "
                "it is not the file that was written: restore it or start anew"
            )
        try:
            file.truncate(length)
            file.seek(length)
        except OSError as error:
            raise _unwritable(path, error) from error

    def in_touch(self) -> float:
        """Say 0: files are here."""
        return 0.0

    def close(self) -> None:
        """Write what is buffered and close the files; safe to call twice."""
        for file in self._files.values():
            with suppress(OSError):  # `flush` is what promises
                file.close()


def _opened(path: Path) -> BinaryIO:
    """Open for appending; a last line that a crash cut short is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        file.write(b"" if file.read(1) == b"\n" else b"\n")
    return file


def _unwritable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path}: {error.strerror}; check that it may be written, with room")
