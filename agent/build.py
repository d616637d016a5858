"""Tables of values into frozen dataclasses, with every fault that stands in the way."""

import re
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import (
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from agent.faults import Fault, SettingsError, nearest
from agent.kinds import WrongError, fault, literal, misfit, plain, words
from agent.toml import Table, Text

D = TypeVar("D")

_Read: TypeAlias = Callable[[Any, Any, str], Any]


def build(kind: type[D], table: Table) -> D:
    """Build a dataclass from a table.

    Raises:
        SettingsError: with every fault in the table.
    """
    try:
        return cast("D", _dataclass(kind, table, ""))
    except WrongError as wrong:
        raise SettingsError(wrong.faults) from None


def convert(hint: Any, value: object, path: str) -> Any:
    """Give the value as the type asks; text is read, anything else must fit as it is."""
    if is_dataclass(hint):
        return _dataclass(hint, _inline(value), path)
    read: _Read = _BY_ORIGIN.get(get_origin(hint), plain)
    return read(hint, value, path)


def _dataclass(kind: Any, table: object, path: str) -> Any:
    if not isinstance(table, dict):
        raise WrongError(fault(path, table, f"must be a table, as [{path}]"))
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}
    faults = [
        Fault(_at(path, key), "unknown key", nearest(key, known))
        for key in table
        if key not in known
    ]
    given: dict[str, Any] = {}
    wrong: set[str] = set()
    for name, field in known.items():
        try:
            if name in table:
                given[name] = convert(hints[name], table[name], _at(path, name))
            elif field.default is MISSING and field.default_factory is MISSING:
                given[name] = _absent(hints[name], field, _at(path, name))
        except WrongError as found:
            faults += found.faults
            wrong.add(name)
    return _made(kind, given, path, faults, wrong)


def _absent(hint: Any, field: Field[Any], path: str) -> Any:
    if is_dataclass(hint):
        return _dataclass(hint, {}, path)
    raise WrongError(Fault(path, "missing", f"give {field.name}, {words(hint)}"))


def _made(kind: Any, given: Table, path: str, faults: list[Fault], wrong: set[str]) -> Any:
    """Construct; what `__post_init__` says of a field becomes a fault of that field.

    Where some fields are wrong already, the others are still checked beside their defaults; what is
    then said of a wrong one is not told again.
    """
    try:
        made = kind(**given)
    except ValueError as error:
        name = re.split(r"[\s:,=]", str(error), maxsplit=1)[0]
        if not wrong & set(re.findall(r"\w+", str(error))):
            place = _at(path, name) if name.partition(".")[0] in _names(kind) else path
            faults.append(Fault(place, "", str(error).removeprefix(f"{name}: ")))
    except TypeError:
        if not wrong:  # else a required field is among the wrong ones, and told already
            raise
    else:
        if not faults:
            return made
    raise WrongError(*faults)


def _names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def _union(hint: Any, value: object, path: str) -> Any:
    """`X | None`: an empty text is None; the rest is X, or the first of several that fits."""
    inner = [part for part in get_args(hint) if part is not types.NoneType]
    if isinstance(value, Text) and not value.text and len(inner) < len(get_args(hint)):
        return None
    if len(inner) == 1:
        return convert(inner[0], value, path)
    typed = _typed(value)
    for part in inner:
        try:
            return convert(part, typed, path)
        except WrongError:
            continue
    raise misfit(hint, value, path)


def _tuple(hint: Any, value: object, path: str) -> tuple[Any, ...]:
    found, inner = _inline(value), get_args(hint)
    if not isinstance(found, list):
        raise misfit(hint, value, path)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(found)
    if len(inner) != len(found):
        raise WrongError(fault(path, value, f"must hold {len(inner)} values"))
    pairs = zip(inner, found, strict=True)
    return tuple(_each((f"{path}[{i}]", part, one) for i, (part, one) in enumerate(pairs)))


def _dict(hint: Any, value: object, path: str) -> dict[str, Any]:
    found, (_, inner) = _inline(value), get_args(hint)
    if not isinstance(found, dict):
        raise WrongError(fault(path, value, f"must be a table, as [{path}]"))
    values = _each((_at(path, str(key)), inner, one) for key, one in found.items())
    return dict(zip(found, values, strict=True))


def _each(parts: Iterable[tuple[str, Any, object]]) -> list[Any]:
    done: list[Any] = []
    faults: list[Fault] = []
    for path, hint, value in parts:
        try:
            done.append(convert(hint, value, path))
        except WrongError as wrong:
            faults += wrong.faults
    if faults:
        raise WrongError(*faults)
    return done


def _inline(value: object) -> object:
    """Read a list or table given as text, in TOML's own words; words alone divide by commas."""
    if not isinstance(value, Text):
        return value
    try:
        return tomllib.loads(f"it = {value.text}")["it"]
    except (ValueError, RecursionError):  # not TOML, or beyond what is read of it
        return [Text(part.strip(), value.origin) for part in value.text.split(",")]


def _typed(value: object) -> object:
    """Read a text as TOML would where it can be, as it stands where it cannot."""
    found = _inline(value)
    return value if isinstance(found, list) and isinstance(value, Text) else found


def _at(path: str, name: str) -> str:
    name = name or '""'
    return f"{path}.{name}" if path else name


_BY_ORIGIN: dict[Any, _Read] = {
    Union: _union,
    types.UnionType: _union,
    Literal: literal,
    tuple: _tuple,
    dict: _dict,
    Mapping: _dict,
}
