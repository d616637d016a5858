"""Mean and spread of the numbers of a stream, old ones fading.

Shapes: T tasks, B rows; 3: how many, their mean, their sum of squares around it.
"""

import torch
from torch import Tensor

MOST = 10_000.0  # labels that weigh in


def middle_and_spread(target_T3: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each of shape T1; a spread of 1 where there is none."""
    count, mean, square = target_T3.unsqueeze(2).unbind(1)
    spread = (square / count.clamp(min=1)).sqrt()
    return mean, torch.where(spread > 0, spread, 1.0)


def numbers_merged(target_T3: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """The three after a block (Chan et al. 1979), with at most `MOST` labels' worth before it."""
    weight = seen_TB.float()
    new = weight.sum(1).clamp(min=1e-9)
    middle = (y_TB * weight).sum(1) / new
    around = ((y_TB - middle.unsqueeze(1)) ** 2 * weight).sum(1)
    count, mean, square = target_T3.unbind(1)
    kept = count.clamp(max=MOST)
    square = square * kept / count.clamp(min=1)
    total = kept + new
    step = middle - mean
    return torch.stack(
        [total, mean + step * new / total, square + around + step**2 * kept * new / total], 1
    )
