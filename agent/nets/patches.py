"""Convolution as matrix products: patches of images out, and their adjoint back.

Each is the other's gradient, so both can be differentiated as often as one likes, in two quick
passes; images lie with channels last, so that a patch is three runs of memory.

Shapes: T tasks, B images, H and W sides, h and w sides of what comes out, C channels.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

SIDE = 3  # of a kernel, in pixels; images are padded by one on each side


def patches(x_TBHWC: Tensor, stride: int = 1) -> Tensor:
    """Give the 3x3 patch around every pixel (or every second one), shape TBhw(9C)."""
    take: Callable[[Tensor, int], Tensor] = _Patches.apply
    return take(x_TBHWC, stride)


class _Patches(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor, stride: int) -> Tensor:
        ctx.sides, ctx.stride = x.shape[2:4], stride
        tasks, rows, high, wide, depth = x.shape
        padded = x.new_zeros(tasks, rows, high + 2, wide + 2, depth)
        padded[:, :, 1:-1, 1:-1] = x
        t, b, i, j, _ = padded.stride()
        h, w = out_side(high, stride), out_side(wide, stride)
        shape = (tasks, rows, h, w, SIDE, SIDE * depth)
        seen = padded.as_strided(shape, (t, b, i * stride, j * stride, i, 1))
        return seen.reshape(tasks, rows, h, w, SIDE * SIDE * depth)

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        back: Callable[..., Tensor] = _Scatter.apply
        return back(grads[0], ctx.sides, ctx.stride), None


class _Scatter(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, cols: Tensor, sides: tuple[int, int], stride: int) -> Tensor:
        ctx.stride = stride
        tasks, rows, h, w, size = cols.shape
        taps = cols.view(tasks, rows, h, w, SIDE, SIDE, size // SIDE**2)
        out = cols.new_zeros(tasks, rows, sides[0] + 2, sides[1] + 2, size // SIDE**2)
        for dy in range(SIDE):
            for dx in range(SIDE):
                high = slice(dy, dy + stride * (h - 1) + 1, stride)
                wide = slice(dx, dx + stride * (w - 1) + 1, stride)
                out[:, :, high, wide] += taps[:, :, :, :, dy, dx]
        return out[:, :, 1:-1, 1:-1].contiguous()

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return patches(grads[0], ctx.stride), None, None


def out_side(side: int, stride: int) -> int:
    """Side of what a 3x3 convolution with one pixel of padding gives."""
    return (side - 1) // stride + 1


def normalised(x: Tensor, axes: tuple[int, ...], epsilon: float = 1e-5) -> Tensor:
    """Shift and stretch to mean 0 and variance 1 over these axes."""
    apply: Callable[..., tuple[Tensor, Tensor]] = _Normalise.apply
    return apply(x, axes, epsilon)[0]


class _Normalise(torch.autograd.Function):
    """Written out, since autograd's own way goes over the images three times as often."""

    @staticmethod
    @override
    def forward(
        ctx: Any, x: Tensor, axes: tuple[int, ...], epsilon: float
    ) -> tuple[Tensor, Tensor]:
        out = x - x.mean(axes, keepdim=True)  # var_mean takes twenty times as long
        stretch = out.square().mean(axes, keepdim=True).add_(epsilon).rsqrt_()
        out *= stretch
        ctx.axes, ctx.share = axes, stretch.numel() / x.numel()
        ctx.save_for_backward(out, stretch)
        return out, stretch

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        out, stretch = ctx.saved_tensors
        grad, by_stretch = grads
        along = (grad * out).sum(ctx.axes, keepdim=True) + by_stretch * stretch
        mean = grad.mean(ctx.axes, keepdim=True)
        inner = torch.addcmul(grad - mean, out, along * -ctx.share)
        return inner * stretch, None, None
