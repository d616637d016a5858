"""The gradient of a normalised layer, written out by what the forward pass left.

Shapes: T tasks, B rows, H units.
"""

import torch
from torch import Tensor


def through_norm(grad_TBH: Tensor, out_TBH: Tensor, size_TB1: Tensor) -> Tensor:
    """Take a gradient back through a layer's normalisation (Ba, Kiros & Hinton 2016, section 3).

    Args:
        grad_TBH: by what it gave.
        out_TBH: what it gave: of mean 0 and deviation 1 over the units, so it stands for its input.
        size_TB1: one over the deviation of its input.
    """
    plain = torch.zeros_like(size_TB1), torch.ones_like(size_TB1)
    wanted = [True, False, False]
    back: Tensor = torch.ops.aten.native_layer_norm_backward(
        grad_TBH, out_TBH, out_TBH.shape[2:], *plain, None, None, wanted
    )[0]
    return back.mul_(size_TB1)
