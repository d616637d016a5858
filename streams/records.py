"""The words that every stage shares: what comes in, what goes out, what was refused."""

from typing import Literal, TypeAlias

import msgspec

Value: TypeAlias = float | str | tuple[str, ...] | None
"""One feature: a number, a word, some words, or missing."""

Truth: TypeAlias = float | str
"""What a label says: a number (regression), or a class by its name."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One observation, perhaps with its label riding along.

    `values` stand in the order of `Schema.fields`; `time` is event time in Unix seconds.
    """

    id: str
    key: str
    time: float
    values: tuple[Value, ...]
    label: Truth | None = None


class Label(msgspec.Struct, frozen=True, gc=False):
    """The truth about the event of that id; `time` is when it became known, in event time."""

    id: str
    time: float
    truth: Truth


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A record that could not be read: why, where it stood, and its bytes as they came."""

    reason: str  # one of `streams.codec.REASONS`: a metric's label, so few and fixed
    detail: str  # for a person: the field, the value, the remedy
    where: str  # "events.csv:17" or "topic[3]@4711"
    raw: bytes


Record: TypeAlias = Event | Label | Refused

Change: TypeAlias = Literal["new", "returned"]
"""A change of the task that a stream is at: one never met, or one met before."""


class ClassPrediction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Said of an event before its label was known: the likeliest class, and all of them.

    `label` is None only before any class has ever been seen. `probabilities` sum to one. Where the
    agent looks for tasks, `task` is the number of the one that the stream is thought to be at,
    `task_probability` how sure that is, and `change` stands on the first answer after a change: the
    task is new, or an old one returned. Elsewhere these three are absent.
    """

    id: str
    key: str
    time: float
    label: str | None
    probabilities: dict[str, float]
    task: int | None = None
    task_probability: float | None = None
    change: Change | None = None


class NumberPrediction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Said of an event before its label was known: mean, deviation, central 90 % interval.

    All in the target's own unit. `task`, `task_probability` and `change` as of classes.
    """

    id: str
    key: str
    time: float
    mean: float
    deviation: float
    low: float
    high: float
    task: int | None = None
    task_probability: float | None = None
    change: Change | None = None


Prediction: TypeAlias = ClassPrediction | NumberPrediction
