"""Exponentially weighted means as they stood before every row of a block, in one product.

Shapes: T tasks, B rows, H horizons, V values.
"""

import torch
from torch import Tensor

from agent.nets import before
from agent.nets.exact import power


class Trails:
    """e ← e + (value - e) / h for every seen row, one mean a horizon.

    Args:
        horizons: h, in rows.
    """

    def __init__(self, horizons: tuple[float, ...]) -> None:
        self._keep_H = torch.tensor([1 - 1 / one for one in horizons])
        self._memo: dict[tuple[int, int, torch.device], Tensor] = {}  # speed only

    def run(self, stood_THV: Tensor, value_TBV: Tensor, seen_TB: Tensor) -> tuple[Tensor, Tensor]:
        """Give the means before each row, shape TBHV, and those after the last, shape THV."""
        reach = self._reach(seen_TB)
        value = torch.where(seen_TB.unsqueeze(2), value_TBV, 0.0).unsqueeze(1)
        whole = reach[..., :-1] @ value + reach[..., -1:] * stood_THV.unsqueeze(2)
        return whole[:, :, :-1].transpose(1, 2), whole[:, :, -1]

    def _reach(self, seen_TB: Tensor) -> Tensor:
        """Weight of each row (last axis, then what stood before) before each row and at the end."""
        tasks, rows = seen_TB.shape
        place, every = (tasks, rows, seen_TB.device), bool(seen_TB.all())
        if every and place in self._memo:
            return self._memo[place]
        count = before(torch.cat([seen_TB, seen_TB[:, :1]], 1))
        gap = (count.unsqueeze(2) - count.unsqueeze(1)[..., :rows] - 1).clamp(min=0)
        keep = self._keep_H.to(seen_TB.device).view(1, -1, 1, 1)
        later = torch.ones(rows + 1, rows, dtype=torch.bool, device=seen_TB.device).tril(-1)
        reach = (
            (1 - keep) * power(keep, gap.unsqueeze(1)) * (later & seen_TB.unsqueeze(1)).unsqueeze(1)
        )
        whole = torch.cat([reach, power(keep, count.view(tasks, 1, -1, 1))], 3)
        if every and len(self._memo) < 8:  # noqa: PLR2004 - shapes of blocks met in one process
            self._memo[place] = whole
        return whole
