"""One slot a class, all with shared weights, and one more: the stranger, a class not met yet.

Shapes: T tasks, B rows, S = C + 1 slots.
"""

import torch
from torch import Tensor


def own(y_TB: Tensor, slots: int) -> Tensor:
    """Tell each slot whether the label is its own or another's, shape TBS2."""
    mine = y_TB.unsqueeze(2) == torch.arange(slots, device=y_TB.device)
    return torch.stack([mine, ~mine], 3)


def grown(leaf: Tensor, classes: int) -> Tensor:
    """Make room for so many classes: slots are the last axis, and new ones are as the stranger."""
    room = classes + 1 - leaf.shape[-1]
    stranger = leaf[..., -1:]
    return torch.cat([leaf, stranger.expand(*leaf.shape[:-1], room)], -1)
