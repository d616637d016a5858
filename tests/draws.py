"""Tensors that are drawn: standard normal ones, by shape and seed."""

import torch
from torch import Tensor


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
