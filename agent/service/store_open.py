"""Opens the place of checkpoints that a path or a URL names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fsspec.registry import known_implementations

from agent.service.snapshot import CheckpointError
from agent.service.store import ALL, FOLDER, Options, Place, is_url, local, under
from agent.service.store_folder import FolderPlace
from agent.service.store_objects import open_objects

SECRET: Final = re.compile(
    r"(^|_)(key|secret|password|passphrase|token|credentials?)$|conn.*string"
)

SLASH: Final = re.compile(r"\w+:/(?!/)")


def check_folder(folder: str, options: Options) -> None:
    """Raise `ValueError` for settings that can name no place, or hold a secret."""
    if not folder:
        raise ValueError("folder is empty; give a path, or a URL as s3://bucket/prefix")
    if "::" in folder:
        raise ValueError(f"folder is {folder!r}, a chain of stores; give the last of them alone")
    if SLASH.match(folder):
        raise ValueError(f"folder is {folder!r}; a URL has two slashes, as s3://bucket/prefix")
    if is_url(folder):
        _check_url(folder)
    elif options:
        raise ValueError(f"options are given, but folder is {folder!r}, which takes none")
    for name in _names(options):
        if SECRET.search(name):
            raise ValueError(
                f"options.{name}: may be a secret; keep it out of the settings: the store's client"
                " reads it from the environment or from a file of its own"
            )


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if "@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]:
        raise ValueError(
            "folder holds a password; keep it out of the settings: the store's client reads it from"
            " the environment or from a file of its own"
        )
    if parts.scheme not in known_implementations:
        raise ValueError(
            f"folder is {url!r}, but no store is called {parts.scheme}; give a path, or a URL as"
            " s3://bucket/prefix"
        )
    if not parts.netloc + parts.path.strip("/"):
        raise ValueError(f"folder is {url!r}; name the bucket, as {parts.scheme}://bucket/prefix")


def _names(options: Options) -> list[str]:
    """Give the names of all options, those in tables too."""
    tables = [one for one in options.values() if isinstance(one, Mapping)]
    return [*options, *(name for table in tables for name in table)]


def open_place(folder: str | Path, shard: str = ALL, options: Options | None = None) -> Place:
    """Open the place of one shard's checkpoints; nothing is made or asked yet.

    Raises:
        CheckpointError: no such store or shard is known, or a package is missing.
    """
    inner = under(shard)
    if not is_url(folder):
        return FolderPlace(local(folder) / inner)
    url = f"{str(folder).rstrip('/')}/{inner}".rstrip("/")
    return open_objects(url, options or {})


def shards(folder: str | Path, options: Options | None = None) -> list[str]:
    """Give the shards that have checkpoints there: "all" first, then by number.

    Raises:
        CheckpointError: the store cannot be read.
    """
    place = open_place(folder, ALL, options)
    try:
        names = place.folders()
        found = {one[1] for name in names if (one := FOLDER.fullmatch(name))}
        held = [ALL, *sorted(found, key=lambda name: (int(name), name))]
        return [one for one in held if open_place(folder, one, options).listing().names]
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error}; {place.unread}") from error
