"""The gradient of where a proximal descent ends by where it started, without its path.

Shapes: T tasks, P parameters of a task's network.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

Loss = Callable[[Mapping[str, Tensor]], Tensor]
"""Gives the tasks' losses, shape T, from the parts of their networks."""

FLAT = 0.1  # of the proximal term's own curvature: with less, a direction is left alone


def implicit(
    loss: Loss,
    starts: Mapping[str, Tensor],
    ends: Mapping[str, Tensor],
    strength: float,
    solve: int,
) -> dict[str, Tensor]:
    """Give the ends, tied to the starts: d end / d start = (I + H / strength)^-1.

    H is the Hessian of each task's loss at its end; see `learners.imaml`.

    Args:
        loss: on the support; its other inputs are constants here.
        starts: what the gradient goes to.
        ends: where the inner loop came to.
        strength: of the proximal term.
        solve: steps of conjugate gradient.
    """
    names = list(ends)
    tie: Callable[..., tuple[Tensor, ...]] = _Tie.apply
    out = tie(loss, names, strength, solve, *starts.values(), *ends.values())
    return dict(zip(names, out, strict=True))


class _Tie(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, ...]:
        ctx.loss, ctx.names, ctx.strength, ctx.solve, *parts = args
        ends = parts[len(ctx.names) :]
        ctx.save_for_backward(*ends)
        return tuple(end.clone() for end in ends)

    @staticmethod
    @override
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ends: tuple[Tensor, ...] = ctx.saved_tensors
        curve = hessian_product(ctx.loss, dict(zip(ctx.names, ends, strict=True)))

        strength: float = ctx.strength

        def product(flat_TP: Tensor) -> Tensor:
            return flat_TP + curve(flat_TP) / strength

        solved = conjugate_gradient(product, _flat(grads), ctx.solve)
        nothing = [None] * 4
        return (*nothing, *_parts(solved, ends), *[None] * len(ends))


def hessian_product(loss: Loss, ends: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Give the product of each task's Hessian with a flat vector, TP to TP."""
    with torch.enable_grad():
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in ends.items()}
        value = loss(leaves).sum()
        slopes = torch.autograd.grad(
            value, list(leaves.values()), create_graph=True, materialize_grads=True
        )
        slope_TP = _flat(slopes)

    def product(flat_TP: Tensor) -> Tensor:
        given = torch.autograd.grad(
            slope_TP, list(leaves.values()), flat_TP, retain_graph=True, materialize_grads=True
        )
        return _flat(given)

    return product


def conjugate_gradient(product: Callable[[Tensor], Tensor], right_TP: Tensor, steps: int) -> Tensor:
    """Solve A z = right for each task (Hestenes & Stiefel 1952), from z = 0.

    A task stops for good where A has too little curvature along its direction (it has enough at a
    minimum; short of one the answer could be of any size), or where it is done. With no step at all
    its answer is `right` itself: A = I, the first-order gradient.
    """
    z, residual, way = torch.zeros_like(right_TP), right_TP, right_TP
    square = residual.square().sum(1, keepdim=True)
    least = torch.finfo(right_TP.dtype).eps ** 2
    first, going = square, torch.ones_like(square, dtype=torch.bool)
    for at in range(steps):
        ahead = product(way)
        bend = (way * ahead).sum(1, keepdim=True)
        going = going & (bend > FLAT * (way * way).sum(1, keepdim=True)) & (square > least * first)
        if at == 0:
            z = torch.where(going, z, right_TP)
        length = torch.where(going, square / torch.where(going, bend, 1.0), 0.0)
        z = z + length * way
        residual = residual - length * ahead
        after = residual.square().sum(1, keepdim=True)
        way = residual + torch.where(going, after / square.clamp(min=1e-30), 0.0) * way
        square = after
    return z


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([leaf.flatten(1) for leaf in parts], 1)


def _parts(flat_TP: Tensor, like: tuple[Tensor, ...]) -> list[Tensor]:
    pieces = flat_TP.split([leaf[0].numel() for leaf in like], 1)
    return [piece.view_as(leaf) for piece, leaf in zip(pieces, like, strict=True)]
