"""Every learner by name, with what a person asks of it first: family, source, goals, options."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from agent.learners.base import Learner, Spec

Goal: TypeAlias = Literal["classes", "number", "numbers"]
"""What can be predicted: a class, a number, or several numbers at once (`Spec.outputs`)."""

Outer: TypeAlias = Literal["episodes", "sequences", "reptile", "joint", "none"]
"""How the meta-parameters are found: by descent on the queries of episodes; the same with the
support in order, a class after another; by Reptile's average; by plain training on all tasks at
once; or not at all."""

Family: TypeAlias = Literal[
    "metric", "optimization", "model-based", "black box", "Bayesian", "contextual", "hypernetwork",
    "continual", "baseline", "stream",
]  # fmt: skip

EVERY: tuple[Goal, ...] = ("classes", "number", "numbers")
SINGLE: tuple[Goal, ...] = ("classes", "number")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For a learner with nothing to set."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered learner; call it with a `Spec` (and its options) to make one.

    Args:
        name: by which `adaptd train` and the settings know it.
        family: of meta-learning.
        paper: author, year, title; or what it is, for a baseline.
        options: its dataclass of options; each has a default.
        goals: what it can predict.
        outer: how its meta-parameters are found.
    """

    name: str
    family: Family
    paper: str
    options: Callable[[], Any]
    goals: tuple[Goal, ...]
    outer: Outer
    build: Callable[[Spec, Any], Learner]

    def __call__(self, spec: Spec, options: object = None) -> Learner:
        """Make one.

        Raises:
            ValueError: it cannot predict what is asked.
        """
        if goal(spec) not in self.goals:
            raise ValueError(f"{self.name} predicts {', '.join(self.goals)}; not {goal(spec)}")
        return self.build(spec, self.options() if options is None else options)


Make: TypeAlias = Callable[[Spec], Learner]
Options = TypeVar("Options")
Build: TypeAlias = Callable[[Spec, Options], Learner]

LEARNERS: dict[str, Entry] = {}
"""Every learner by name; the conformance suite multiplies it by every check."""


def goal(spec: Spec) -> Goal:
    """Say which goal a spec has."""
    if not spec.regression:
        return "classes"
    return "number" if spec.outputs == 1 else "numbers"


def register(
    name: str,
    options: Callable[[], Options] = NoOptions,  # type: ignore[assignment]
    *,
    family: Family,
    paper: str,
    goals: tuple[Goal, ...] = EVERY,
    outer: Outer = "none",
) -> Callable[[Build[Options]], Build[Options]]:
    """Enter a way to make a learner from a `Spec` and its options under a name.

    Raises:
        ValueError: the name is taken.
    """

    def enter(build: Build[Options]) -> Build[Options]:
        if name in LEARNERS:
            raise ValueError(f"a learner named {name!r} is registered already")
        LEARNERS[name] = Entry(name, family, paper, options, goals, outer, build)
        return build

    return enter


def every_learner() -> dict[str, Entry]:
    """Import every file of this package, and give all that is registered, by name."""
    import agent.learners as package  # noqa: PLC0415 - its files import this one

    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(LEARNERS.items()))
