"""How far a number that is learned may lie from those before it.

One wild number among many, a sensor's error value or a hostile one, would overflow the sums of
every voice, or hide all that comes after it for thousands of labels. So what is learned is cut at
`WIDE` typical deviations from the mean of the labels so far. Each one that is so odd widens what is
typical by about a fifth: where labels have moved for good, they are learned as they are within some
hundred of them at most. While few labels are known nothing is cut, but at `FAR`. What is scored is
never cut.
"""

import math
from collections.abc import Sequence

WIDE = 1000.0
ODD = 100.0  # typical deviations: further ones count as so many, and slowly
FAR = 1e15  # squares of which, summed up, are numbers in single precision
FEW = 32  # labels
MEMORY = 20_000.0  # labels that the mean and the typical deviation remember, about


class Reach:
    """Follows the mean of the labels and their typical deviation."""

    def __init__(self) -> None:
        self._count, self._mean, self._square = 0.0, 0.0, 0.0

    def cut(self, truth: float) -> float:
        """Give the number as it is to be learned, and take note of that.

        >>> reach = Reach()
        >>> [reach.cut(float(at % 3)) for at in range(40)][-1]
        0.0
        >>> 500 < reach.cut(1e300) < 1500
        True
        """
        truth = max(-FAR, min(FAR, truth))
        typical = math.sqrt(self._square)
        known = self._count >= FEW and typical > 0
        away = truth - self._mean
        if known:
            away = max(-WIDE * typical, min(WIDE * typical, away))
            truth = self._mean + away if abs(away) == WIDE * typical else truth
        self._count = min(self._count + 1, MEMORY)
        odd = known and abs(away) > ODD * typical
        self._note(math.copysign(ODD * typical, away) if odd else away, odd=odd)
        return truth

    def _note(self, away: float, *, odd: bool) -> None:
        pace = 1 / (MEMORY if odd else self._count)
        self._mean += away * pace
        self._square += (away * away * (1 - pace) - self._square) * pace

    def snapshot(self) -> list[float]:
        """Give all that changes."""
        return [self._count, self._mean, self._square]

    def restore(self, kept: Sequence[float]) -> None:
        """Go on as the one that gave these; from checkpoints of before, anew."""
        self._count, self._mean, self._square = kept or (0.0, 0.0, 0.0)
