"""Checkpoints: one snapshot of all that changes, atomic where it lies, checked when read.

`store` says where they lie, `snapshot` what is in one.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

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
    pack,
    unpacked,
)
from agent.service.store import ALL, Listing, Options, named, number
from agent.service.store_open import check_folder, open_place
from agent.service.store_read import GoneError, body_at, ordered, state_at

Found: TypeAlias = tuple[dict[str, Tensor | NDArray[Any]], Json]
Accept: TypeAlias = Callable[[Json], bool]
LOOKS: Final = 10  # times that a checkpoint may be gone while it is read

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Where snapshots go, and how often.

    Args:
        folder: the folder that holds them, made if need be; or the URL of a store of objects, as
            "s3://bucket/prefix" or "gs://bucket/prefix".
        every_records: records between two snapshots.
        every_seconds: seconds after which one is taken in any case, if there was a record.
        keep: how many are kept, of each shard.
        options: for a URL, what its fsspec client takes, as endpoint_url; never a secret.
    """

    folder: str = "checkpoints"
    every_records: int = 100_000
    every_seconds: float = 30.0
    keep: int = 3
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_folder(str(self.folder), self.options)
        if self.every_records < 1:
            raise ValueError(f"every_records is {self.every_records}; give 1 or more")
        if not self.every_seconds > 0:
            raise ValueError(f"every_seconds is {self.every_seconds}; give more than 0 seconds")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; give 1 or more (2 outlive a damaged disk)")


@dataclass(frozen=True, slots=True)
class Saved:
    """A durable checkpoint: name, path or URL, bytes, when begun (Unix), how long it took."""

    name: str
    path: str
    bytes: int
    created: float
    seconds: float


