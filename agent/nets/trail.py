"""What stood before each of the last labels, so that a late label meets what was said at its time.

A learner whose state is small keeps a trail: its packed state as it stood before each of the last W
labels, oldest first. A row whose question was asked d labels ago is answered from the trail's entry
before the d-th label back, the same bits as then; what is older than the trail, from its oldest.

Shapes: T tasks, B rows, W labels in the trail, `...` what is packed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Past:
    """A block's rows on the line of labels.

    Args:
        seen_TB: rows that are labels.
        late_TB: lateness of each row, in labels (int64); None where all are 0.
        every: whether it is known that all rows are labels.
    """

    seen_TB: Tensor
    late_TB: Tensor | None
    every: bool = False

    @classmethod
    def of(cls, x_TBF: Tensor, seen_TB: Tensor, most: int, *, every: bool = False) -> "Past":
        """Read the lateness from the rows' last column; it is taken as `most` at most."""
        late_TB = x_TBF[..., -1]
        if not bool(late_TB.any()):
            return cls(seen_TB, None, every)
        return cls(seen_TB, late_TB.nan_to_num().clamp(0, most).long(), every)

    def asked(self, trail_TW: Tensor, here_TB: Tensor) -> Tensor:
        """Give what stood when each row was asked, of what stands here; both with `...` behind."""
        if self.late_TB is None:
            return here_TB
        seen, long = self.seen_TB.long(), trail_TW.shape[1]
        place_TB = long + seen.cumsum(1) - seen - self.late_TB
        old = _rows(trail_TW, place_TB.clamp(0, long - 1))
        new = _rows(self._labels(here_TB), (place_TB - long).clamp(min=0))
        shape = (*place_TB.shape, *[1] * (here_TB.ndim - 2))
        then = torch.where((place_TB < long).view(shape), old, new)
        return torch.where((self.late_TB > 0).view(shape), then, here_TB)

    def moved(self, trail_TW: Tensor, here_TB: Tensor) -> Tensor:
        """Give the trail after the block's labels; `here_TB` is what stood before each row."""
        first, long = here_TB.shape[1], trail_TW.shape[1]
        if not self.every:
            count_T = self.seen_TB.sum(1)
            first = int(count_T[0])
            if not bool((count_T == first).all()):
                line = torch.cat([trail_TW, self._labels(here_TB)], 1)
                return _rows(line, count_T.unsqueeze(1) + torch.arange(long, device=count_T.device))
        if first == 0:
            return trail_TW
        fresh = self._labels(here_TB)[:, max(first - long, 0) : first]
        return torch.cat([trail_TW[:, first:], fresh], 1)

    def _labels(self, here_TB: Tensor) -> Tensor:
        """Bring the rows that are labels to the front, in their order."""
        if self.every or bool(self.seen_TB.all()):
            return here_TB
        return _rows(here_TB, (~self.seen_TB).byte().argsort(dim=1, stable=True))


def _rows(line_TN: Tensor, place_TK: Tensor) -> Tensor:
    """Take rows of each task by their places."""
    task_T1 = torch.arange(line_TN.shape[0], device=place_TK.device).unsqueeze(1)
    return line_TN[task_T1, place_TK]
