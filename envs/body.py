"""A body: what has been changed on a robot, against the intact one."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self, TypeVar

from typing_extensions import override

from envs.grammar import ALL, INTACT, Value, read, spell

Fault = tuple[str, str, Value]

_POSITIVE = ("length", "stretch", "mass")  # factors of what cannot vanish
_NOT_NEGATIVE = ("friction", "damping")


@dataclass(frozen=True, slots=True)
class Body:
    """What is changed on a robot; a value that can be written, compared and hashed.

    Every factor is against the intact robot; the part "all" means each of them, and multiplies
    what is told of one part.

    Args:
        name: what people call it; where `parse` made it, what was written.
        gear: actuator -> factor of its torque: 0 dead, -1 inverted, 0.4 weak, 2 strong.
        length: limb -> factor of its length; its mass grows with it, that of others stays.
        stretch: limb -> factor of its length, its mass kept.
        mass: limb or trunk -> factor of its mass and inertia.
        friction: limb or trunk -> factor of its sliding friction; "all": the ground's too.
        damping: joint -> factor of its damping.
        locked: joint -> angle in radians at which it is held.
        limited: joint -> lowest and highest angle in radians.
        removed: limbs that are gone, with all that hangs on them.
    """

    name: str = INTACT
    gear: Mapping[str, float] = field(default_factory=dict)
    length: Mapping[str, float] = field(default_factory=dict)
    stretch: Mapping[str, float] = field(default_factory=dict)
    mass: Mapping[str, float] = field(default_factory=dict)
    friction: Mapping[str, float] = field(default_factory=dict)
    damping: Mapping[str, float] = field(default_factory=dict)
    locked: Mapping[str, float] = field(default_factory=dict)
    limited: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in FACTORS:
            told = {part: float(value) for part, value in getattr(self, name).items()}
            _check(name, told)
            object.__setattr__(self, name, _frozen(told))
        ranges = {part: (float(low), float(high)) for part, (low, high) in self.limited.items()}
        for part, (low, high) in ranges.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"limited {part} is {low}..{high}; the lowest angle comes first")
        object.__setattr__(self, "limited", _frozen(ranges))
        object.__setattr__(self, "removed", tuple(sorted(set(self.removed))))

    @classmethod
    def parse(cls, text: str, name: str = "") -> Self:
        """Read a body from words such as `invert:elbow+dead:wrist`.

        Raises:
            ValueError: what cannot be read.

        >>> Body.parse("invert:elbow").gear["elbow"]
        -1.0
        """
        told: dict[str, Any] = dict(read(text))
        if "removed" in told:
            told["removed"] = tuple(told["removed"])
        return cls(name or text, **told)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is changed, in an order that depends on nothing else; bodies' names apart."""
        told = [
            (name, part, value)
            for name in (*FACTORS, "limited")
            for part, value in getattr(self, name).items()
        ]
        return (*told, *(("removed", part, 0.0) for part in self.removed))

    @property
    def spelled(self) -> str:
        """What `parse` reads as this body, whatever its name."""
        return spell(self.faults)

    @property
    def intact(self) -> bool:
        """Whether nothing is changed."""
        return not self.faults

    def factor(self, of: str, *parts: str) -> float:
        """Give the factor of what goes by these names: theirs times that of all.

        >>> Body(gear={"all": 2.0, "elbow": -1.0}).factor("gear", "elbow")
        -2.0
        """
        told: Mapping[str, float] = getattr(self, of)
        return math.prod(told.get(part, 1.0) for part in (ALL, *parts))

    def to_dict(self) -> dict[str, Any]:
        """Give what TOML and JSON can hold; `from_dict` reads it."""
        told: dict[str, Any] = {"name": self.name}
        told.update({of: dict(getattr(self, of)) for of in FACTORS if getattr(self, of)})
        if self.limited:
            told["limited"] = {part: list(span) for part, span in self.limited.items()}
        if self.removed:
            told["removed"] = list(self.removed)
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            ValueError: an unknown field, or a value out of its range.
        """
        known = [one.name for one in fields(cls)]
        unknown = sorted(set(told) - set(known))
        if unknown:
            raise ValueError(f"a body has no {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**{**told, "removed": tuple(told.get("removed", ()))})

    @override
    def __str__(self) -> str:
        return self.name

    @override
    def __hash__(self) -> int:
        return hash(self.faults)

    @override
    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Body.from_dict, (self.to_dict(),)


FACTORS = ("gear", "length", "stretch", "mass", "friction", "damping", "locked")


Told = TypeVar("Told")


def _frozen(told: Mapping[str, Told]) -> Mapping[str, Told]:
    return MappingProxyType(dict(sorted(told.items())))


def _check(name: str, told: Mapping[str, float]) -> None:
    for part, value in told.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} of {part} is {value}; it must be finite")
        if name in _POSITIVE and value <= 0:
            raise ValueError(f"{name} of {part} is {value}; it must be above 0")
        if name in _NOT_NEGATIVE and value < 0:
            raise ValueError(f"{name} of {part} is {value}; it must be 0 or more")


def distinct(bodies: Iterable[Body]) -> tuple[Body, ...]:
    """Give the bodies in the order in which each comes first, those with equal faults once."""
    first: dict[tuple[Fault, ...], Body] = {}
    for body in bodies:
        first.setdefault(body.faults, body)
    return tuple(first.values())
