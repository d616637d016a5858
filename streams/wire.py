"""What a format is: from a record's bytes to the values of some fields."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from streams.source import SourceError
from streams.values import BadValueError, short

Slots: TypeAlias = Sequence[object]
"""The values of some fields in a fixed order, None where a record has none."""

Read: TypeAlias = Callable[[bytes], Slots]
"""Raises `BadValueError` for bytes that are refused, `LaterError` for those that have to wait."""

Topic: TypeAlias = Literal["events", "labels"]

DEEPEST: Final = 100
"""Lists and objects may lie in one another so deep: far from where decoders give up, since that
point depends on who calls them."""


class LaterError(SourceError):
    """These bytes cannot be read just now, through no fault of theirs: keep them and ask again."""


class Wire(Protocol):
    """A format of records on the wire."""

    def reader(self, names: Sequence[str], topic: Topic) -> Read:
        """Give what reads these fields from the bytes of one record of that topic."""
        ...

    def key(self, raw: bytes) -> str:
        """Give the text of a record's own key; never refuses. May raise `LaterError`."""
        ...

    def in_touch(self) -> float:
        """Seconds since when what is needed to read records does not answer; 0 while it does."""
        ...


def text_key(raw: bytes) -> str:
    """Read a key as text, whatever it is."""
    return raw.decode("utf-8", "replace")


def not_utf8(error: UnicodeDecodeError) -> BadValueError:
    """Refuse what is not UTF-8."""
    seen = short(error.object[error.start : error.end])
    return BadValueError("bad-encoding", f"{seen} is no UTF-8; send UTF-8 text")


def too_deep() -> BadValueError:
    """Refuse what lies in one another deeper than `DEEPEST`."""
    return BadValueError(
        "undecodable", f"lists or objects are nested more than {DEEPEST} deep; send flat records"
    )
