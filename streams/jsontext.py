"""Records as JSON text: one object a record."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.values import BadValueError, short
from streams.wire import DEEPEST, Read, Slots, Topic, not_utf8, text_key, too_deep

_AWKWARD = re.compile(r'[\x00-\x1f"\\]')  # msgspec takes no such field names
_NOT_FINITE = re.compile(rb"[:\[,]\s*[-+]?(nan|inf|infinity)\b", re.IGNORECASE)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class JsonText:
    """Reads JSON objects; of a field that comes twice the last one counts."""

    def reader(self, names: Sequence[str], topic: Topic) -> Read:  # noqa: ARG002 - one for both
        """Give what reads these fields from one JSON object."""
        slots = picked(names, msgspec.json.Decoder)

        def read(raw: bytes) -> Slots:
            try:
                if raw.count(b"[") + raw.count(b"{") > DEEPEST and depth(raw) > DEEPEST:
                    raise too_deep()
                return slots(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise _undecodable(error, raw) from None

        return read

    def key(self, raw: bytes) -> str:
        """Read a key, which is text."""
        return text_key(raw)

    def in_touch(self) -> float:
        """Say 0: nothing else is needed."""
        return 0.0


def picked(names: Sequence[str], decoder: Callable[[Any], Any]) -> Callable[[bytes], Slots]:
    """Give a function from an object's bytes to the values of these fields, None where absent.

    Args:
        names: the fields, in the order of the values.
        decoder: one of msgspec's, by the type that it gives.
    """
    if any(_AWKWARD.search(name) for name in names):
        whole = decoder(dict[str, Any])
        return lambda raw: (*map(whole.decode(raw).get, names),)
    struct = msgspec.defstruct(
        "Slots",
        [(f"f{i}", Any, None) for i in range(len(names))],
        rename={f"f{i}": name for i, name in enumerate(names)},
    )
    decode = decoder(struct).decode
    astuple = msgspec.structs.astuple
    return lambda raw: astuple(decode(raw))


def depth(raw: bytes) -> int:
    """Say how deep lists and objects lie in one another; brackets in texts do not count."""
    deepest = now = 0
    for token in _TOKEN.findall(raw):
        if token in b"[{":
            now += 1
            deepest = max(deepest, now)
        elif token in b"]}":
            now -= 1
    return deepest


def _undecodable(error: Exception, raw: bytes) -> BadValueError:
    try:
        raw.decode()
    except UnicodeDecodeError as fault:
        return not_utf8(fault)
    said = str(error)[:200]
    if "out of range" in said or _NOT_FINITE.search(raw):
        return BadValueError("not-finite", f"{said}; send finite numbers, or null")
    if isinstance(error, msgspec.ValidationError):
        return BadValueError("not-an-object", f"{said}; send one JSON object a record")
    return BadValueError("undecodable", f"{said}, in {short(raw)}; send valid JSON")
