"""Probes of memory: does today's agent still know what it once learned?

Of every task a few rows are kept with their labels, spread evenly over its life. Now and then the
agent is asked about the current task's rows and about those of one old task, without learning; what
it loses on an old one, beyond what it lost at the last look before the task was left, is what it
has forgotten. (A change is noticed late: by then the agent has begun to learn the new task.) The
agent has learned from these rows, so the level says less than the change. Which task a row belongs
to is said by whoever infers tasks; where nobody does, every so many labels are one.

All is told at the ends of blocks and hangs on the labels alone: the probes are part of the state.

Shapes: B lanes of a block, R rows of a probe, F columns, P probes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.service.answers import Answers
from agent.service.report import Memory, Probed
from agent.service.teacher import Teacher

Rows: TypeAlias = NDArray[np.float32]
Truths: TypeAlias = NDArray[np.float64]
COUNTS = ("task", "kept", "met", "stride", "current_at", "asked_at")
LOSSES = ("left", "loss")
WORST = 1e3  # nats


class Subject(Protocol):
    """An agent that can be asked."""

    def loss(self, x_RF: Rows, y_R: Truths) -> float:
        """Give its mean loss on these rows today, in nats, and teach it nothing."""
        ...

    def task(self) -> int | None:
        """Give the number of the task that it is learning; None if it tells none apart."""
        ...

    def plasticity(self) -> Mapping[str, float]:
        """Give figures by kind of how ready it is to learn."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How memory is probed.

    Args:
        every: labels between two looks, each at the current task and an old one; 0 keeps no probes.
        rows: kept of a task.
        tasks: probed at most; beyond, the one that was current longest ago is dropped.
        segment: labels that count as one task where the agent tells none apart; `rows` or more.
    """

    every: int = 2_000
    rows: int = 64
    tasks: int = 16
    segment: int = 5_000

    def __post_init__(self) -> None:
        if self.every < 0:
            raise ValueError(f"every is {self.every}; give labels, or 0 for no probes")
        bounds = (("rows", 2, 1024), ("tasks", 2, 256), ("segment", self.rows, 10**9))
        for name, least, most in bounds:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} to {most}")


@dataclass(slots=True)
class _Probe:
    """Rows of one task; `left` is its loss at the last look before it was left, NaN until then."""

    x_RF: Rows
    y_R: Truths
    task: int
    kept: int = 0
    met: int = 0
    stride: int = 1
    current_at: int = 0
    asked_at: int = 0
    left: float = math.nan
    loss: float = math.nan

    def take(self, row_F: Rows, truth: float) -> None:
        """Keep every `stride`-th row; when full, every second of those kept."""
        if self.met % self.stride == 0 and self.kept == len(self.y_R):
            half = (self.kept + 1) // 2
            self.x_RF[:half], self.y_R[:half] = self.x_RF[::2].copy(), self.y_R[::2].copy()
            self.kept, self.stride = half, 2 * self.stride
        if self.met % self.stride == 0:
            self.x_RF[self.kept], self.y_R[self.kept] = row_F, truth
            self.kept += 1
        self.met += 1


@dataclass(slots=True)
class Probes:
    """The probes of one agent.

    Args:
        settings: how many, and how often.
        width: F.
        subject: the agent.
    """

    settings: ProbeSettings
    width: int
    subject: Subject
    _probes: dict[int, _Probe] = field(default_factory=dict)
    _current: int | None = None
    _labels: int = 0
    _since: int = 0  # labels when the current task came
    _plasticity: Mapping[str, float] = field(default_factory=dict)

    def learned(self, x_BF: Rows, y_B: Truths, seen_B: NDArray[np.bool_]) -> None:
        """Keep some of the block that has just been learned; look, if it is time to."""
        if not self.settings.every:
            return
        task, before = self.subject.task(), self._labels // self.settings.every
        for lane in np.flatnonzero(seen_B).tolist():
            number = self._labels // self.settings.segment if task is None else task
            if number != self._current:
                self._change(number)
            self._labels += 1
            self._probes[number].take(x_BF[lane], float(y_B[lane]))
        if self._labels // self.settings.every > before:
            self._look()
            self._plasticity = self.subject.plasticity()

    def memory(self) -> Memory:
        """Tell what is known of the tasks that are not current, by their numbers."""
        old = (self._probes[number] for number in sorted(self._old()))
        told = (
            Probed(one.task, one.kept, one.left, one.loss)
            for one in old
            if not math.isnan(one.left)
        )
        return Memory(tuple(told), self._plasticity)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Give all that changes as arrays of their own."""
        probes = list(self._probes.values())
        if self._current is None:
            return {}
        arrays: dict[str, NDArray[Any]] = {
            "now": np.array([self._current, self._labels, self._since]),
            "x": np.stack([one.x_RF for one in probes]),
            "y": np.stack([one.y_R for one in probes]),
            "counts": np.array([[getattr(one, name) for name in COUNTS] for one in probes]),
            "losses": np.array([[getattr(one, name) for name in LOSSES] for one in probes]),
        }
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on as the one that gave these; without any, or with other bounds, anew."""
        self._probes, self._current, self._labels, self._since = {}, None, 0, 0
        shape = (self.settings.rows, self.width)
        if "now" not in arrays or arrays["x"].shape[1:] != shape:
            return
        self._current, self._labels, self._since = arrays["now"].tolist()
        tables = zip(*(arrays[name] for name in ("x", "y", "counts", "losses")), strict=True)
        for x_RF, y_R, counts, losses in tables:
            named = dict(zip(COUNTS, counts.tolist(), strict=True))
            named |= dict(zip(LOSSES, losses.tolist(), strict=True))
            self._probes[named["task"]] = _Probe(np.array(x_RF), np.array(y_R), **named)

    def _change(self, number: int) -> None:
        """Go over to a task; note what the one before loses on being left, unless it flashed by."""
        if self._current is not None:
            left = self._probes[self._current]
            left.current_at = self._labels
            if self._labels - self._since >= self.settings.rows:
                if left.asked_at <= self._since:
                    self._measure(left)
                left.left = left.loss
        self._current, self._since = number, self._labels
        if number not in self._probes:
            if len(self._probes) >= self.settings.tasks:
                oldest = min(self._old(), key=lambda one: self._probes[one].current_at)
                del self._probes[oldest]
            self._probes[number] = self._empty(number)

    def _empty(self, number: int) -> _Probe:
        rows = self.settings.rows
        return _Probe(np.zeros((rows, self.width), np.float32), np.zeros(rows), number)

    def _look(self) -> None:
        """Ask about the current task, and about the old one that was asked about longest ago."""
        old = [self._probes[number] for number in self._old()]
        if old:
            self._measure(min(old, key=lambda one: one.asked_at))
        if self._current is not None and self._labels - self._since >= self.settings.rows:
            self._measure(self._probes[self._current])

    def _measure(self, probe: _Probe) -> None:
        probe.asked_at = self._labels
        if probe.kept:
            probe.loss = self.subject.loss(probe.x_RF[: probe.kept], probe.y_R[: probe.kept])

    def _old(self) -> list[int]:
        return [number for number in self._probes if number != self._current]


@dataclass(frozen=True, slots=True)
class Asked:
    """A teacher's learner as a subject: asked as if each row came now."""

    teacher: Teacher
    answers: Answers

    def loss(self, x_RF: Rows, y_R: Truths) -> float:
        """Mean loss, each row's cut at `WORST`."""
        x_RF = x_RF.copy()
        x_RF[:, -1] = 0.0  # the lateness
        told = self.teacher.ask(x_RF)
        scored = [(said, truth, 0.0) for said, truth in zip(told, y_R.tolist(), strict=True)]
        loss = self.answers.scores(scored).loss
        return float(np.nan_to_num(loss, nan=WORST).clip(-WORST, WORST).mean())

    def task(self) -> int | None:
        """As a mixture over tasks says, where one sits at the table."""
        report = self.teacher.tasks()
        return None if report is None else report.current

    def plasticity(self) -> Mapping[str, float]:
        """Of the networks in the learner's state."""
        return self.teacher.plasticity()
