"""The labels before a row, on the line that a window and a block's seen rows make.

A row that was asked `late` labels ago saw the line end that much earlier.

Shapes: T tasks, B rows, W slots, K = W + B places on the line, L lags.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets.window import Run, front, run_of


@dataclass(frozen=True, slots=True)
class Line:
    """Labels in their order, oldest first: those of the window, then those of the block.

    `end_TB` is the first place that a row may not see, `first_T1` the first that is filled.
    """

    label_TK: Tensor
    run: Run
    end_TB: Tensor
    first_T1: Tensor

    def before(self, lags: int) -> tuple[Tensor, Tensor]:
        """The last labels that each row sees, newest first, and which of them there are; TBL."""
        back = torch.arange(1, lags + 1, device=self.label_TK.device)
        place = self.end_TB.unsqueeze(2) - back
        label = self.label_TK.gather(1, place.clamp(min=0).flatten(1)).view_as(place)
        return label, place >= self.first_T1.unsqueeze(2)

    def visible(self) -> Tensor:
        """Whether each row sees each place, shape TBK."""
        place = torch.arange(self.label_TK.shape[1], device=self.label_TK.device)
        return (place >= self.first_T1.unsqueeze(2)) & (place < self.end_TB.unsqueeze(2))


def line_of(
    window_TW: Tensor, held_T1: Tensor, y_TB: Tensor, seen_TB: Tensor, late_TB: Tensor | None
) -> Line:
    """Put a block's seen labels behind the window's, of which the last `held` are filled."""
    run, slots = run_of(seen_TB), window_TW.shape[1]
    label = torch.cat([window_TW, front(y_TB.to(window_TW.dtype), run)], 1)
    end = run.before_TB + slots
    return Line(label, run, end if late_TB is None else end - late_TB, slots - held_T1)


def lateness(dated: bool, x_TBF: Tensor, most: int) -> Tensor | None:  # noqa: FBT001 - a spec's word
    """Each row's lateness in labels, its last column, at most so many, shape TB; None if all 0."""
    if not dated:
        return None
    late = x_TBF[..., -1].clamp(0, most).round().long()
    return late if bool(late.any()) else None
