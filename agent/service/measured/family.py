"""What a metric is: its name, type, unit and meaning, and how its value is read at a scrape."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from agent.service.figures import Figures
from agent.service.health import Health
from agent.service.measured.histogram import Histogram
from agent.service.report import Step
from agent.service.scorecard import Card
from agent.service.status import About
from streams.schema import Goal

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]
Values: TypeAlias = (
    float | Histogram | Mapping[str, float] | Mapping[str, Histogram] | Mapping[str, str]
)
"""The value; or values by that of the label; or of an info, texts by label. NaN is not shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands at a scrape.

    Args:
        about: what does not change.
        goal: of the stream.
        health: whether the loop lives.
        figures: of the tally; None before the first step.
        wall: now, Unix seconds.
        histograms: filled step by step, by the name of their metric.
        stages: seconds of a step's stages, likewise.
    """

    about: About
    goal: Goal
    health: Health
    figures: Figures | None
    wall: float
    histograms: Mapping[str, Histogram]
    stages: Mapping[str, Histogram]

    @property
    def step(self) -> Step:
        """The last one; an empty one before the first."""
        return Step(0.0, 0.0) if self.figures is None else self.figures.step

    def cards(self, read: Callable[[Card], float]) -> Mapping[str, float]:
        """Give a figure over the window and over the run."""
        if self.figures is None:
            return {}
        return {"window": read(self.figures.window), "run": read(self.figures.run)}


S = TypeVar("S", default=Seen)


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """One metric, read from what stands at a scrape: of a stream, unless told otherwise.

    Args:
        name: as it is exposed.
        kind: its type.
        unit: of its value; "" for a bare number.
        text: its meaning, in a sentence or two; the first is its help in the exposition.
        read: its value at a scrape.
        label: the name of its label; "" without.
    """

    name: str
    kind: Kind
    unit: str
    text: str
    read: Callable[[S], Values]
    label: str = ""

    def __post_init__(self) -> None:
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise ValueError(
                f"{self.name} is a {self.kind}: counters, and they alone, end in _total"
            )
        if not self.text.endswith("."):
            raise ValueError(f"{self.name} has the text {self.text!r}: give whole sentences")


def counted(read: Callable[[Figures], float]) -> Callable[[Seen], Values]:
    """Read a count of the tally, 0 before the first step."""
    return lambda at: 0.0 if at.figures is None else read(at.figures)


def scored(read: Callable[[Card], float]) -> Callable[[Seen], Values]:
    """Read a figure of merit over the window and over the run."""
    return lambda at: at.cards(read)


def timed(name: str) -> Callable[[Seen], Values]:
    """Read a histogram by its name."""
    return lambda at: at.histograms[name]
