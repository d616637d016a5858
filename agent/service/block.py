"""The open block: lanes that are answered and learned together.

Each event and each label takes one lane, in the order of the records. A block is closed, and
learned with one gradient step, when its lanes are full or it has labels enough, never because a
poll ended. A block that is still open is answered in the same fixed shape: the same bits wherever
the polls were cut.

A row's last column is its lateness: how many labels were learned between its question and its own
label; 0 for a row that is asked now.

Shapes: B lanes, F columns, the lateness among them, W words behind what was said of a late row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.pool import UNSAID, Words
from streams.records import Event

STAMPS = 2**24
"""Counts of labels are kept modulo this, as a float32 that holds them exactly."""
LATEST = 1_000_000
"""A lateness is cut here: further back no learner looks."""


def stamp(learned: int) -> np.float32:
    """Say how many labels have been learned, in a number that stands beside a row."""
    return np.float32(learned % STAMPS)


def since(then: np.float32, learned: int) -> int:
    """Give the lateness of a row with this stamp: labels learned since."""
    return min((learned - int(then)) % STAMPS, LATEST)


@dataclass(slots=True)
class Block:
    """Lanes so far: rows, labels, which of them may be learned; and who still waits for an answer.

    It is full after `room` lanes, or `enough` labels: a young stream's block is learned in parts.
    `asked` holds lane, event and the number of classes known then; it is empty between two feeds.
    `waits` holds the lanes of events asked in this block that wait for their labels, by id.
    """

    x_BF: NDArray[np.float32]
    y_B: NDArray[np.float64]
    seen_B: NDArray[np.bool_]
    then_BW: Words
    enough: int
    room: int
    lanes: int = 0
    told: int = 0
    asked: list[tuple[int, Event, int]] = field(default_factory=list)
    waits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(
        cls,
        lanes: int,
        width: int,
        unsaid: Words = UNSAID,
        enough: int | None = None,
        room: int | None = None,
    ) -> "Block":
        """An empty block of rows of so many columns, the lateness among them.

        Args:
            lanes: B.
            width: F.
            unsaid: the words of rows that have none (W), NaN.
            enough: labels that fill it; as many as it has lanes where not given.
            room: lanes that fill it; all where not given.
        """
        x_BF = np.zeros((lanes, width), np.float32)
        then_BW = np.tile(unsaid, (lanes, 1))
        most, room = lanes if enough is None else enough, lanes if room is None else room
        return cls(x_BF, np.zeros(lanes), np.zeros(lanes, np.bool_), then_BW, most, room)

    @property
    def full(self) -> bool:
        """Whether no lane is left, or it has labels enough."""
        return self.lanes >= self.room or self.told >= self.enough

    @property
    def recalls(self) -> bool:
        """Whether any lane has words of then."""
        return not np.isnan(self.then_BW[:, :1]).all()

    def ask(self, row_F: NDArray[np.float32], event: Event, known: int) -> int:
        """Take a lane for an event, whose row is without its lateness; give its number."""
        lane = self.lanes
        self.x_BF[lane, :-1] = row_F
        self.asked.append((lane, event, known))
        self.lanes = lane + 1
        return lane

    def teach(
        self, row_F: NDArray[np.float32], truth: float, lateness: int, words: Words = UNSAID
    ) -> int:
        """Take a lane for a late label; give its number.

        Words may be of a time with fewer classes, or than there is room for now: their beginning
        stays what it was.
        """
        lane = self.lanes
        kept = min(len(words), self.then_BW.shape[1])
        self.then_BW[lane, :kept] = words[:kept]
        self.x_BF[lane, :-1] = row_F
        self.x_BF[lane, -1] = lateness
        self.tell(lane, truth)
        self.lanes = lane + 1
        return lane

    def tell(self, lane: int, truth: float) -> None:
        """Say the label of a lane."""
        self.y_B[lane] = truth
        self.seen_B[lane] = True
        self.told += 1

    def take(self, other: "Block") -> None:
        """Take the lanes of another behind one's own."""
        lanes = slice(self.lanes, self.lanes + other.lanes)
        for mine, its in (
            (self.x_BF, other.x_BF),
            (self.y_B, other.y_B),
            (self.seen_B, other.seen_B),
            (self.then_BW, other.then_BW),
        ):
            mine[lanes] = its[: other.lanes]
        self.lanes, self.told = lanes.stop, self.told + other.told

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Give the lanes as arrays of their own."""
        lanes = self.lanes
        then = {"then": self.then_BW[:lanes].copy()} if self.recalls else {}
        return then | {
            "x": self.x_BF[:lanes].copy(),
            "y": self.y_B[:lanes].copy(),
            "seen": self.seen_B[:lanes].copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `snapshot` gave."""
        self.lanes = len(arrays["y"])
        self.x_BF[: self.lanes] = arrays["x"]
        self.y_B[: self.lanes] = arrays["y"]
        self.seen_B[: self.lanes] = arrays["seen"]
        self.x_BF[self.lanes :] = 0
        self.y_B[self.lanes :] = 0
        self.seen_B[self.lanes :] = False
        self.then_BW[:] = np.nan
        if "then" in arrays:
            self.then_BW[: self.lanes] = arrays["then"]
        self.told = int(self.seen_B.sum())
        self.asked, self.waits = [], {}
