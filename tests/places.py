"""Stores of checkpoints for tests: in memory, with scripted faults, on a small disk."""

import os
import subprocess
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typing_extensions import override

from agent.service.checkpoint import CheckpointStore
from agent.service.store import Listing, Place
from agent.service.store_objects import ObjectPlace

Hook = Callable[[str, str], None]
"""Told of a verb and what it is about, before it is done; it may wait or raise."""


@contextmanager
def in_memory() -> Iterator[str]:
    """Give the URL of a fresh store in memory; it is gone at the end."""
    url = f"memory://{uuid.uuid4().hex}/fraud"
    try:
        yield url
    finally:
        system, root = fsspec.url_to_fs(url.rpartition("/")[0])
        if system.exists(root):
            system.rm(root, recursive=True)


def objects(url: str) -> dict[str, bytes]:
    """Give all that a store in memory holds, by path in it."""
    system, root = fsspec.url_to_fs(url)
    return {path.removeprefix(f"{root}/"): system.cat_file(path) for path in system.find(root)}


class HookedPlace(Place):
    """A place that tells a hook what it is about to do."""

    def __init__(self, inner: Place, hook: Hook) -> None:
        self._inner, self._hook = inner, hook
        self.remedy, self.unread = inner.remedy, inner.unread

    @override
    def path(self, name: str = "") -> str:
        return self._inner.path(name)

    @override
    def folders(self) -> list[str]:
        self._hook("folders", "")
        return self._inner.folders()

    @override
    def listing(self) -> Listing:
        self._hook("listing", "")
        return self._inner.listing()

    @override
    def read(self, name: str, file: str) -> bytes:
        self._hook("read", f"{name}/{file}")
        return self._inner.read(name, file)

    @override
    def write(self, name: str, state: bytes, manifest: bytes) -> None:
        self._hook("write", name)
        self._inner.write(name, state, manifest)

    @override
    def remove(self, name: str) -> None:
        self._hook("remove", name)
        self._inner.remove(name)

    @override
    def sweep(self, leftover: Collection[str]) -> None:
        self._hook("sweep", "")
        self._inner.sweep(leftover)


def hook(store: CheckpointStore, told: Hook) -> CheckpointStore:
    """Let the hook be told of all that this store does to its place."""
    store._place = HookedPlace(store._place, told)
    return store


class HookedSystem:
    """A store's client, of fsspec, that tells a hook before it changes anything."""

    CHANGES = ("pipe_file", "rm_file")

    def __init__(self, system: Any, told: Hook) -> None:
        self._system, self._told = system, told

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._system, name)
        if name not in self.CHANGES:
            return real

        def call(path: str, *rest: Any) -> Any:
            self._told(name, path)
            return real(path, *rest)

        return call


def hook_client(store: CheckpointStore, told: Hook) -> CheckpointStore:
    """Let the hook be told before the client of a store of objects changes anything."""
    assert isinstance(store._place, ObjectPlace)
    store._place._system = HookedSystem(store._place._system, told)
    return store


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """Mount a disk of that size, in memory; skips where that is not allowed."""
    at.mkdir()
    if os.geteuid() or _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at):
        pytest.skip("a disk that is really full or read-only needs leave to mount one")
    try:
        yield at
    finally:
        subprocess.run(["/bin/umount", str(at)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def remount(disk: Path, how: str) -> None:
    """Mount a disk anew, as "ro" or "rw"."""
    assert _mount("-o", f"remount,{how}", disk) == 0


def _mount(*arguments: str | Path) -> int:
    command = ["/bin/mount", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True).returncode
