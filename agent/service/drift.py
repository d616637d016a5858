"""Notices that the prequential loss has risen: an observer; nothing is learned from its marks."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import drift

SPREADS = 4.0
RECENT = 16
CLOCK = 8  # blocks from test to test
_ADWIN: Any = drift.ADWIN  # River's types are partial


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """How sudden a rise must be to be marked.

    Args:
        block: labels whose losses are averaged before the test sees them.
        warm: blocks from which the spread of the block means is taken.
        confidence: ADWIN's delta: chance of a false alarm at one test.
    """

    block: int = 32
    warm: int = 64
    confidence: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.block < 1 or self.warm < 2:  # noqa: PLR2004 - a spread needs two
            raise ValueError(f"block is {self.block}, warm is {self.warm}: give 1 and 2 or more")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}: give a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Rise:
    """The mean loss rose; noticed at this label (counted from 0).

    `before` is the mean since the last change, `after` that of the last blocks.
    """

    label: int
    before: float
    after: float


class Alarm:
    """ADWIN (Bifet and Gavaldà, 2007) on block means of the loss, in units of their spread.

    ADWIN's bound is for values in [0, 1]; dividing by four deviations brings a rare class's small
    losses and a regression's large ones there alike. After each rise, and when it has halved, the
    spread is taken anew. Only rises are marked.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._rest: NDArray[np.float64] = np.zeros(0)
        self._labels = 0
        self._recent: deque[float] = deque(maxlen=settings.warm)
        self._warming: list[float] = []
        self._unit = 0.0
        self._adwin = self._fresh()

    def add(self, loss: NDArray[np.float64]) -> list[Rise]:
        """Take losses in order; give the rises noticed."""
        block = self._settings.block
        loss = np.concatenate([self._rest, loss])
        whole = len(loss) // block * block
        self._rest = loss[whole:]
        rises = []
        for mean in loss[:whole].reshape(-1, block).mean(1).tolist():
            self._labels += block
            rises += self._see(mean)
        return rises

    def _see(self, mean: float) -> list[Rise]:
        if self._unit == 0.0:
            self._warming.append(mean)
            return self._start() if len(self._warming) == self._settings.warm else []
        rises = self._test(mean)
        if self._labels // self._settings.block % CLOCK == 0 and self._calmer():
            self._forget()
            self._warming = [*self._recent][:-1]
        return rises

    def _calmer(self) -> bool:
        """Whether the spread has halved: the unit was taken in a rougher time."""
        spread = float(np.std(self._recent))
        return len(self._recent) == self._settings.warm and 2 * SPREADS * spread < self._unit

    def _start(self) -> list[Rise]:
        """Fix the unit, then show the test what was seen meanwhile."""
        self._unit = max(SPREADS * float(np.std(self._warming)), 1e-9)
        waiting, self._warming = self._warming, []
        return [rise for mean in waiting for rise in self._test(mean)]

    def _test(self, mean: float) -> list[Rise]:
        if self._unit == 0.0:  # a change was found among the warm-up's own blocks
            self._warming.append(mean)
            return []
        before = self._adwin.estimation
        self._recent.append(mean)
        self._adwin.update(mean / self._unit)
        if not self._adwin.drift_detected:
            return []
        after = float(np.mean([*self._recent][-RECENT:]))
        rise = Rise(self._labels - 1, before * self._unit, after)
        if self._adwin.estimation <= before or rise.after <= rise.before:
            return []
        self._forget()
        return [rise]

    def _forget(self) -> None:
        self._unit, self._adwin = 0.0, self._fresh()

    def _fresh(self) -> Any:
        return _ADWIN(delta=self._settings.confidence, clock=CLOCK)
