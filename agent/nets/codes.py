"""Fixed draws from the standard normal, in place of samples: answers stay pure functions."""

import torch
from torch import Tensor


def normal_codes(count: int, size: int, seed: int) -> Tensor:
    """Draw codes in mirrored pairs, so that their mean is 0; an odd one out is 0 itself.

    Each axis is scaled to a mean square of 1. Shape (count, size).
    """
    draw = torch.Generator().manual_seed(seed)
    half = torch.randn(count // 2, size, generator=draw)
    codes = torch.cat([half, -half, torch.zeros(count % 2, size)])
    return codes / codes.square().mean(0).sqrt().clamp(min=1e-6)
