"""What the agent is measured against: no change, the most frequent class, any River model.

Each sees raw features, one event at a time; `agent.evaluate.contest` feeds and scores them.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from river import base, multiclass

from agent.from_river import RiverNameError, river_model
from streams.records import Truth
from streams.schema import Goal

Features: TypeAlias = dict[str, float | str]


class Said(NamedTuple):
    """A guess, and the classes' probabilities; None where the model gives none."""

    guess: Truth | None
    chances: Mapping[Truth, float] | None = None


class Rival(Protocol):
    """One that predicts and learns raw features, one by one."""

    def predict(self, x: Features) -> Said:
        """Say what the label will be."""
        ...

    def learn(self, x: Features, y: Truth) -> None:
        """Learn one label."""
        ...


@dataclass(slots=True)
class NoChange:
    """Repeats the last label that it learned."""

    last: Truth | None = None

    def predict(self, x: Features) -> Said:  # noqa: ARG002 (it looks at nothing)
        """Say the last label."""
        return Said(self.last)

    def learn(self, x: Features, y: Truth) -> None:  # noqa: ARG002 (as above)
        """Keep this one."""
        self.last = y


@dataclass(slots=True)
class Majority:
    """Says the most frequent class, and every class as often as it came."""

    counts: Counter[Truth] = field(default_factory=Counter)

    def predict(self, x: Features) -> Said:  # noqa: ARG002 (it looks at nothing)
        """Say the most frequent class."""
        total = self.counts.total()
        if not total:
            return Said(None, {})
        chances = {name: count / total for name, count in self.counts.items()}
        return Said(max(chances, key=chances.__getitem__), chances)

    def learn(self, x: Features, y: Truth) -> None:  # noqa: ARG002 (as above)
        """Count this one."""
        self.counts[y] += 1


@dataclass(slots=True)
class Mean:
    """Says the mean of all numbers so far."""

    count: int = 0
    mean: float = 0.0

    def predict(self, x: Features) -> Said:  # noqa: ARG002 (it looks at nothing)
        """Say the mean."""
        return Said(self.mean)

    def learn(self, x: Features, y: Truth) -> None:  # noqa: ARG002 (as above)
        """Move the mean."""
        self.count += 1
        self.mean += (float(y) - self.mean) / self.count


class RiverRival:
    """A River model on raw features; one that divides only two classes is asked of each class.

    Linear models, and trees with such in their leaves, raise on words: these get each as a one.

    Raises:
        RiverNameError: the name means no model, or one of the other goal.
    """

    def __init__(self, name: str, goal: Goal, seed: int) -> None:
        self._model: Any = river_model(name, seed)
        wanted: Any = base.Classifier if goal == "classes" else base.Regressor
        if not isinstance(self._model, wanted):
            raise RiverNameError(f"{name} is no {wanted.__name__}, and the goal is {goal}")
        if goal == "classes" and not self._model._multiclass:  # noqa: SLF001 (River's own way to ask)
            self._model = multiclass.OneVsRestClassifier(self._model)
        self._wordless = False
        self.predict: Callable[[Features], Said] = self._number
        if goal == "classes":
            self.predict = self._class

    def _class(self, x: Features) -> Said:
        try:
            chances = self._able("predict_proba_one", x)
        except NotImplementedError:
            self.predict = self._number
            return self.predict(x)
        return Said(max(chances, key=chances.get) if chances else None, chances)

    def _number(self, x: Features) -> Said:
        return Said(self._able("predict_one", x))

    def learn(self, x: Features, y: Truth) -> None:
        """Learn one label."""
        self._able("learn_one", x, y)

    def _able(self, verb: str, x: Features, *y: Truth) -> Any:
        """Call it with words as they are, or as ones once it could not take them.

        It begins anew then: some keep the first row and fail at the second.
        """
        if not self._wordless:
            try:
                return getattr(self._model, verb)(x, *y)
            except TypeError:
                if not any(isinstance(value, str) for value in x.values()):
                    raise
                self._wordless, self._model = True, self._model.clone()
        return getattr(self._model, verb)(_ones(x), *y)


def _ones(x: Features) -> Features:
    words: Features = {f"{name}={it}": 1.0 for name, it in x.items() if isinstance(it, str)}
    return {name: it for name, it in x.items() if not isinstance(it, str)} | words


def rival(name: str, goal: Goal, seed: int) -> Rival:
    """Make the rival of that name: no-change, majority (mean for numbers), river:MODEL.

    Raises:
        RiverNameError: there is none.
    """
    if name == "no-change":
        return NoChange()
    if name in {"majority", "mean"}:
        return Majority() if goal == "classes" else Mean()
    if name.startswith("river:"):
        return RiverRival(name.removeprefix("river:"), goal, seed)
    raise RiverNameError(
        f"{name!r} is no rival; write no-change, majority or river:MODEL, as river:tree."
        + ("HoeffdingTreeClassifier" if goal == "classes" else "HoeffdingTreeRegressor")
    )
