"""What the card world is like: how many people, which attacks when, how late the labels."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Task: TypeAlias = Literal["big_amounts", "compromised_terminals", "leaked_cards", "card_testing"]
"""big_amounts: whatever exceeds a limit is fraud. compromised_terminals: all that passes through
some terminals is. leaked_cards: some purchases of some cards are five times as large and online.
card_testing: bursts of tiny purchases at night."""

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True)
class Attack:
    """When a pattern is active: for `lasting` days from day `first` on, again `every` days.

    Args:
        task: the pattern's name.
        first: the day on which it first appears, counted from 0.
        lasting: days that it stays, with three days of coming up and three of fading.
        every: days from one appearance to the next.
    """

    task: Task
    first: int
    lasting: int
    every: int

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task: {self.task!r} is unknown; take one of {', '.join(TASKS)}")
        if self.first < 0:
            raise ValueError(f"first: {self.first} is negative; take 0 or more")
        if not 1 <= self.lasting <= self.every:
            raise ValueError(f"lasting: {self.lasting} is not in 1..every ({self.every})")

    def episode(self, day: int) -> int:
        """Say which appearance this day falls into or follows; -1 before the first."""
        return (day - self.first) // self.every if day >= self.first else -1

    def strength(self, day: int) -> float:
        """Say how strong it is on that day, 0 to 1."""
        if day < self.first:
            return 0.0
        since = (day - self.first) % self.every
        return max(0.0, min(1.0, (since + 1) / 4, (self.lasting - since) / 4))


SCHEDULE = (
    Attack("big_amounts", first=0, lasting=20, every=60),
    Attack("compromised_terminals", first=12, lasting=24, every=70),
    Attack("leaked_cards", first=30, lasting=20, every=55),
    Attack("card_testing", first=45, lasting=20, every=65),
)


@dataclass(frozen=True, slots=True)
class FraudSettings:
    """The card world.

    Args:
        customers: cards, one a customer; about two purchases a day each.
        terminals: shops' terminals on a square of 100 km by 100 km.
        days: days until it ends (labels still come after); None goes on for ever.
        seed: the same seed gives the same records, bit for bit.
        speed: seconds of event time a second; None is flat out.
        label_delay_days: median of the log-normal delay of a label; 0 is at once.
        label_delay_sigma: its deviation in log.
        give_up_days: a label that would take longer never comes.
        unlabelled: share of events whose label never comes in any case.
        missing: share of events without a distance, and as many without a category.
        radius_km: how far from home people shop.
        fraud_share: share of a day's purchases that one attack at full strength makes fraud, about.
        limit: amounts beyond it are fraud while `big_amounts` is active.
        schedule: which attacks when.
    """

    customers: int = 5_000
    terminals: int = 1_000
    days: int | None = None
    seed: int = 0
    speed: float | None = None
    label_delay_days: float = 3.0
    label_delay_sigma: float = 0.6
    give_up_days: int = 30
    unlabelled: float = 0.02
    missing: float = 0.02
    radius_km: float = 5.0
    fraud_share: float = 0.01
    limit: float = 220.0
    schedule: tuple[Attack, ...] = SCHEDULE

    def __post_init__(self) -> None:
        for name in ("customers", "terminals"):
            _within(name, getattr(self, name), 1, 1 << 22)
        _within("give_up_days", self.give_up_days, 1, 365)
        _within("seed", self.seed, 0, float("inf"))
        for name in ("unlabelled", "missing"):
            _within(name, getattr(self, name), 0, 1)
        _within("fraud_share", self.fraud_share, 0, 0.2)
        for name in ("label_delay_days", "label_delay_sigma", "radius_km", "limit"):
            _within(name, getattr(self, name), 0, 1e6)
        if self.days is not None:
            _within("days", self.days, 1, 1 << 22)
        if self.speed is not None and not self.speed > 0:
            raise ValueError(f"speed: {self.speed} is not above 0; leave it out to go flat out")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: {value} is not in {low:g}..{high:g}")
