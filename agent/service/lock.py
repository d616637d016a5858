"""One daemon a folder: a lock that the kernel lets go of when the process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from agent.service.snapshot import CheckpointError
from agent.service.store import is_url, local

NAME: Final = "lock"


@contextmanager
def locked(folder: str | Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the folder, made if need be; the file `lock` in it names the process that does.

    A store of objects knows no locks: there nothing is held.

    Args:
        folder: the folder, or the URL of a store of objects.
        shared: hold it together with others that share it, as daemons of one consumer group do.

    Raises:
        CheckpointError: another process holds it, or nothing can be written there.
    """
    if is_url(folder):
        yield
        return
    path = local(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / NAME).open("a+")
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint folder {path} cannot be used: {error.strerror}; give another folder"
        ) from error
    with file:
        _hold(file, path, shared=shared)
        yield


def _hold(file: TextIO, path: Path, *, shared: bool) -> None:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read(20).strip() or "unknown"
        raise CheckpointError(
            f"the checkpoint folder {path} is in use by process {holder}; stop it, or give"
            " another folder"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
