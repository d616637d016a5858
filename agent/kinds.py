"""The plain kinds of a setting: how each is read from text, checked, and told to a person."""

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from agent.faults import Fault, nearest, shown
from agent.toml import Text

_WORDS = {
    str: 'a text, as "name"',
    int: "a whole number, as 100",
    float: "a number, as 0.5",
    bool: "true or false",
    Path: 'a path, as "events.csv"',
}


class WrongError(Exception):
    """Faults found already, on their way up to the table that gathers them."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)


def words(hint: Any) -> str:
    """Say what a value of that type looks like."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(shown(choice) for choice in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(words(part) for part in inner if part is not types.NoneType)
    if origin is tuple:
        return f"a list, each {words(inner[0])}"
    if origin in {dict, Mapping} or is_dataclass(hint):
        return "a table"
    return _WORDS[hint]


def fault(path: str, value: object, remedy: str) -> Fault:
    """Give a fault of a value, naming the variable or flag where the value came from one."""
    if isinstance(value, Text):
        return Fault(f"{path} (from {value.origin})", shown(value.text), remedy)
    return Fault(path, shown(value), remedy)


def misfit(hint: Any, value: object, path: str) -> WrongError:
    """Say that a value is not of its type, and what would be."""
    return WrongError(fault(path, value, f"must be {words(hint)}"))


def plain(hint: Any, value: object, path: str) -> Any:
    """Give a text, number, truth value or path; a whole number will do for a number."""
    if hint not in _READ:
        raise TypeError(f"{path}: settings of type {hint} are not supported")
    try:
        found = _READ[hint](value.text) if isinstance(value, Text) else value
    except (ValueError, KeyError):
        raise misfit(hint, value, path) from None
    if hint is float and type(found) is int:
        found = float(found)
    if hint is Path and isinstance(found, str):
        found = Path(found).expanduser()
    if not _fits(hint, found):
        raise misfit(hint, value, path)
    return found


def _fits(hint: Any, found: object) -> bool:
    if isinstance(found, bool):
        return hint is bool
    if isinstance(found, float):
        return hint is float and math.isfinite(found)
    return isinstance(found, hint)


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


_READ: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: _truth,
    Path: Path,
}


def literal(hint: Any, value: object, path: str) -> Any:
    """Give the one of the choices that the value is."""
    said = value.text if isinstance(value, Text) else value
    for choice in get_args(hint):
        as_text = isinstance(value, Text) and said == str(choice)
        if as_text or (said == choice and type(said) is type(choice)):
            return choice
    near = nearest(str(said), map(str, get_args(hint)))
    remedy = f"must be {words(hint)}" + (f"; {near}" if near.startswith("did") else "")
    raise WrongError(fault(path, value, remedy))
