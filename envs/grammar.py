"""The words in which bodies are written: `invert:elbow+dead:wrist`, `mass:all=1.8`.

    body   = "intact" | fault { "+" fault }
    fault  = kind [ ":" part { "," part } ] [ "=" value ]
    value  = number | number ".." number

A kind writes into one field of a body; parts that are left out mean all of them.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

ALL = "all"
INTACT = "intact"

Value = float | tuple[float, float]
Fields = dict[str, dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a word means.

    Args:
        field: field of the body that it writes.
        given: value where none may be written; None: one must be.
        range: whether the value is a range.
        named: whether parts must be named.
    """

    field: str
    given: float | None = None
    range: bool = False
    named: bool = False


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "dead": Kind("gear", given=0.0),
        "invert": Kind("gear", given=-1.0),
        "weak": Kind("gear"),
        "gear": Kind("gear"),
        "length": Kind("length"),
        "stretch": Kind("stretch"),
        "mass": Kind("mass"),
        "friction": Kind("friction"),
        "damping": Kind("damping"),
        "lock": Kind("locked", named=True),
        "limit": Kind("limited", range=True, named=True),
        "remove": Kind("removed", given=0.0, named=True),
    }
)
_FAULT = re.compile(r"(?P<kind>\w+)(:(?P<parts>\w+(,\w+)*))?(=(?P<value>[^=]+))?", re.ASCII)


def read(text: str) -> Fields:
    """Read a body: for each field, the parts and their values.

    Raises:
        ValueError: what cannot be read, and how it is written.

    >>> read("invert:elbow+mass=1.8")
    {'gear': {'elbow': -1.0}, 'mass': {'all': 1.8}}
    """
    fields: Fields = {}
    if text == INTACT:
        return fields
    for fault in text.split("+"):
        field, values = _fault(fault.strip(), text)
        known = fields.setdefault(field, {})
        twice = known.keys() & values.keys()
        if twice:
            raise ValueError(f"{text!r}: {field} of {', '.join(sorted(twice))} is told twice")
        known.update(values)
    return fields


def spell(faults: Iterable[tuple[str, str, Value]]) -> str:
    """Write a body's faults so that `read` reads them again.

    >>> spell([("gear", "elbow", -1.0), ("limited", "wrist", (-0.1, 0.2))])
    'invert:elbow+limit:wrist=-0.1..0.2'
    """
    return "+".join(_spell(*fault) for fault in faults) or INTACT


def _spell(field: str, part: str, value: Value) -> str:
    kinds = [(word, kind) for word, kind in KINDS.items() if kind.field == field]
    for word, kind in kinds:
        if kind.given == value:
            return f"{word}:{part}"
    word = next(word for word, kind in reversed(kinds) if kind.given is None)
    written = "..".join(f"{one!r}" for one in value) if isinstance(value, tuple) else f"{value!r}"
    return f"{word}:{part}={written}"


def _fault(fault: str, text: str) -> tuple[str, dict[str, Value]]:
    match = _FAULT.fullmatch(fault)
    if match is None:
        raise ValueError(
            f"{fault!r} in {text!r} is no fault; write kind:part=value, such as weak:elbow=0.4"
        )
    kind = KINDS.get(match["kind"])
    if kind is None:
        raise ValueError(f"{match['kind']!r} in {text!r} is no kind; known: {', '.join(KINDS)}")
    if kind.named and match["parts"] is None:
        raise ValueError(f"{fault!r} in {text!r} must name a part, such as {match['kind']}:elbow")
    value = _value(kind, match["value"], fault)
    return kind.field, dict.fromkeys((match["parts"] or ALL).split(","), value)


def _value(kind: Kind, written: str | None, fault: str) -> Value:
    if written is None:
        if kind.given is None:
            raise ValueError(f"{fault!r} needs a value, such as {fault}={_example(kind)}")
        return kind.given
    if kind.given is not None:
        raise ValueError(f"{fault!r} takes no value")
    if not kind.range:
        return _number(written, fault)
    low, dots, high = written.partition("..")
    if not dots:
        raise ValueError(f"{fault!r} needs a range, such as {_example(kind)}")
    return _number(low, fault), _number(high, fault)


def _example(kind: Kind) -> str:
    return "-0.1..0.1" if kind.range else "0.4"


def _number(written: str, fault: str) -> float:
    try:
        value = float(written)
    except ValueError:
        raise ValueError(f"{written!r} in {fault!r} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{written!r} in {fault!r} is not finite")
    return value
