"""Records as MessagePack: one map a record, read under the same rules as JSON."""

from collections.abc import Sequence
from typing import Final

import msgspec

from streams.jsontext import picked
from streams.values import BadValueError, short
from streams.wire import DEEPEST, Read, Slots, Topic, not_utf8, text_key, too_deep

_HOLDERS: Final = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])  # arrays and maps begin so
_REST: Final = bytes(byte for byte in range(256) if byte not in _HOLDERS)
_FIXED: Final = (  # bytes behind the first one
    dict.fromkeys((*range(0x80), *range(0xC0, 0xC4), *range(0xE0, 0x100)), 0)
    | {0xA0 + length: length for length in range(32)}
    | dict(zip(range(0xCA, 0xD9), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17), strict=True))
)
_COUNTED: Final = (  # bytes of the length, and more behind it
    {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
    | {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
)
_WIDE: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # length, items of each


class MessagePack:
    """Reads maps with text keys; of a field that comes twice the last one counts."""

    def reader(self, names: Sequence[str], topic: Topic) -> Read:  # noqa: ARG002 - one for both
        """Give what reads these fields from one map."""
        slots = picked(names, msgspec.msgpack.Decoder)

        def read(raw: bytes) -> Slots:
            try:
                if len(raw.translate(None, _REST)) > DEEPEST and depth(raw) > DEEPEST:
                    raise too_deep()
                return slots(raw)
            except UnicodeDecodeError as error:
                raise not_utf8(error) from None
            except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
                raise _undecodable(error, raw) from None

        return read

    def key(self, raw: bytes) -> str:
        """Read a key, which is text."""
        return text_key(raw)

    def in_touch(self) -> float:
        """Say 0: nothing else is needed."""
        return 0.0


def depth(raw: bytes) -> int:
    """Say how deep arrays and maps lie in one another, one more than `DEEPEST` at most.

    Bytes that make no sense are looked at up to there.
    """
    left: list[int] = []  # items still to come, of each that is open
    at, deepest = 0, 0
    while at < len(raw) and deepest <= DEEPEST:
        at, items = _step(raw, at)
        while left and left[-1] == 0:
            left.pop()
        if left:
            left[-1] -= 1
        if items:
            left.append(items)
            deepest = max(deepest, len(left))
    return deepest


def _step(raw: bytes, at: int) -> tuple[int, int]:
    """Pass over the head of one value, or all of a plain one; give the items that follow it."""
    first = raw[at]
    if first in _FIXED:
        return at + 1 + _FIXED[first], 0
    if first in _COUNTED:
        width, more = _COUNTED[first]
        return at + 1 + width + more + int.from_bytes(raw[at + 1 : at + 1 + width], "big"), 0
    if first in _WIDE:
        width, each = _WIDE[first]
        return at + 1 + width, each * int.from_bytes(raw[at + 1 : at + 1 + width], "big")
    each = 2 if first < 0x90 else 1  # noqa: PLR2004 - 0x80 to 0x8f are maps, 0x90 to 0x9f arrays
    return at + 1, each * (first & 0x0F)


def _undecodable(error: Exception, raw: bytes) -> BadValueError:
    said = str(error)[:200]
    if "Timestamp" in said:
        return BadValueError("bad-time", f"{said}; send timestamps of the years 1 to 9999")
    if isinstance(error, msgspec.ValidationError):
        return BadValueError("not-an-object", f"{said}; send one map with text keys a record")
    return BadValueError("undecodable", f"{said}, in {short(raw)}; send valid MessagePack")
