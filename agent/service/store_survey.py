"""Looks through the checkpoints of a store without changing them: which there are, and whole."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from agent.service.snapshot import CheckpointError, DamagedError, Json, unpacked
from agent.service.store import ALL, FOLDER, NAME, Options, Place, is_url, local
from agent.service.store_open import open_place, shards
from agent.service.store_read import GoneError, body_at, ordered, state_at


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found of one checkpoint.

    Args:
        shard: whose it is.
        name: what it is called.
        path: its path or URL.
        body: its manifest's body (format, created, bytes, settings, meta); empty where that is
            damaged.
        why: what is wrong with it; empty where it is whole.
    """

    shard: str
    name: str
    path: str
    body: Json
    why: str

    @property
    def whole(self) -> bool:
        """Whether both files are as they were written."""
        return not self.why


def survey(
    folder: str | Path, options: Options | None = None, shard: str | None = None
) -> Iterator[Examined]:
    """Examine every checkpoint of a store, or of one shard: oldest first, shard by shard.

    Those that are removed meanwhile are left out.

    Raises:
        CheckpointError: the store cannot be read.
    """
    for one in shards(folder, options) if shard is None else [shard]:
        place = open_place(folder, one, options)
        try:
            for name in ordered(place, place.listing().names):
                with suppress(GoneError):
                    yield _examined(place, one, name)
        except OSError as error:
            raise _unread(place, error) from error


def examine(path: str | Path, options: Options | None = None) -> Examined:
    """Examine the checkpoint of that path or URL.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    place, shard, name = _one(path, options)
    try:
        return _examined(place, shard, name)
    except OSError as error:
        raise _unread(place, error) from error
    except GoneError as error:
        raise CheckpointError(f"there is no checkpoint {path}; see what is beside it") from error


def content(
    path: str | Path, options: Options | None = None
) -> tuple[dict[str, Tensor | NDArray[Any]], Json]:
    """Give the arrays and the manifest's body of the checkpoint of that path or URL.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is damaged.
    """
    place, _, name = _one(path, options)
    try:
        body = body_at(place, name)
        return unpacked(body, state_at(place, name, body)), body
    except DamagedError as error:
        raise CheckpointError(f"{path} is damaged: {error}; take another") from error
    except OSError as error:
        raise _unread(place, error) from error
    except GoneError as error:
        raise CheckpointError(f"there is no checkpoint {path}; see what is beside it") from error


def is_checkpoint(path: str | Path) -> bool:
    """Say whether the last part of a path or URL is a checkpoint's name.

    >>> is_checkpoint("s3://bucket/fraud/shard-0007/checkpoint-000000000042-1a2b3c4d")
    True
    """
    return NAME.fullmatch(_parts(path)[1]) is not None


def _parts(path: str | Path) -> tuple[str, str]:
    text = (str(path) if is_url(path) else str(local(path).absolute())).rstrip("/")
    folder, _, name = text.rpartition("/")
    return folder, name


def _one(path: str | Path, options: Options | None) -> tuple[Place, str, str]:
    """Give the place, the shard and the name that a path says."""
    folder, name = _parts(path)
    if not NAME.fullmatch(name):
        raise CheckpointError(f"{path} is no checkpoint; give one, as checkpoint-000000000042-...")
    outer, _, last = folder.rpartition("/")
    found = FOLDER.fullmatch(last)
    shard = found[1] if found else ALL
    return open_place(outer if found else folder, shard, options), shard, name


def _examined(place: Place, shard: str, name: str) -> Examined:
    body: Json = {}
    try:
        body = body_at(place, name)
        state_at(place, name, body)
    except DamagedError as error:
        return Examined(shard, name, place.path(name), body, str(error))
    return Examined(shard, name, place.path(name), body, "")


def _unread(place: Place, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"the checkpoints in {place.path()} cannot be read: {error}; {place.unread}"
    )
