"""Make docs/settings.md from the settings' own classes: names, types, defaults, docstrings.

.venv/bin/python docs/make_settings.py
"""

import inspect
import re
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # so that `agent` is found from a fresh clone

from agent.settings import Settings  # noqa: E402 - as above

HEAD = """\
# Settings

Made by `docs/make_settings.py` from the settings' classes; do not edit by hand.

A setting comes from the TOML file; the environment goes over it, and flags over both:

| where | how |
|---|---|
| file | `[web]`, then `port = 9000` |
| environment | `ADAPTD__WEB__PORT=9000` |
| flag | `--set web.port=9000`; `--port 9000` |

An unknown key, a wrong type or a value out of range is an error that names its place and a remedy.
`adaptd validate settings.toml` says every fault at once. "none" means that the setting is absent.
"""
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
SHARED = {"sink.kafka": "source.kafka"}  # tables of one class: told once


def page() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *_sections(Settings, "")])


def _sections(kind: type, path: str) -> Iterator[str]:
    """Give a section of a class, then those of the tables in it."""
    hints, meanings = get_type_hints(kind), _meanings(kind)
    plain = [one for one in fields(kind) if _table(hints[one.name]) is None]
    if plain:
        yield f"## [{path}]\n"
        yield f"{_summary(kind)}\n"
        yield "| setting | type | default | meaning |\n|---|---|---|---|"
        for one in plain:
            said = (f"`{one.name}`", _type(hints[one.name]), _default(one), meanings[one.name])
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in said) + " |"
        yield ""
    for one in fields(kind):
        inner, at = _table(hints[one.name]), f"{path}.{one.name}" if path else one.name
        if inner is not None and at in SHARED:
            yield f"## [{at}]\n\n{meanings[one.name]} Settings as in [{SHARED[at]}].\n"
        elif inner is not None:
            yield from _sections(inner, f"[{at}]" if get_origin(hints[one.name]) is tuple else at)


def _table(hint: Any) -> type | None:
    """Give the class that a setting is a table, or a list of tables, of."""
    found = [part for part in (hint, *get_args(hint)) if is_dataclass(part)]
    return found[0] if found and isinstance(found[0], type) else None


def _meanings(kind: type) -> dict[str, str]:
    """Read the `Args:` of a docstring; "a, b: ..." tells of both."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Args:\n")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\w)", f"\n{text}")[1:]:
        names, _, meaning = " ".join(entry.split()).partition(": ")
        found |= dict.fromkeys(names.split(", "), meaning[0].upper() + meaning[1:])
    return found


def _summary(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\nArgs:")[0].split())


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f'`"{choice}"`' for choice in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_type(one) for one in inner if one is not types.NoneType))
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin in {dict, Mapping}:
        held = _type(inner[1])
        return "table" if "table" in held else f"table, each {held}"
    return PLAIN[hint]


def _default(field: Field[Any]) -> str:
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return "required"
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, dict) and value:
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str | Path) else repr(value)


if __name__ == "__main__":
    (ROOT / "docs" / "settings.md").write_text(page(), encoding="utf-8")
