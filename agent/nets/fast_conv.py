"""A convolutional network with one set of weights a task (see `fast`): patches times matrices.

Four blocks of 3x3 convolution, norm and rectifier (Vinyals et al. 2016), each halving the sides by
pooling, or by a stride of two and then a mean over what is left of space (Finn et al. 2017, for
Omniglot). Convolutions have no bias: the norm's shift is theirs.

Shapes: T tasks, B images, H and W sides, C channels, E embedding.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from agent.nets.body import GROUPS, BodySettings
from agent.nets.patches import normalised, out_side, patches

BLOCKS = 4


class FastConv:
    """Parts w0, s0, b0, w1, ...: kernels (9C by width), and scales and shifts of the norms.

    With the norm "batch" an image is normalised with all others of its task in the same call, as in
    the papers: answers then depend on what else is asked. With "group" each is alone.
    """

    def __init__(self, features: int, settings: BodySettings) -> None:
        self._channels, self._side = settings.channels, settings.side(features)
        self._width = settings.width
        self._stride = 2 if settings.shrink == "stride" else 1
        self._groups = 0 if settings.norm == "batch" else math.gcd(GROUPS, settings.width)
        side = self._side
        for _ in range(BLOCKS):
            side = out_side(side, 2) if self._stride > 1 else max(side // 2, 1)
        self.size = settings.width * (1 if self._stride > 1 else side * side)

    def draw(self) -> dict[str, Tensor]:
        """Kernels by He et al. 2015; norms that change nothing."""
        parts, depth = {}, self._channels
        for at in range(BLOCKS):
            rows = 9 * depth
            parts[f"w{at}"] = torch.randn(rows, self._width) * (2 / rows) ** 0.5
            parts[f"s{at}"] = torch.ones(1, self._width)
            parts[f"b{at}"] = torch.zeros(1, self._width)
            depth = self._width
        return parts

    def __call__(self, fast: Mapping[str, Tensor], x_TBF: Tensor) -> Tensor:
        """Give features, shape TBE."""
        tasks, rows = x_TBF.shape[:2]
        image = x_TBF.view(tasks, rows, self._channels, self._side, self._side)
        out = image.permute(0, 1, 3, 4, 2)
        for at in range(BLOCKS):
            out = self._block(out, *(fast[f"{part}{at}"] for part in "wsb"))
        return out.mean((2, 3)) if self._stride > 1 else out.flatten(2)

    def _block(self, x_TBHWC: Tensor, kernel: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        cols = patches(x_TBHWC, self._stride)
        tasks, rows, high, wide, _ = cols.shape
        out = torch.bmm(cols.flatten(1, 3), kernel)
        if self._groups:
            split = out.view(tasks, rows, high * wide, self._groups, -1)
            out = normalised(split, (2, 4)).view_as(out)
        else:
            out = normalised(out, (1,))
        out = torch.addcmul(shift, out, scale).view(tasks, rows, high, wide, -1)
        if self._stride == 1 and min(high, wide) > 1:
            out = pooled(out)
        return out.relu()


def pooled(x_TBHWC: Tensor) -> Tensor:
    """Largest of each 2x2 pixels."""
    front = x_TBHWC.flatten(0, 1).permute(0, 3, 1, 2)
    out = torch.nn.functional.max_pool2d(front, 2).permute(0, 2, 3, 1)
    return out.reshape(*x_TBHWC.shape[:2], *out.shape[1:])
