"""One daemon a folder: a lock that the kernel lets go of when the process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.service.snapshot import CheckpointError

NAME: Final = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, made if need be; the file `lock` in it names the process that does.

    Raises:
        CheckpointError: another process holds it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+")
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint folder {folder} cannot be used: {error.strerror}; give another folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise CheckpointError(
                f"the checkpoint folder {folder} is in use by process {holder}; stop it, or give"
                " another folder"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
