"""What the labels have been so far, before every row of a block: shares of classes, or moments.

Shapes: T tasks, B rows, K = B + 1 (after 0, 1, ... B rows), C classes, O outputs.
"""

import torch
from torch import Tensor

MOST = 1000.0  # examples that the moments of numbers remember


def totals(start_TX: Tensor, each_TBX: Tensor) -> Tensor:
    """Running sums after 0, 1, ... B rows, shape TKX."""
    zero = torch.zeros_like(each_TBX[:, :1]) if each_TBX.shape[1] else start_TX.unsqueeze(1) * 0
    return start_TX.unsqueeze(1) + torch.cat([zero, each_TBX.cumsum(1)], 1)


def moments(
    middle_TO: Tensor, variance_TO: Tensor, count_T1: Tensor, y_TBO: Tensor, told_TB: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the numbers so far, after 0, 1, ... B rows, each of shape TKO.

    The start weighs as one example does; more than `MOST` examples are weighed as so many, so that
    a stream's old numbers fade.
    """
    told = told_TB.unsqueeze(2)
    apart = torch.where(told, y_TBO - middle_TO.unsqueeze(1), 0.0)
    base = count_T1.clamp(max=MOST) + 1
    weight = totals(base, told.to(base.dtype))
    shift = totals(torch.zeros_like(middle_TO), apart) / weight
    square = totals(variance_TO * base, apart * apart) / weight
    floor = 1e-6 * square + 1e-12
    return middle_TO.unsqueeze(1) + shift, torch.maximum(square - shift**2, floor)
