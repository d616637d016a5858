"""Checkpoints in a folder: written under a temporary name, forced to disk, then renamed.

A checkpoint is there whole or not at all. While it is written its first file is locked, and the
kernel lets go of a lock when its process ends: so what a dead process left is told from what a
living one is writing, without a clock.
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from typing_extensions import override

from agent.service.snapshot import DamagedError
from agent.service.store import MANIFEST, NAME, STATE, Listing, Place

LEFTOVER: Final = ".unfinished-"
TRIES: Final = 8  # times that a sweep may come between two system calls


class FolderPlace(Place):
    """The checkpoints of one shard in a folder, made if need be."""

    remedy = "make room or give another folder"
    unread = "see that it is a folder that this user may read, or give another"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def path(self, name: str = "") -> str:
        return str(self._folder / name)

    @override
    def folders(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return []

    @override
    def listing(self) -> Listing:
        there = self.folders()
        unfinished = (one.removeprefix(LEFTOVER) for one in there if one.startswith(LEFTOVER))
        return Listing(tuple(filter(NAME.fullmatch, there)), tuple(unfinished))

    @override
    def read(self, name: str, file: str) -> bytes:
        try:
            return (self._folder / name / file).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedError(f"unreadable: {error}") from error

    @override
    def write(self, name: str, state: bytes, manifest: bytes) -> None:
        self._make()
        unfinished = self._folder / f"{LEFTOVER}{name}"
        with _held(unfinished) as file:
            try:
                _force(file, state)
                with (unfinished / MANIFEST).open("wb") as second:
                    _force(second, manifest)
                _sync(unfinished)
                unfinished.rename(self._folder / name)
                _sync(self._folder)
            except OSError:
                _discard(unfinished)
                raise

    @override
    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            unfinished = (self._folder / name).rename(self._folder / f"{LEFTOVER}{name}")
            _discard(unfinished)

    @override
    def sweep(self, leftover: Collection[str]) -> None:
        for path in self._folder.glob(f"{LEFTOVER}*"):
            _sweep(path)

    def _make(self) -> None:
        """Make the folder, so that its name is durable too."""
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            _sync(self._folder.parent)


@contextmanager
def _held(unfinished: Path) -> Iterator[BinaryIO]:
    """Make a folder with its first file, locked: no sweep takes it away."""
    with _first(unfinished) as file:
        yield file


def _first(unfinished: Path) -> BinaryIO:
    for _ in range(TRIES):
        unfinished.mkdir(exist_ok=True)
        try:
            file = (unfinished / STATE).open("xb")
        except FileNotFoundError:  # swept as an empty folder
            continue
        with suppress(OSError):  # a file system without locks: nothing is swept there either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept before it was locked
    raise OSError(f"{unfinished} is taken away again and again")


def _sweep(path: Path) -> None:
    """Remove it unless it is being written."""
    try:
        with (path / STATE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _discard(path)
    except FileNotFoundError:
        with suppress(OSError):
            path.rmdir()
    except OSError:  # it is being written, or this file system knows no locks
        return


def _discard(path: Path) -> None:
    """Remove a folder, its first file last: without that it is empty."""
    with suppress(OSError):
        others = [one for one in path.iterdir() if one.name != STATE]
        for one in (*others, path / STATE):
            one.unlink(missing_ok=True)
        path.rmdir()


def _force(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
