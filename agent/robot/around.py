"""Return and surprise around each change of the body: how deep the fall, how quick the return."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from agent.robot.turn import Turn

BEFORE: Final = 2.0  # seconds kept from before a change
AFTER: Final = 4.0  # and from after it
KEPT: Final = 8  # changes


@dataclass(frozen=True, slots=True)
class Curve:
    """A change of the body, and what came of it.

    Args:
        step: the first step with the new body.
        what: its name; of a change that was only noticed, what it was taken for.
        was: the name of the body before.
        start: steps from the change to the first point; 0 or less.
        reward: a step's, from `start` on.
        surprise: likewise.
        noticed: steps from the change until most robots had noticed it; None while they have not.
        kind: what it was taken for: "new", "returned" or "".
    """

    step: int
    what: str
    was: str
    start: int
    reward: tuple[float, ...]
    surprise: tuple[float, ...]
    noticed: int | None
    kind: str

    def mean(self, first: int, end: int) -> float | None:
        """Give the mean reward of the steps from `first` to before `end` after the change.

        None where they are not all there.
        """
        low, high = first - self.start, end - self.start
        if low < 0 or high > len(self.reward) or high <= low:
            return None
        return sum(self.reward[low:high]) / (high - low)


@dataclass(slots=True)
class _Open:
    step: int
    what: str
    was: str
    start: int
    reward: list[float]
    surprise: list[float]
    noticed: int | None = None
    kind: str = ""
    robots: set[int] = field(default_factory=set)

    def closed(self) -> Curve:
        return Curve(
            self.step, self.what, self.was, self.start, tuple(self.reward), tuple(self.surprise),
            self.noticed, self.kind,
        )  # fmt: skip


class Around:
    """Keeps the last changes. Where the truth is not known, those that were noticed.

    Args:
        dt: seconds of a step.
    """

    def __init__(self, dt: float) -> None:
        self._before, self._after = max(4, round(BEFORE / dt)), max(8, round(AFTER / dt))
        self._past: deque[tuple[float, float]] = deque(maxlen=self._before)
        self._kept: deque[_Open] = deque(maxlen=KEPT)
        self._truth = ""

    def __call__(self, turn: Turn, reward: float, surprise: float) -> None:
        """Take one step with its mean reward and surprise."""
        if turn.altered:
            self._begin(turn.step, turn.truth[0], self._truth)
        elif not any(turn.truth) and any(turn.change):
            at = next(at for at, kind in enumerate(turn.change) if kind)
            self._begin(turn.step, f"body {turn.body_N[at]}", "")
        for one in self._kept:
            if len(one.reward) + one.start < self._after:
                one.reward.append(reward)
                one.surprise.append(surprise)
        self._notice(turn)
        self._past.append((reward, surprise))
        self._truth = turn.truth[0] if turn.truth else ""

    def _begin(self, step: int, what: str, was: str) -> None:
        rewards, surprises = [one for one, _ in self._past], [one for _, one in self._past]
        self._kept.append(_Open(step, what, was, -len(self._past), rewards, surprises))

    def _notice(self, turn: Turn) -> None:
        """Half of the robots or more have noticed the latest change: say after how many steps."""
        if not self._kept or self._kept[-1].noticed is not None:
            return
        one = self._kept[-1]
        one.robots |= {at for at, kind in enumerate(turn.change) if kind}
        if one.robots and 2 * len(one.robots) >= len(turn.change):
            one.noticed = turn.step - one.step + 1
            one.kind = next((kind for kind in turn.change if kind), "")

    def curves(self) -> tuple[Curve, ...]:
        """Give the changes kept, the oldest first."""
        return tuple(one.closed() for one in self._kept)
