"""Products of matrices whose bits do not hang on how many tasks are computed beside.

A batch of products with one column is computed by another routine when it holds one task than when
it holds several, and the two round differently. Where this module is used, and MKL is asked for
reproducible products (see `agent`), one task gives the same bits alone and among others.

Shapes: T tasks, N rows, K terms, M columns.
"""

import torch
from torch import Tensor


def product(a_TNK: Tensor, b_TKM: Tensor) -> Tensor:
    """Multiply matrices task by task, shape TNM.

    >>> product(torch.ones(2, 3, 4), torch.ones(2, 4, 1)).shape
    torch.Size([2, 3, 1])
    """
    if b_TKM.shape[2] == 1:
        return (a_TNK * b_TKM.mT).sum(2, keepdim=True)
    return torch.bmm(a_TNK, b_TKM)
