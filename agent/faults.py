"""What can be wrong with settings, said so that a person can mend it: place, value, remedy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Args:
        path: where, as `source.kafka.bootstrap`, or `settings.toml:3:7` for broken TOML.
        said: what stands there now, as a person would see it; empty where nothing does.
        remedy: what to write instead.
    """

    path: str
    said: str
    remedy: str

    def line(self) -> str:
        """Give the fault as one line."""
        said = f"{self.said}: " if self.said else ""
        return f"{self.path}: {said}{self.remedy}"


class SettingsError(Exception):
    """The settings cannot be used; `faults` holds everything that is wrong with them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(fault.line() for fault in self.faults))


def shown(value: object) -> str:
    """Give a value as a person wrote it, cut to a readable length."""
    try:
        text = f'"{value}"' if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        text = f"a {type(value).__name__}"
    if isinstance(value, bool):
        text = str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 (a line's worth)


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant; all of them where none is near."""
    names = list(known)
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(names)}" if names else "nothing may stand here"


def at_least(least: int, settings: object, *names: str) -> None:
    """Refuse settings that lie below a least value.

    Raises:
        ValueError: the first that does, its value and what to give.
    """
    for name in names:
        value = getattr(settings, name)
        if value < least:
            raise ValueError(f"{name} is {value}; give {least} or more")
