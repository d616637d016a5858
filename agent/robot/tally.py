"""How the robots fare: sums, a window and histories in bounded memory, for page and terminal.

The loop writes, other threads read: one lock. Time comes with the steps. N robots.
"""

import math
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.robot.around import Around, Curve
from agent.robot.turn import Turn
from agent.service.history import History

Span: TypeAlias = Literal["run", "recent"]

COLUMNS: Final = (
    "wall", "step", "believed", "truth", "reward", "surprise", "plan", "learn", "bodies",
)  # fmt: skip
LAST: Final = 4  # columns that keep their latest value when points are joined
POINTS: Final = 600
MARKS: Final = 200
SECONDS: Final = 2.0  # of the window
TRUTHS: Final = 1000  # names of bodies that are told apart


@dataclass(frozen=True, slots=True)
class Mark:
    """Something happened: "body" (it changed), "new" or "returned" (it was noticed), or "fall"."""

    kind: str
    step: int
    wall: float
    what: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a person may want to know now.

    Args:
        turn: the last step.
        steps: since this process began.
        total: reward of a robot since then, the mean over robots.
        reward: a step's, the mean over the window.
        surprise: likewise.
        plan: median, 99th percentile of seconds of a step, over the window.
        learn: likewise.
        rate: steps a second, over the window.
        noticed: changes by kind, of all robots.
        altered: how often the true body changed.
        falls: of all robots.
        marks: the latest things that happened.
        around: the latest changes of the body, with what came of each.
    """

    turn: Turn
    steps: int
    total: float
    reward: float
    surprise: float
    plan: tuple[float, float]
    learn: tuple[float, float]
    rate: float
    noticed: Mapping[str, int]
    altered: int
    falls: int
    marks: tuple[Mark, ...]
    around: tuple[Curve, ...]


@dataclass(slots=True)
class _State:
    """All that changes."""

    run: History
    recent: History
    around: Around
    window: deque[tuple[float, float, float, float, float]]  # now, reward, surprise, plan, learn
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MARKS))
    noticed: Counter[str] = field(default_factory=lambda: Counter({"new": 0, "returned": 0}))
    truths: list[str] = field(default_factory=list)
    turn: Turn | None = None
    steps: int = 0
    total: float = 0.0
    altered: int = 0
    falls: int = 0


class Tally:
    """A watcher that counts and keeps; see `Figures` for what comes out.

    Args:
        dt: seconds of a step of control.
    """

    def __init__(self, dt: float) -> None:
        self.dt = dt
        self._lock = threading.Lock()
        last = range(LAST)
        self._state = _State(
            run=History(len(COLUMNS), POINTS, last),
            recent=History(len(COLUMNS), POINTS, last, rolling=True),
            around=Around(dt),
            window=deque(maxlen=max(8, round(SECONDS / dt))),
        )

    def __call__(self, turn: Turn) -> None:
        """Take one step."""
        with self._lock:
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        state = self._state
        reward, surprise = float(turn.reward_N.mean()), float(turn.surprise_N.mean())
        state.turn, state.steps = turn, state.steps + 1
        state.total += reward
        state.falls += int(turn.fallen_N.sum())
        state.altered += turn.altered
        state.window.append((turn.now, reward, surprise, turn.spent.plan, turn.spent.learn))
        state.around(turn, reward, surprise)
        self._mark(turn)
        row = (
            turn.wall, turn.step, turn.body_N[0], self._truth(turn), reward, surprise,
            turn.spent.plan, turn.spent.learn, np.mean(turn.bodies),
        )  # fmt: skip
        whole = np.array(row, np.float64)
        state.run.add(whole)
        state.recent.add(whole)

    def _truth(self, turn: Turn) -> float:
        names, first = self._state.truths, turn.truth[0] if turn.truth else ""
        if not first:
            return math.nan
        if first not in names and len(names) < TRUTHS:
            names.append(first)
        return float(names.index(first)) if first in names else math.nan

    def _mark(self, turn: Turn) -> None:
        state = self._state
        if turn.altered:
            state.marks.append(Mark("body", turn.step, turn.wall, turn.truth[0]))
        for kind, body in zip(turn.change, turn.body_N.tolist(), strict=True):
            if kind:
                state.noticed[kind] += 1
                state.marks.append(Mark(kind, turn.step, turn.wall, f"body {body}"))
        if turn.fallen_N.any():
            state.marks.append(Mark("fall", turn.step, turn.wall, ""))

    def figures(self) -> Figures | None:
        """Give what stands; None before the first step."""
        with self._lock:
            state = self._state
            if state.turn is None:
                return None
            now, reward, surprise, plan, learn = np.array(state.window).T
            return Figures(
                turn=state.turn,
                steps=state.steps,
                total=state.total,
                reward=float(reward.mean()),
                surprise=float(surprise.mean()),
                plan=_spread(plan),
                learn=_spread(learn),
                rate=float((len(now) - 1) / max(now[-1] - now[0], 1e-9)),
                noticed=dict(state.noticed),
                altered=state.altered,
                falls=state.falls,
                marks=tuple(state.marks),
                around=state.around.curves(),
            )

    def history(self, span: Span) -> tuple[Sequence[str], NDArray[np.float64]]:
        """Give the names of the columns, and the points, the oldest first."""
        with self._lock:
            return COLUMNS, (self._state.run if span == "run" else self._state.recent).rows()

    def truths(self) -> tuple[str, ...]:
        """Name the true bodies met so far, in the numbers of the history's column."""
        with self._lock:
            return tuple(self._state.truths)


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    middle, most = np.percentile(values, (50, 99))
    return float(middle), float(most)
