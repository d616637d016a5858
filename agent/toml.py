"""Frozen, typed dataclasses out of TOML, the environment and the command line.

One pass collects every fault. A value from the environment or the command line is text and is
read by the type of the field that it goes to; one from TOML has its type already.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from agent.faults import Fault, SettingsError

PREFIX = "ADAPTD__"

Table: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A value still to be read: its text, and the variable or flag that it came from."""

    text: str
    origin: str


def read(path: Path) -> Table:
    """Read a TOML file.

    Raises:
        SettingsError: it cannot be opened, is not UTF-8, or is not TOML (with line and column).
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        fault = Fault(str(path), "cannot be read", _opened(error))
    except UnicodeDecodeError as error:
        fault = Fault(f"{path}: byte {error.start}", "not UTF-8", "save the file as UTF-8")
    except tomllib.TOMLDecodeError as error:
        fault = _broken(path, str(error))
    except (RecursionError, ValueError):  # no fault of TOML's grammar, but of Python's bounds
        fault = Fault(str(path), "not TOML", "nested too deep, or a number of too many digits")
    raise SettingsError([fault])


def _opened(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check its name"
    if isinstance(error, IsADirectoryError):
        return "this is a directory; name the TOML file in it"
    return f"{error.strerror}; check its permissions"


def _broken(path: Path, said: str) -> Fault:
    at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", said)
    if at is None:
        return Fault(str(path), "not TOML", said)
    place = f":{at[1]}:{at[2]}" if at[1] else ": end of file"
    return Fault(f"{path}{place}", "not TOML", said[: at.start()])


def overlay(table: Table, given: Mapping[str, Text]) -> tuple[Table, list[Fault]]:
    """Lay values by dotted path over a table; the table that went in stays as it was.

    A name is matched to what the table holds without regard to case, else taken in lower case.
    """
    whole, faults = dict(table), []
    for path, text in given.items():
        *inner, last = path.split(".")
        here: Any = whole
        for part in inner:
            name = _named(here, part)
            here[name] = dict(held) if isinstance(held := here.get(name, {}), dict) else held
            here = here[name]
            if not isinstance(here, dict):
                faults.append(Fault(text.origin, text.text, f"{name} is a value, not a table"))
                break
        else:
            here[_named(here, last)] = text
    return whole, faults


def _named(table: Table, part: str) -> str:
    return next((name for name in table if name.lower() == part.lower()), part.lower())


def from_environment(environment: Mapping[str, str]) -> tuple[dict[str, Text], list[Fault]]:
    """Pick `ADAPTD__SECTION__KEY=value` out of an environment, as dotted paths."""
    given, faults = {}, []
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX):
            continue
        parts = name[len(PREFIX) :].split("__")
        if all(parts):
            given[".".join(parts)] = Text(value, name)
        else:
            faults.append(Fault(name, value, f"name it {PREFIX}SECTION__KEY"))
    return given, faults
