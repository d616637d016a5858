"""A life in columns, a row a step: what plots are drawn from. It goes into checkpoints, too.

Shapes: L steps, C columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.robot.turn import Turn

COLUMNS: Final = (
    "step", "reward", "surprise", "believed", "bodies", "truth", "noticed", "falls", "plan",
    "learn",
)  # fmt: skip
"""Reward and surprise are means over the robots, believed body and truth those of the first one,
noticed 1 for a new body and 2 for a returned one; plan and learn are seconds."""
KINDS: Final = {"": 0.0, "new": 1.0, "returned": 2.0}
MOST: Final = 200_000  # steps that are kept; the oldest half goes


@dataclass(frozen=True, slots=True)
class Change:
    """The body changed, or was thought to: at which step, and to what."""

    step: int
    what: str


class Diary:
    """A watcher that keeps the last steps of a life."""

    def __init__(self) -> None:
        self._rows_LC = np.zeros((1024, len(COLUMNS)), np.float64)
        self._size = 0
        self._names: list[str] = []

    def __len__(self) -> int:
        return self._size

    def __call__(self, turn: Turn) -> None:
        """Take one step."""
        if self._size == len(self._rows_LC):
            self._make_room()
        first = turn.truth[0] if turn.truth else ""
        if first not in self._names:
            self._names.append(first)
        self._rows_LC[self._size] = (
            turn.step,
            float(turn.reward_N.mean()),
            float(turn.surprise_N.mean()),
            float(turn.body_N[0]),
            turn.bodies[0],
            self._names.index(first),
            KINDS[turn.change[0]],
            float(turn.fallen_N.sum()),
            turn.spent.plan,
            turn.spent.learn,
        )
        self._size += 1

    def _make_room(self) -> None:
        if self._size >= MOST:
            half = self._size // 2
            self._rows_LC[:half] = self._rows_LC[self._size - half : self._size]
            self._size = half
        else:
            self._rows_LC = np.concatenate([self._rows_LC, np.zeros_like(self._rows_LC)])

    def column(self, name: str) -> NDArray[np.float64]:
        """Give a column, shape L."""
        return self._rows_LC[: self._size, COLUMNS.index(name)].copy()

    def truths(self) -> Sequence[Change]:
        """Give the changes of the first robot's body, the first body included."""
        truth_L = self.column("truth").astype(int)
        return self._changes(truth_L, [self._names[at] for at in truth_L.tolist()])

    def beliefs(self) -> Sequence[Change]:
        """Give the changes of what the first robot's body is believed to be, likewise."""
        believed_L = self.column("believed").astype(int)
        return self._changes(
            believed_L, [f"body {at}" if at >= 0 else "" for at in believed_L.tolist()]
        )

    def _changes(self, value_L: NDArray[np.int64], names: Sequence[str]) -> Sequence[Change]:
        step_L = self.column("step").astype(int)
        new = np.flatnonzero(np.diff(value_L, prepend=-(10**6)))
        return [Change(int(step_L[at]), names[at]) for at in new.tolist()]

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give all of it, for a checkpoint."""
        return {"diary": self._rows_LC[: self._size].copy()}, {"names": list(self._names)}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self._rows_LC = np.array(arrays["diary"], np.float64).reshape(-1, len(COLUMNS))
        self._size = len(self._rows_LC)
        self._names = list(meta["names"])
        if self._size == 0:
            self._rows_LC = np.zeros((1024, len(COLUMNS)), np.float64)
