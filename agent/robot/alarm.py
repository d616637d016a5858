"""When is a surprise a change? A cumulative sum of how far its logarithm stands out.

    z = (log s - m) / d,   g <- max(0, g + min(z, c) - k),   an alarm where g >= h

(Page 1954, Continuous inspection schemes), with m and d the running mean and deviation of calm
steps, at which g is below h / 2. No single step is enough: c < h + k. So there are some steps to
judge a change by.

Shapes: N robots.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-9


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """When a surprise is a change.

    Args:
        allowance: k, deviations that count for nothing.
        threshold: h.
        most: c, the most that a step counts for.
        pace: share of a calm step in the running mean.
        settle: steps after an alarm, and at the very start, in which none is raised and the
            running mean follows five times as fast: the body is still being learned.
    """

    allowance: float = 1.5
    threshold: float = 8.0
    most: float = 4.0
    pace: float = 0.02
    settle: int = 40

    def __post_init__(self) -> None:
        if not 0 <= self.allowance < self.most < self.threshold + self.allowance:
            raise ValueError(
                f"allowance, most and threshold are {self.allowance}, {self.most} and"
                f" {self.threshold}; give allowance < most < threshold + allowance"
            )
        if not 0 < self.pace <= 0.2 or self.settle < 0:  # noqa: PLR2004 (five times it is one)
            raise ValueError("pace must be above 0, 0.2 at the most, and settle 0 or more")


class Alarm:
    """The detector; its state is five numbers a robot."""

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings

    def begin(self, robots: int) -> dict[str, Tensor]:
        """Nothing heard."""
        zero = torch.zeros(robots)
        steps = torch.zeros(robots, dtype=torch.int64)
        return {"mean": zero, "square": zero + 1.0, "sum": zero, "age": steps, "strange": steps}

    def hear(
        self, state: Mapping[str, Tensor], surprise_N: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Give the state after a step, and which alarms are raised now, shape N (bool).

        The leaf `strange` counts the steps since the sum rose from nought.
        """
        settings = self._settings
        log_N = (surprise_N + TINY).log()
        off_N = log_N - state["mean"]
        spread_N = state["square"].clamp(min=0.01).sqrt()
        more_N = (off_N / spread_N).clamp(max=settings.most) - settings.allowance
        settles_N = state["age"] < settings.settle
        sum_N = torch.where(settles_N, 0.0, (state["sum"] + more_N).clamp(min=0))
        raised_N = sum_N >= settings.threshold
        pace_N = torch.where(settles_N, 5 * settings.pace, settings.pace)
        pace_N = torch.where(settles_N | (sum_N < settings.threshold / 2), pace_N, 0.0)
        first_N = state["age"] == 0
        mean_N = torch.where(first_N, log_N, state["mean"] + pace_N * off_N)
        square_N = state["square"] + pace_N * (off_N.square() - state["square"])
        return {
            "mean": mean_N,
            "square": torch.where(first_N, state["square"], square_N),
            "sum": torch.where(raised_N, 0.0, sum_N),
            "age": torch.where(raised_N, 1, state["age"] + 1),
            "strange": torch.where(sum_N > 0, state["strange"] + 1, 0),
        }, raised_N
