"""Writer schemas of Avro: taken over, made safe, and with logical types that give plain values.

Times become Unix seconds, decimals and times of day become numbers, UUIDs text. fastavro's own
readers would give Python's date types, refuse a whole record for a time that no field asked for,
and read schemas that name themselves by recursion in C, without a bound.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

import fastavro
from fastavro.read import LOGICAL_READERS

from streams.values import MILLISECONDS, BadValueError

Parsed: TypeAlias = Any
"""A schema as fastavro has parsed it."""

MOST_NODES: Final = 10_000
"""A schema spelt out has at most so many types: what a record costs is bounded."""

MOST_SCALE: Final = 300
DAY: Final = 86_400

_KEPT: Final = ("type", "name", "namespace", "symbols", "size")
_INNER: Final = ("items", "values")
_FIRST: Final = {"null": 0, "float": 4, "double": 8}  # bytes at least; of all others 1

_UNITS: Final = {
    **{("long", f"timestamp-{unit}"): unit for unit in ("millis", "micros", "nanos")},
    **{("long", f"local-timestamp-{unit}"): unit for unit in ("millis", "micros", "nanos")},
    ("long", "time-micros"): "micros",
    ("int", "time-millis"): "millis",
    ("int", "date"): "days",
    ("bytes", "decimal"): "decimal",
    ("fixed", "decimal"): "decimal",
    ("fixed", "uuid"): "uuid",
}
"""What a logical type gives, by its underlying type and its name."""

_CONNECT: Final = {
    "io.debezium.time.Date": "date",
    "io.debezium.time.Time": "time-millis",
    "io.debezium.time.MicroTime": "time-micros",
    "io.debezium.time.Timestamp": "timestamp-millis",
    "io.debezium.time.MicroTimestamp": "timestamp-micros",
    "io.debezium.time.NanoTimestamp": "timestamp-nanos",
}
"""Logical types that change capture names in a way of its own."""


def prepared(text: str, references: Sequence[str] = ()) -> Parsed:
    """Parse a schema; `references` are those that it names, each before whoever names it.

    Raises:
        BadValueError: it is no Avro schema, or not one by which records can be read safely.
    """
    named: dict[str, Any] = {}
    try:
        for each in references:
            fastavro.parse_schema(_taken(json.loads(each)), named)
        schema = fastavro.parse_schema(_taken(json.loads(text)), named)
    except RecursionError:
        raise unknown("it is nested too deep") from None
    except Exception as error:  # noqa: BLE001 - it comes from outside, and whatever is wrong with it is told
        raise unknown(f"it cannot be parsed: {type(error).__name__}: {str(error)[:200]}") from None
    _Bounded(named).least(schema)
    return schema


def unknown(why: str) -> BadValueError:
    """Refuse a record for its schema."""
    return BadValueError("unknown-schema", f"{why}; write it with a schema that can be read")


def _taken(node: Any) -> Any:
    """Copy a schema as it was written, with nothing in it but what reading needs."""
    if isinstance(node, list):
        return [_taken(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {name: node[name] for name in _KEPT if name in node}
    if isinstance(kept.get("type"), (dict, list)):
        kept["type"] = _taken(kept["type"])
    if "fields" in node:
        kept["fields"] = [{"name": f["name"], "type": _taken(f["type"])} for f in node["fields"]]
    kept |= {name: _taken(node[name]) for name in _INNER if name in node}
    return kept | _logical(node)


def _logical(node: Mapping[str, Any]) -> dict[str, Any]:
    name = node.get("logicalType") or _CONNECT.get(str(node.get("connect.name")))
    unit = _UNITS.get((str(node.get("type")), str(name)))
    if unit is None:
        return {}
    if unit != "decimal":
        return {"logicalType": f"adaptd-{unit}"}
    scale = node.get("scale", 0)
    if type(scale) is not int or not 0 <= scale <= MOST_SCALE:
        return {}
    return {"logicalType": "adaptd-decimal", "scale": scale}


class _Bounded:
    """Walks a parsed schema and refuses what would read without a bound."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._nodes = 0
        self._above: list[str] = []

    def least(self, node: Any) -> int:
        """Give the bytes that a value takes at least."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise unknown(f"spelt out it has more than {MOST_NODES} types")
        if isinstance(node, list):
            return 1 + min([self.least(one) for one in node], default=0)
        if isinstance(node, str):
            return self._within(node) if node in self._named else _FIRST.get(node, 1)
        return self._compound(node)

    def _within(self, name: str) -> int:
        if name in self._above:
            raise unknown(f"its type {name!r} holds itself")
        self._above.append(name)
        found = self._compound(self._named[name])
        self._above.pop()
        return found

    def _compound(self, node: Mapping[str, Any]) -> int:
        kind = node["type"]
        if kind in {"record", "error"}:
            return self._record(node)
        if kind == "fixed":
            return int(node["size"])
        if kind == "array" and self.least(node["items"]) == 0:
            raise unknown("its arrays have items of no bytes")
        if kind == "map":
            self.least(node["values"])
        return 1 if kind in {"array", "map", "enum"} else self.least(kind)

    def _record(self, node: Mapping[str, Any]) -> int:
        fresh = node["name"] not in self._above
        if fresh:
            self._above.append(node["name"])
        found = sum(self.least(field["type"]) for field in node["fields"])
        if fresh:
            self._above.pop()
        return found


def _seconds(per_second: int) -> Callable[..., float]:
    def read(ticks: int, *schemas: object) -> float:  # noqa: ARG001 - fastavro's order
        seconds = ticks / per_second
        return (
            seconds if abs(seconds) <= MILLISECONDS else math.inf
        )  # else it would be taken for ms

    return read


def _days(days: int, *schemas: object) -> float:  # noqa: ARG001 - fastavro's order
    return float(days * DAY) if abs(days * DAY) <= MILLISECONDS else math.inf


def _decimal(digits: bytes, schema: Mapping[str, Any], *rest: object) -> float:  # noqa: ARG001 - fastavro's order
    """Give a whole number as it is (it may be an id of many digits), any other as a float."""
    unit: int = 10 ** int(schema["scale"])
    value = int.from_bytes(digits, "big", signed=True)
    whole, over = divmod(value, unit)
    if not over:
        return whole
    try:
        return float(value / unit)
    except OverflowError:
        return math.inf


def _uuid(octets: bytes, *schemas: object) -> str:  # noqa: ARG001 - fastavro's order
    return str(UUID(bytes=octets)) if len(octets) == 16 else octets.hex()  # noqa: PLR2004 - a UUID's


_READERS: Final[Mapping[str, Any]] = {
    "millis": _seconds(10**3),
    "micros": _seconds(10**6),
    "nanos": _seconds(10**9),
    "days": _days,
    "decimal": _decimal,
    "uuid": _uuid,
}
for (_kind, _), _unit in _UNITS.items():
    LOGICAL_READERS[f"{_kind}-adaptd-{_unit}"] = _READERS[_unit]
