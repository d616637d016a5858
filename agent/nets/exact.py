"""Arithmetic whose bits do not hang on how many tasks are computed beside.

A batch of products with one column is computed by another routine when it holds one task than when
it holds several; powers, sigmoids and softplus are computed by one formula eight numbers at a time,
and by another what is left over. The two round differently. In what follows one task gives the same
bits alone and among others, provided that MKL is asked for reproducible products (see `agent`).

Shapes: T tasks, N rows, K terms, M columns.
"""

import math

import torch
from torch import Tensor

NEVER = (
    -1e4
)  # in place of the logarithm of nought: e to that is nought, but its nought-th power one

LOST = 20.0  # e to that, and one more, is the same in single precision


def product(a_TNK: Tensor, b_TKM: Tensor) -> Tensor:
    """Multiply matrices task by task, shape TNM.

    >>> product(torch.ones(2, 3, 4), torch.ones(2, 4, 1)).shape
    torch.Size([2, 3, 1])
    """
    if b_TKM.shape[2] == 1:
        return (a_TNK * b_TKM.mT).sum(2, keepdim=True)
    return torch.bmm(a_TNK, b_TKM)


def power(base: Tensor | float, exponent: Tensor) -> Tensor:
    """Raise numbers from 0 to 1.

    >>> power(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 1.0, 9.0])).tolist()
    [1.0, 0.5, 1.0]
    """
    if isinstance(base, Tensor):
        return (exponent * base.log().clamp(min=NEVER)).exp()
    return (exponent * max(math.log(base), NEVER)).exp()


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x)."""
    return (1 + x.neg().exp()).reciprocal()


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x)."""
    return torch.where(x > LOST, x, x.clamp(max=LOST).exp().log1p())
