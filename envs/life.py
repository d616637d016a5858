"""A life: which body a robot has at which step of control."""

import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from typing_extensions import override

from envs.body import Body, distinct
from envs.grammar import INTACT

Change = tuple[int, Body]


@dataclass(frozen=True, slots=True)
class Life:
    """A schedule of bodies; the robot is not told, and is not reset.

    Args:
        changes: step of control -> body from that step on; the first is at step 0.
    """

    changes: tuple[Change, ...] = ((0, Body()),)

    def __post_init__(self) -> None:
        steps = [step for step, _ in self.changes]
        if not steps or steps[0] != 0:
            raise ValueError(f"changes begin at step {steps[:1]}; a life begins at step 0")
        for before, after in pairwise(steps):
            if after <= before:
                raise ValueError(f"changes at steps {before}, {after}; later ones must come later")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a life such as `intact@0 invert:elbow@100 intact@300`.

        Raises:
            ValueError: what cannot be read, and how it is written.

        >>> Life.parse("intact@0 dead:elbow@100").at(100).name
        'dead:elbow'
        """
        return cls(tuple(_change(word) for word in text.split()) or ((0, Body()),))

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Read a life from a file: a table `[[change]]` each, with `at`, `body` and maybe `name`.

        `body` is a text as on the command line, or a table of `Body`'s fields.

        Raises:
            ValueError: what cannot be read, with the file's name.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            told = tomllib.loads(text)
            return cls(tuple(_table(one) for one in told["change"]))
        except KeyError as missing:
            raise ValueError(f"{path}: {missing.args[0]!r} is missing in [[change]]") from None
        except ValueError as wrong:
            raise ValueError(f"{path}: {wrong}") from None

    @classmethod
    def drawn(
        cls,
        bodies: Sequence[Body],
        changes: int,
        gap: tuple[int, int],
        generator: np.random.Generator,
    ) -> Self:
        """Draw a life that begins intact and in which bodies come back.

        Args:
            bodies: those that may come, beside the intact one; each comes once before any returns.
            changes: how many times the body changes.
            gap: fewest and most steps between two changes.
            generator: where chance comes from.
        """
        known = distinct((Body(), *bodies))
        told, step, left = [(0, known[0])], 0, list(known[1:])
        for _ in range(changes):
            step += int(generator.integers(gap[0], gap[1], endpoint=True))
            others = left or [body for body in known if body != told[-1][1]]
            body = others[int(generator.integers(len(others)))]
            if left:
                left.remove(body)
            told.append((step, body))
        return cls(tuple(told))

    def at(self, step: int) -> Body:
        """Give the body at a step of control."""
        return self.changes[bisect_right(self.changes, step, key=lambda change: change[0]) - 1][1]

    def due(self, step: int) -> Body | None:
        """Give the body that comes at this very step; None where none does."""
        body = self.at(step)
        return body if any(at == step for at, _ in self.changes) else None

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The bodies of this life, each once, in the order in which they come."""
        return distinct(body for _, body in self.changes)

    @override
    def __str__(self) -> str:
        return " ".join(f"{body}@{step}" for step, body in self.changes)


def _change(word: str) -> Change:
    body, at, step = word.rpartition("@")
    if not at or not step.isdecimal():
        raise ValueError(f"{word!r} is no change; write body@step, such as invert:elbow@100")
    return int(step), Body.parse(body)


def _table(told: Mapping[str, Any]) -> Change:
    at, body = told["at"], told.get("body", INTACT)
    if not isinstance(at, int) or at < 0:
        raise ValueError(f"at = {at!r}; it must be a step of control, 0 or more")
    if isinstance(body, str):
        return at, Body.parse(body, told.get("name", ""))
    return at, Body.from_dict({"name": told.get("name", f"body@{at}"), **body})
