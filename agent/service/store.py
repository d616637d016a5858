"""Where checkpoints lie: a folder, or a prefix in a store of objects; what both can do.

The checkpoints of shard "all" lie directly in it, those of shard 7 under `shard-0007`. Each is a
name, `checkpoint-000000000042-1a2b3c4d`, with the two files of `snapshot` under it. The number
orders them; the suffix keeps two writers apart that take the same number.
"""

import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from agent.service.snapshot import CheckpointError

Option: TypeAlias = str | int | float | bool
Options: TypeAlias = Mapping[str, Option | Mapping[str, Option]]

ALL: Final = "all"
STATE: Final = "state.safetensors"
MANIFEST: Final = "manifest.json"
NAME: Final = re.compile(r"checkpoint-(\d{12})(?:-[0-9a-f]{8})?")
SHARD: Final = re.compile(r"\d{4,}")
FOLDER: Final = re.compile(r"shard-(\d{4,})")


@dataclass(frozen=True, slots=True)
class Listing:
    """The checkpoints of a shard by name: those that were finished, and those that were not."""

    names: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


class Place(Protocol):
    """The checkpoints of one shard, as files under names.

    All methods raise `OSError` where the place cannot be used, and may be called from any thread.
    """

    remedy: str
    unread: str
    """What to do where it cannot be written to, and where it cannot be read."""

    def path(self, name: str = "") -> str:
        """Give the path or URL of a checkpoint; without a name, of the place."""
        ...

    def listing(self) -> Listing:
        """Give what is there; nothing where the place is not made yet."""
        ...

    def folders(self) -> list[str]:
        """Give the names that lie directly in it; none where the place is not made yet."""
        ...

    def read(self, name: str, file: str) -> bytes:
        """Read one of the two files.

        Raises:
            FileNotFoundError: it is not there, or no longer.
            DamagedError: it is there, and the disk cannot read it.
        """
        ...

    def write(self, name: str, state: bytes, manifest: bytes) -> None:
        """Write a checkpoint; on return it is durable. After a failure it is not there."""
        ...

    def remove(self, name: str) -> None:
        """Remove a checkpoint; one that is gone already is no error."""
        ...

    def sweep(self, leftover: Collection[str]) -> None:
        """Remove what was not finished, as far as nobody is writing it.

        Args:
            leftover: the unfinished ones that nobody of consequence can be writing any more, for
                a place that cannot tell by itself.
        """
        ...


def is_url(folder: str | Path) -> bool:
    """Say whether this names a store of objects rather than a folder."""
    return isinstance(folder, str) and "://" in folder and not folder.startswith("file://")


def local(folder: str | Path) -> Path:
    """Give the folder as a path; `~` and `file://` are understood."""
    return Path(str(folder).removeprefix("file://")).expanduser()


def under(shard: str) -> str:
    """Give the subfolder of a shard, empty for "all".

    >>> under("all"), under("0007")
    ('', 'shard-0007')

    Raises:
        CheckpointError: no shard is called so.
    """
    if shard == ALL:
        return ""
    if not SHARD.fullmatch(shard):
        raise CheckpointError(f'there is no shard "{shard}"; give "all", or a number as "0007"')
    return f"shard-{shard}"


def number(name: str) -> int:
    """Give the number in a checkpoint's name.

    >>> number("checkpoint-000000000042-1a2b3c4d")
    42
    """
    found = NAME.fullmatch(name)
    return int(found[1]) if found else 0


def named(count: int) -> str:
    """Give a fresh name with that number."""
    return f"checkpoint-{count:012d}-{uuid.uuid4().hex[:8]}"
