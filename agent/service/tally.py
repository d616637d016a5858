"""How the agent fares: bounded sums, windows and histories behind the page and the live table.

A watcher that stays cheap by doing little at a step (a few additions) and the rest on whole
arrays, ten times a second at most. The loop writes, other threads read: one lock. Time comes with
the steps.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.service.drift import Alarm
from agent.service.figures import Figures, Mark, TallySettings
from agent.service.history import History, Ring
from agent.service.nochange import LastLabel, NoChange
from agent.service.report import Scores, Step
from agent.service.risen import Risen
from agent.service.scorecard import (
    METRICS,
    NAN,
    Card,
    Running,
    RunningClasses,
    RunningNumbers,
    average_precision,
    classes_card,
    numbers_card,
)
from agent.service.tasktrack import WIDTH, TaskTrack
from streams.schema import Goal

Span: TypeAlias = Literal["run", "recent"]

SMOOTH = 0.1  # of a tick's weights in their running mean
WORST = 1e3  # nats; stands for a loss that is not a number
COUNTS = ("wall", "events", "labels")
MEMORY = ("memory", "memory_left")
GAUGES = ("rate", "delay_p50", "delay_p90", "pending", "lag", *MEMORY, "loss", "loss_run")


@dataclass(slots=True)
class _State:
    """All that changes."""

    running: Running
    last: LastLabel
    repeat: NoChange
    ring: Ring
    alarm: Alarm
    run: History
    recent: History
    marks: deque[Mark]
    pace: deque[tuple[float, int]]
    waiting: list[Scores] = field(default_factory=list)
    events: int = 0
    predictions: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    voices: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    experts: dict[str, float] = field(default_factory=dict)
    changes: Risen = field(default_factory=Risen)
    faults: Risen = field(default_factory=Risen)
    drifts: int = 0
    first: Step | None = None
    step: Step | None = None
    due: float = 0.0
    precise_due: float = 0.0


class Tally:
    """Counts and scores what the pump reports; see `Figures` for what comes out."""

    def __init__(self, goal: Goal, settings: TallySettings | None = None) -> None:
        self.goal: Goal = goal
        self.settings = settings = settings or TallySettings()
        self._lock = threading.Lock()
        self.metrics = METRICS[goal]
        self._fixed = (*COUNTS, *GAUGES, *(n for m in self.metrics for n in (m, m + "_run")))
        self._voices_at = len(self._fixed) + WIDTH
        width = self._voices_at + settings.voices
        last = [0, 1, 2, *(i for i, name in enumerate(self._fixed) if name.endswith("_run"))]
        self._state = _State(
            running=RunningClasses() if goal == "classes" else RunningNumbers(),
            last=LastLabel(),
            repeat=NoChange(goal),
            ring=Ring(6, settings.rare_window if goal == "classes" else settings.window),
            alarm=Alarm(settings.drift),
            run=History(width, settings.points, last),
            recent=History(
                width, settings.points, last, stride=settings.recent_ticks, rolling=True
            ),
            marks=deque(maxlen=settings.marks),
            pace=deque(maxlen=20),
        )
        histories = (self._state.run, self._state.recent)
        self._track = TaskTrack(len(self._fixed), histories, settings.marks)

    def __call__(self, step: Step) -> None:
        """Take one step's report."""
        with self._lock:
            state = self._state
            state.first = state.first or step
            state.step = step
            state.events += step.events
            state.predictions += step.predictions
            _add(state.labels, step.labels)
            _add(state.refused, step.refused)
            _add(state.seconds, step.seconds)
            era = step.rebalances, step.shards, step.rewinds
            state.changes.look(step.tasks.changes if step.tasks else {}, era)
            state.faults.look(step.faults, era)
            if len(step.scores):
                state.waiting.append(step.scores)
            if step.tasks is not None:
                joined = state.labels.get("joined", 0)
                self._track.note(step.tasks, step.wall, state.events, joined)
            if step.now >= state.due:
                self._tick(step)

    def figures(self) -> Figures | None:
        """Give everything as it stands; None before the first step."""
        with self._lock:
            state = self._state
            if state.first is None or state.step is None:
                return None
            self._fold(state.step)
            run = replace(state.running.card(), no_change=state.repeat.run())
            rare, share = self._rare(state.step)
            return Figures(
                step=state.step,
                began=state.first.wall,
                events=state.events,
                predictions=state.predictions,
                labels=dict(state.labels),
                refused=dict(state.refused),
                seconds=dict(state.seconds),
                rate=self._rate(state.step),
                run=run,
                window=replace(self._window(), average_precision=self._precision()),
                delay=self._delays(),
                voices=dict(zip(state.voices, state.weights, strict=True)),
                experts=dict(state.experts),
                changed=dict(state.changes.counts),
                faults=dict(state.faults.counts),
                drifts=state.drifts,
                marks=tuple(state.marks),
                changes=tuple(self._track.marks),
                rare=rare,
                rare_share=share,
            )

    def history(self, span: Span) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Give the columns' names and their points, the oldest first; tasks and voices are last."""
        with self._lock:
            history = self._state.run if span == "run" else self._state.recent
            tasks = self._track.columns()
            voices = ["voice:" + name for name in self._state.voices]
            at = [*range(len(self._fixed)), *tasks.values()]
            at += range(self._voices_at, self._voices_at + len(voices))
            return (*self._fixed, *tasks, *voices), history.rows()[:, at]

    def _tick(self, step: Step) -> None:
        state, settings = self._state, self.settings
        self._fold(step)
        state.pace.append((step.now, state.events))
        self._weigh(step)
        row = self._row(step)
        state.run.add(row)
        state.recent.add(row)
        state.due = step.now + settings.tick

    def _fold(self, step: Step) -> None:
        """Score the labels that wait."""
        state = self._state
        if not state.waiting:
            return
        columns = np.concatenate([np.stack(scores.columns()) for scores in state.waiting], axis=1)
        last = np.concatenate([self._last(scores) for scores in state.waiting])
        state.waiting.clear()
        columns[2][~np.isfinite(columns[2])] = WORST
        state.running.add(columns)
        state.ring.add(np.vstack([columns, state.repeat.errors(columns[0], last)]))
        for rise in state.alarm.add(columns[2]):
            state.drifts += 1
            mark = Mark(step.wall, state.events, rise.label + 1, rise.before, rise.after)
            state.marks.append(mark)

    def _last(self, scores: Scores) -> NDArray[np.float64]:
        """What the last label known would have said, or at least the label before."""
        if scores.last is not None:
            return scores.last
        return self._state.last.said(scores.truth, np.zeros(len(scores), np.int64))

    def _row(self, step: Step) -> NDArray[np.float64]:
        state = self._state
        window = self._window()
        if step.now >= state.precise_due:  # it costs more than all the rest
            window = replace(window, average_precision=self._precision())
            state.precise_due = step.now + self.settings.tick * self.settings.recent_ticks / 2
        run = state.running.card()
        middle, most, _ = self._delays()
        row = np.full(self._voices_at + self.settings.voices, np.nan)
        scores = [getattr(card, name) for name in self.metrics for card in (window, run)]
        memory = step.memory
        row[: self._voices_at] = [
            *(step.wall, state.events, run.labels),
            *(self._rate(step), middle, most, step.pending),
            np.nan if step.lag is None else step.lag,
            *(memory.loss, memory.loss - memory.forgetting, window.loss, run.loss),
            *scores,
            *self._track.row(step.tasks),
        ]
        row[self._voices_at : self._voices_at + len(state.weights)] = state.weights
        return row

    def _window(self) -> Card:
        columns = self._state.ring.last(self.settings.window)
        card = classes_card(columns) if self.goal == "classes" else numbers_card(columns)
        return replace(card, no_change=self._state.repeat.figure(columns[5]))

    def _precision(self) -> float:
        """Average precision of the rarer class over the longer window."""
        step = self._state.step
        if step is None or len(step.classes) != 2:  # noqa: PLR2004 - it is meant for two classes
            return NAN
        truth, _, _, _, score, _ = self._state.ring.last(self.settings.rare_window)
        rarer = self._state.running.rarer()
        return average_precision(truth == rarer, score if rarer else -score)

    def _delays(self) -> tuple[float, float, float]:
        """Give the window's median, 90th and 99th percentile (nearest rank)."""
        delay = np.sort(self._state.ring.last(self.settings.window)[3])
        if len(delay) == 0:
            return NAN, NAN, NAN
        middle, most, nearly = (float(delay[int(q * (len(delay) - 1))]) for q in (0.5, 0.9, 0.99))
        return middle, most, nearly

    def _rate(self, step: Step) -> float:
        """Events a second over the last ticks."""
        state = self._state
        if not state.pace or step.now <= state.pace[0][0]:
            return NAN
        then, events = state.pace[0]
        return (state.events - events) / (step.now - then)

    def _weigh(self, step: Step) -> None:
        """Average the weights over the last ticks: from label to label they leap."""
        state, now = self._state, self._weights(step)
        before = state.weights + now[len(state.weights) :]
        state.weights = [old + SMOOTH * (new - old) for old, new in zip(before, now, strict=True)]
        for name, weight in step.voices.items():
            old = state.experts.setdefault(name, weight)
            state.experts[name] = old + SMOOTH * (weight - old)

    def _weights(self, step: Step) -> list[float]:
        """Weights in the order of `voices`, which grows by names newly seen, up to its bound."""
        names = self._state.voices
        if not step.voices:
            return self._state.weights
        fresh = [name for name in step.voices if name not in names]
        if fresh and names[-1:] != ["others"]:
            room = self.settings.voices - 1 - len(names)
            names += fresh if len(fresh) <= room else [*fresh[:room], "others"]
        weights = [step.voices.get(name, 0.0) for name in names]
        if names[-1] == "others":
            weights[-1] = max(0.0, sum(step.voices.values()) - sum(weights[:-1]))
        return weights

    def _rare(self, step: Step) -> tuple[str | None, float]:
        running = self._state.running
        if not isinstance(running, RunningClasses) or len(step.classes) != 2:  # noqa: PLR2004 - as above
            return None, NAN
        rarer = running.rarer()
        share = float(running.truths[rarer + 1]) / max(1, running.labels)
        return step.classes[rarer], share


def _add(sums: dict[str, float] | dict[str, int], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value  # type: ignore[assignment]