class CheckpointStore:
    """The checkpoints of one shard, for one writer at a time.

    Where two write for a moment (one has lost the shard and does not know yet), neither harms what
    the other writes: a writer removes its own ones, and those that were there when it began.

    Args:
        folder: where they are: a folder, or the URL of a store of objects.
        keep: how many are kept.
        fingerprint: the settings that must be the same when one is loaded, by path.
        clock: Unix seconds; told to people, never reckoned with.
        shard: whose they are; "all" lies directly in the folder, "0007" under `shard-0007`.
        options: what the client of a store of objects takes.
        monotonic: seconds, for how long a write takes.

    Raises:
        CheckpointError: no such store is known, or its package is missing.
    """

    def __init__(
        self,
        folder: str | Path,
        keep: int,
        fingerprint: Flat,
        clock: Callable[[], float],
        shard: str = ALL,
        options: Options | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shard: Final = shard
        self._place = open_place(folder, shard, options)
        self._keep, self._fingerprint = keep, fingerprint
        self._clock, self._monotonic = clock, monotonic
        self._began: Listing | None = None  # what was there when this writer began
        self._own: set[str] = set()
        self._others: set[str] = set()
        self._passed: set[str] = set()  # not loaded: damaged, or refused
        self._loaded: Saved | None = None

    @property
    def path(self) -> str:
        """The path or URL of this shard's checkpoints."""
        return self._place.path()

    @property
    def loaded(self) -> Saved | None:
        """What was loaded last; its seconds are not known."""
        return self._loaded

    def names(self) -> list[str]:
        """Give the checkpoints there are, oldest first, whole or not. Raises `OSError`."""
        return ordered(self._place, self._place.listing().names)

    def save(self, arrays: Arrays, meta: Json) -> Saved:
        """Write a checkpoint; when this returns, it is durable. Raises `CheckpointError`."""
        return self.write(Photograph.take(arrays, meta))

    def write(self, photograph: Photograph) -> Saved:
        """Write a photograph, from any thread; it is used up. Raises `CheckpointError`."""
        created, begun = self._clock(), self._monotonic()
        try:
            name, size = self._write(photograph, created)
        except OSError as error:
            raise CheckpointError(
                f"cannot write a checkpoint to {self.path}: {error}; {self._place.remedy}. The"
                " ones before it are whole"
            ) from error
        self._prune()
        seconds = self._monotonic() - begun
        return Saved(name, self._place.path(name), size, created, seconds)

    def load(self, accept: Accept | None = None) -> Found | None:
        """Give the newest whole checkpoint that is accepted; None where there never was one.

        Args:
            accept: says of a checkpoint's meta whether it will do; where not, the one before it is
                tried.

        Raises:
            CheckpointError: there are some but none is whole and accepted; they cannot be reached;
                or the newest of them was made with other settings or by another version.
        """
        try:
            for _ in range(LOOKS):
                try:
                    return self._load(accept)
                except GoneError:  # its writer has newer ones: look again
                    continue
        except OSError as error:
            raise CheckpointError(
                f"the checkpoints in {self.path} cannot be read: {error}; {self._place.unread}"
            ) from error
        raise CheckpointError(
            f"the checkpoints in {self.path} go away while they are read; see what else removes"
            " them"
        )

    def _load(self, accept: Accept | None) -> Found | None:
        self._began, self._passed = self._place.listing(), set()
        for name in reversed(ordered(self._place, self._began.names)):
            found = self._sound(name, accept)
            if found is None:
                self._passed.add(name)
                continue
            body, state = found
            path = self._place.path(name)
            _check_settings(path, body, self._fingerprint)
            self._loaded = Saved(name, path, len(state), body["created"], 0.0)
            return unpacked(body, state), body["meta"]
        if self._passed:
            raise CheckpointError(
                f"none of the {len(self._passed)} checkpoints in {self.path} is whole"
                f"{'' if accept is None else ' and will do'}; bring back a copy, or move them away"
                " to start anew"
            )
        return None

    def _sound(self, name: str, accept: Accept | None) -> tuple[Json, bytes] | None:
        """Read and check one; None where it is damaged or refused, which is logged."""
        path = self._place.path(name)
        try:
            body = body_at(self._place, name)
            _check_format(path, body)
            if accept is None or accept(body["meta"]):
                return body, state_at(self._place, name, body)
        except DamagedError as error:  # `why` says all that a trace would
            log.error("checkpoint damaged, trying the one before", path=path, why=str(error))
        else:
            log.warning("checkpoint will not do, trying the one before", path=path)
        return None

    def _write(self, photograph: Photograph, created: float) -> tuple[str, int]:
        there = self._place.listing()
        began = self._began = self._began or there
        self._tell_of_others(there)
        self._own &= {*there.names, *there.unfinished}
        unfinished = self._own.union(began.unfinished).intersection(there.unfinished)
        self._place.sweep(unfinished)
        name = named(1 + max(map(number, (*there.names, *there.unfinished)), default=0))
        state, manifest = pack(photograph, self._fingerprint, created)
        photograph.tensors.clear()  # the bytes are enough: one copy less while they travel
        self._own.add(name)
        self._place.write(name, state, manifest)
        return name, len(state) + len(manifest)

    def _prune(self) -> None:
        """Remove what is older than the newest `keep`; what was not loaded counts as none."""
        began = self._began or Listing()
        try:
            mine = self._own.union(began.names).intersection(self._place.listing().names)
            old = ordered(self._place, mine)
            whole = [name for name in old if name not in self._passed]
            for name in old[: old.index(whole[-self._keep])] if len(whole) > self._keep else ():
                self._place.remove(name)
        except OSError as error:
            log.warning("old checkpoints stay", path=self.path, why=str(error))

    def _tell_of_others(self, there: Listing) -> None:
        """Log once that somebody else writes here too, for each of theirs."""
        began = self._began or there
        known = {*self._own, *self._others, *began.names, *began.unfinished}
        new = {*there.names, *there.unfinished} - known
        if new:
            self._others |= new
            log.warning(
                "another writer is at the same checkpoints; for a moment while a partition moves"
                " that is harmless, else give each daemon a folder of its own",
                path=self.path,
                names=sorted(new),
            )


def _check_format(path: str, body: Json) -> None:
    if body["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {body['format']}, this version reads {FORMAT}; run the version"
            " that wrote it, or give another folder to start anew"
        )


def _check_settings(path: str, body: Json, fingerprint: Flat) -> None:
    """Refuse what was made with other settings, naming what differs."""
    then, now = body["settings"], dict(fingerprint)
    differing = [
        f"{key}: {_said(then, key)} in the checkpoint, {_said(now, key)} now"
        for key in sorted(then.keys() | now.keys())
        if _said(then, key) != _said(now, key)
    ]
    if differing:
        raise CheckpointError(
            f"{path} was made with other settings ({'; '.join(differing)}); set them back, or give"
            " another folder to start anew"
        )


def _said(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "absent"
