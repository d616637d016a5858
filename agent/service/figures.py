"""What the tally gives, and how much of the past it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.service.drift import DriftSettings
from agent.service.report import Step
from agent.service.scorecard import Card
from agent.service.tasktrack import TaskMark


@dataclass(frozen=True, slots=True)
class TallySettings:
    """How much of the past is kept.

    Args:
        window: labels in the sliding window.
        rare_window: labels over which a rare class's average precision is taken.
        points: points kept of the whole run, and of its recent part; even.
        tick: seconds between two points of a young run.
        recent_ticks: ticks that make one point of the recent part.
        voices: columns for experts' weights; those that do not fit are summed as "others".
        marks: drift marks kept, and as many changes of the task.
        drift: when a rise of the loss is marked.
    """

    window: int = 1_000
    rare_window: int = 10_000
    points: int = 600
    tick: float = 0.1
    recent_ticks: int = 10
    voices: int = 12
    marks: int = 200
    drift: DriftSettings = field(default_factory=DriftSettings)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("window", "recent_ticks", "voices", "marks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give 1 or more")
        if self.rare_window < self.window:
            raise ValueError(f"rare_window is {self.rare_window}: give {self.window} or more")
        if self.points < 2 or self.points % 2:  # noqa: PLR2004 - points are joined in pairs
            raise ValueError(f"points is {self.points}: give an even number, 2 or more")
        if not self.tick > 0:
            raise ValueError(f"tick is {self.tick}: give seconds above 0")


@dataclass(frozen=True, slots=True)
class Mark:
    """The loss was noticed to have risen: when, after how many labels, from and to what."""

    wall: float
    events: int
    labels: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything a person may want to know now. Rates are a second's; delays in seconds.

    `run` is over all labels, `window` over the last `TallySettings.window`. `delay` has the median,
    the 90th and the 99th percentile of the window. `voices` has the experts' weights, averaged over
    some twenty ticks, those beyond `TallySettings.voices` as one; `experts` has them all.
    `changed` counts changes of the task by kind, `faults` resets by expert, since the process
    began. `rare` is the positive class of the average precision and `rare_share` its share of all
    labels; None where there are not two classes.
    """

    step: Step
    began: float
    events: int
    predictions: int
    labels: Mapping[str, int]
    refused: Mapping[str, int]
    seconds: Mapping[str, float]
    rate: float
    run: Card
    window: Card
    delay: tuple[float, float, float]
    voices: Mapping[str, float]
    experts: Mapping[str, float]
    changed: Mapping[str, int]
    faults: Mapping[str, int]
    drifts: int
    marks: tuple[Mark, ...]
    changes: tuple[TaskMark, ...]
    rare: str | None
    rare_share: float
