"""Dead letters read back: what was refused, why, and which record of which topic it was."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from typing_extensions import override

from streams.codec import decode_refused
from streams.source import SourceError

NO_VALUE: Final = "no value, only a key"
"""How the detail begins where a record had no value: its letter holds the key."""

_PLACE = re.compile(r"(?P<topic>.+)\[(?P<partition>\d+)\]@(?P<offset>\d+)")


class Place(NamedTuple):
    """A record's place in a topic, written "events[3]@4711"."""

    topic: str
    partition: int
    offset: int

    @override
    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


def place_of(text: str) -> Place | None:
    """Read a place; None for any other text, such as a line of a file.

    >>> place_of("events[3]@4711")
    Place(topic='events', partition=3, offset=4711)
    >>> place_of("events.csv:17") is None
    True
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return Place(found["topic"], int(found["partition"]), int(found["offset"]))


class Letter(msgspec.Struct, frozen=True, gc=False):
    """A dead letter.

    Args:
        at: where it lies, "refused[0]@17" or "refused.jsonl:3".
        time: when it was written, Unix seconds; None where that is not known (a file).
        reason: why it was refused, in a word.
        detail: the same for a person.
        where: where the record stood that was refused.
        raw: its bytes; their beginning only where `raw` is shorter than `length`.
        length: how many bytes it had.
        put_back: an earlier requeue has put it back already.
    """

    at: str
    time: float | None
    reason: str
    detail: str
    where: str
    raw: bytes
    length: int
    put_back: bool = False

    @property
    def cut(self) -> bool:
        """Whether only the beginning of its bytes is there."""
        return len(self.raw) < self.length


def from_file(path: Path) -> Iterator[Letter]:
    """Read the letters of a file that `JsonLinesSink` wrote, a line at a time.

    Raises:
        SourceError: it cannot be read, or a line is no dead letter.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _of_line(line, f"{path}:{number}")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; name a file of dead letters") from error


def _of_line(line: bytes, at: str) -> Letter:
    try:
        found = decode_refused(line)
    except ValueError as error:  # msgspec's errors and base64's are of this kind
        raise SourceError(
            f"{at}: no dead letter ({error}); name the file of [sink.file] refused"
        ) from error
    return Letter(at, None, found.reason, found.detail, found.where, found.raw, len(found.raw))
