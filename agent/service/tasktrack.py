"""The tasks' posterior over time: which column of a history holds which task, and the changes."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.service.history import History
from streams.records import Change

if TYPE_CHECKING:  # it stands on torch, which the rivals of `evaluate` do without
    from agent.continual.changes import TaskReport

SHOWN = 8  # tasks with a column of their own
WIDTH = SHOWN + 2  # columns, with those of the others and of a new task


@dataclass(frozen=True, slots=True)
class TaskMark:
    """The task changed: when, after how many events and labels of the run, to which, how surely."""

    wall: float
    events: int
    labels: int
    kind: Change
    task: int
    probability: float


class TaskTrack:
    """Follows the tasks that are believed in.

    Each gets a column as it is met. Where all are taken, one that is no longer remembered gives
    way: its past is added to that of the others.

    Args:
        start: the first of `WIDTH` columns in the histories.
        histories: they.
        marks: changes kept.
    """

    def __init__(self, start: int, histories: Sequence[History], marks: int) -> None:
        self.marks: deque[TaskMark] = deque(maxlen=marks)
        self._start, self._histories = start, histories
        self._numbers: list[int] = []
        self._others = False
        self._label: int | None = None  # of the last change seen; those before the run are no news

    def note(self, report: "TaskReport", wall: float, events: int, labels: int) -> None:
        """Mark the changes noticed since the last report."""
        last = max((change.label for change in report.noticed), default=0)
        before = last if self._label is None else self._label
        for one in report.noticed:
            if one.label > before:
                mark = TaskMark(wall, events, labels, one.kind, one.task, one.probability)
                self.marks.append(mark)
        self._label = max(before, last)

    def columns(self) -> dict[str, int]:
        """The columns in use by their names, "task:3", "task:others", "task:new"."""
        if self._label is None:
            return {}
        found = {f"task:{number}": at for at, number in enumerate(self._numbers)}
        others = {"task:others": SHOWN} if self._others else {}
        every = found | others | {"task:new": SHOWN + 1}
        return {name: self._start + at for name, at in every.items()}

    def row(self, report: "TaskReport | None") -> list[float]:
        """Probabilities of the tasks in their columns, then of the others, then of a new one."""
        if report is None:
            return [float("nan")] * WIDTH
        for number in report.posterior:
            if number not in self._numbers:
                self._seat(number, report)
        known = [report.posterior.get(number, 0.0) for number in self._numbers]
        every = sum(report.posterior.values())
        others = max(0.0, every - sum(known))
        self._others = self._others or any(one not in self._numbers for one in report.posterior)
        blank = [float("nan")] * (SHOWN - len(known))
        return [*known, *blank, others, max(0.0, 1 - every)]

    def _seat(self, number: int, report: "TaskReport") -> None:
        """Give a task a column, if one is free or can be freed."""
        if len(self._numbers) < SHOWN:
            self._numbers.append(number)
            return
        gone = [at for at, one in enumerate(self._numbers) if one not in report.posterior]
        if gone:
            for history in self._histories:
                history.fold(self._start + gone[0], self._start + SHOWN)
            self._numbers[gone[0]], self._others = number, True
