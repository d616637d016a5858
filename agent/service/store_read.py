"""Reads the checkpoints of a place: in order, and each checked."""

from collections import Counter
from collections.abc import Iterable

from agent.service.snapshot import DamagedError, Json, body_of, check
from agent.service.store import MANIFEST, STATE, Place, number


class GoneError(Exception):
    """A checkpoint was removed while it was read: newer ones are there."""


def body_at(place: Place, name: str) -> Json:
    """Read the body of a checkpoint's manifest.

    Raises:
        DamagedError: it is not as it was written.
        GoneError: the checkpoint has been removed.
        OSError: the place cannot be reached.
    """
    return body_of(_file(place, name, MANIFEST))


def state_at(place: Place, name: str, body: Json) -> bytes:
    """Read the tensors that a manifest tells of, as bytes. Raises like `body_at`."""
    state = _file(place, name, STATE)
    check(body, state)
    return state


def ordered(place: Place, names: Iterable[str]) -> list[str]:
    """Give the names oldest first: by number; two of one number by when they were begun.

    Two have one number only where two writers were at work; clocks decide nothing else.
    """
    found = list(names)
    many = Counter(map(number, found))
    return sorted(
        found,
        key=lambda one: (number(one), _created(place, one) if many[number(one)] > 1 else 0.0, one),
    )


def _created(place: Place, name: str) -> float:
    try:
        return float(body_at(place, name)["created"])
    except (DamagedError, GoneError):
        return 0.0


def _file(place: Place, name: str, file: str) -> bytes:
    try:
        return place.read(name, file)
    except FileNotFoundError as error:
        if name in place.listing().names:
            raise DamagedError(f"{file} is missing") from error
        raise GoneError(name) from error
