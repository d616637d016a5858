"""Checkpoints: one snapshot of all that changes, atomic on disk, checked when read.

A checkpoint is a folder, checkpoint-000000000042, with the two files of `snapshot`. It is written
under a temporary name, forced to disk, then renamed: it is there whole or not at all.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from numpy.typing import NDArray
from torch import Tensor

from agent.service.snapshot import (
    FORMAT,
    Arrays,
    CheckpointError,
    DamagedError,
    Flat,
    Json,
    Photograph,
    opened,
    pack,
    unpacked,
)

STATE: Final = "state.safetensors"
MANIFEST: Final = "manifest.json"
NAME: Final = re.compile(r"checkpoint-(\d{12})")
LEFTOVER: Final = ".unfinished-"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Where snapshots go, and how often.

    Args:
        folder: the folder that holds them; made if need be.
        every_records: records between two snapshots.
        every_seconds: seconds after which one is taken in any case, if there was a record.
        keep: how many are kept.
    """

    folder: Path = Path("checkpoints")
    every_records: int = 100_000
    every_seconds: float = 30.0
    keep: int = 3

    def __post_init__(self) -> None:
        if self.every_records < 1:
            raise ValueError(f"every_records is {self.every_records}; give 1 or more")
        if not self.every_seconds > 0:
            raise ValueError(f"every_seconds is {self.every_seconds}; give more than 0 seconds")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; give 1 or more (2 outlive a damaged disk)")


@dataclass(frozen=True, slots=True)
class Saved:
    """A durable checkpoint: where, its bytes, when it was begun (Unix), how long it took."""

    path: Path
    bytes: int
    created: float
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """The checkpoints of one folder, for one writer.

    Args:
        folder: where they are.
        keep: how many are kept.
        fingerprint: the settings that must be the same when it is loaded, by path.
        clock: Unix seconds.
    """

    folder: Path
    keep: int
    fingerprint: Flat
    clock: Callable[[], float]
    _damaged: set[Path] = field(default_factory=set)
    _loaded: list[Saved] = field(default_factory=list)

    def save(self, arrays: Arrays, meta: Json) -> Saved:
        """Write a checkpoint; when this returns, it is durable. Raises `CheckpointError`."""
        return self.write(Photograph.take(arrays, meta))

    def write(self, photograph: Photograph) -> Saved:
        """Write a photograph, from any thread. Raises `CheckpointError`."""
        created = self.clock()
        try:
            path, size = self._write(photograph, created)
        except OSError as error:
            self._sweep()
            raise CheckpointError(
                f"cannot write a checkpoint to {self.folder}: {error}; make room or give another"
                " folder. The ones before it are whole"
            ) from error
        self._prune()
        return Saved(path, size, created, self.clock() - created)

    def load(self) -> tuple[dict[str, Tensor | NDArray[Any]], Json] | None:
        """Give the newest whole checkpoint; None where there never was one.

        Raises `CheckpointError` if there are some but none is whole, or if the newest whole one
        was made with other settings or by a later version.
        """
        found = self.paths()
        for path in reversed(found):
            try:
                state = _bytes(path / STATE)
                body = opened(_bytes(path / MANIFEST), state)
                self._check(path, body)
                self._loaded.append(Saved(path, len(state), body["created"], 0.0))
                return unpacked(body, state), body["meta"]
            except DamagedError as error:
                self._damaged.add(path)
                log.error(  # `why` says all that a trace would
                    "checkpoint damaged, trying the one before", path=str(path), why=str(error)
                )
        if found:
            raise CheckpointError(
                f"none of the {len(found)} checkpoints in {self.folder} is whole; bring back a"
                " copy, or move them away to start anew"
            )
        return None

    @property
    def loaded(self) -> Saved | None:
        """What was loaded last; its seconds are not known."""
        return self._loaded[-1] if self._loaded else None

    def paths(self) -> list[Path]:
        """Give the checkpoints there are, oldest first, whole or not."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if NAME.fullmatch(path.name))

    def _check(self, path: Path, body: Json) -> None:
        """Refuse what was made with other settings, naming what differs."""
        if body["format"] != FORMAT:
            raise CheckpointError(
                f"{path} has format {body['format']}, this version reads {FORMAT}; run the version"
                " that wrote it, or give another folder to start anew"
            )
        then, now = body["settings"], dict(self.fingerprint)
        differing = [
            f"{key}: {_said(then, key)} in the checkpoint, {_said(now, key)} now"
            for key in sorted(then.keys() | now.keys())
            if _said(then, key) != _said(now, key)
        ]
        if differing:
            raise CheckpointError(
                f"{path} was made with other settings ({'; '.join(differing)}); set them back, or"
                " give another folder to start anew"
            )

    def _write(self, photograph: Photograph, created: float) -> tuple[Path, int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        last = max((int(path.name[-12:]) for path in self.paths()), default=0)
        path = self.folder / f"checkpoint-{last + 1:012d}"
        unfinished = self.folder / f"{LEFTOVER}{path.name}"
        unfinished.mkdir()
        state, manifest = pack(photograph, self.fingerprint, created)
        _durable(unfinished / STATE, state)
        _durable(unfinished / MANIFEST, manifest)
        _sync_folder(unfinished)
        unfinished.rename(path)
        _sync_folder(self.folder)
        return path, len(state) + len(manifest)

    def _prune(self) -> None:
        """Remove all but the newest; those that were found damaged are not counted as kept."""
        whole = [path for path in self.paths() if path not in self._damaged]
        try:
            for path in whole[: -self.keep]:
                path.rename(self.folder / f"{LEFTOVER}{path.name}")
            self._sweep()
        except OSError as error:
            log.warning("old checkpoints stay", folder=str(self.folder), why=str(error))

    def _sweep(self) -> None:
        """Remove what was not finished."""
        for path in self.folder.glob(f"{LEFTOVER}*"):
            shutil.rmtree(path, ignore_errors=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"unreadable: {error}") from error


def _said(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "absent"


def _durable(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
