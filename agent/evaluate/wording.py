"""What a person types: a delay, a list of rivals, a column's kind."""

import re
from typing import Final, get_args

from agent.evaluate.guess import WishError
from streams.schema import Kind

UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def delay(text: str) -> tuple[int | None, float | None]:
    """Read "100" as events, "7d" as seconds of event time.

    Raises:
        WishError: it is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if found is None or (not found[2] and "." in found[1]):
        raise WishError(f"{text!r} is no delay; write 100 for events, or 30s, 15m, 12h, 7d, 2w")
    if not found[2]:
        return int(found[1]), None
    return None, float(found[1]) * UNITS[found[2]]


def listed(texts: list[str]) -> list[str]:
    """Divide at commas outside brackets; each part once, in the order given."""
    parts = [part.strip() for text in texts for part in re.split(r",(?![^(]*\))", text)]
    return list(dict.fromkeys(part for part in parts if part))


def kinds(texts: list[str]) -> dict[str, Kind]:
    """Read "shop=categorical".

    Raises:
        WishError: there is no such kind.
    """
    found: dict[str, Kind] = {}
    for text in texts:
        name, _, kind = text.rpartition("=")
        if not name or kind not in get_args(Kind):
            raise WishError(f"{text!r} is no COLUMN=KIND; kinds are {', '.join(get_args(Kind))}")
        found[name] = kind  # type: ignore[assignment]  # it is one of them
    return found
