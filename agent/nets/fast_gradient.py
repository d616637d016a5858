"""The gradient of a task's loss by the fast weights of an mlp, and that gradient's own, by hand.

Backpropagation written out, and once more: the backward pass is the product of a vector v with the
gradient's Jacobian, which is the derivative along v of what backpropagation computes (Pearlmutter
1994, "Fast exact multiplication by the Hessian"). One node of autograd's graph in place of dozens;
a third time it cannot be differentiated.

    a_l = h_l W_l + b_l     h_{l+1} = act(a_l)      s = slope of the loss by the last a
    gW_l = h_l' s_l         gb_l = sum s_l          s_{l-1} = (s_l W_l') act'(a_{l-1})

Shapes: T tasks, B examples, F features, O outputs, H and K widths of two layers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from typing_extensions import override

from agent.nets import hot


def mlp_gradient(
    fast: Mapping[str, Tensor],
    names: Sequence[str],
    x_TBF: Tensor,
    y: Tensor,
    seen_TB: Tensor,
    known_TC: Tensor | None,
    *,
    tanh: bool,
) -> dict[str, Tensor]:
    """Gradient of each task's mean loss over its seen rows, by every part.

    Args:
        fast: weights and biases by name, task axis first.
        names: theirs, layer by layer: weight, bias, weight, bias, ...
        x_TBF: rows.
        y: classes, shape TB, for cross entropy; numbers, shape TBO, for the squared error's mean.
        seen_TB: the rows that count.
        known_TC: added to the logits; None where `y` are numbers.
        tanh: the activation between layers; else the rectifier.
    """
    leaves = [fast[name] for name in names]
    if not torch.is_grad_enabled():
        grads, _ = _worked(tanh, x_TBF, y, seen_TB, known_TC, *leaves)
        return dict(zip(names, grads, strict=True))
    apply: Callable[..., tuple[Tensor, ...]] = _Gradient.apply
    return dict(zip(names, apply(tanh, x_TBF, y, seen_TB, known_TC, *leaves), strict=True))


def _worked(
    tanh: bool,  # noqa: FBT001 - as autograd hands it on
    x: Tensor,
    y: Tensor,
    seen: Tensor,
    known: Tensor | None,
    *leaves: Tensor,
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Give the gradients, and what their own are worked out from."""
    weights, tape = leaves[::2], [x]
    for weight, bias in zip(weights[:-1], leaves[1::2], strict=False):
        inner = torch.baddbmm(bias, tape[-1], weight)
        tape.append(inner.tanh_() if tanh else inner.relu_())
    out = torch.baddbmm(leaves[-1], tape[-1], weights[-1])
    share = None if bool(seen.all()) else _share(seen, out.dtype)
    if known is None:
        says, slope = None, out.sub_(y).mul_(2 / out.shape[2])
    else:
        says = torch.softmax(out.add_(known.unsqueeze(1)), 2)
        slope = says - hot(y, out.shape[2]).to(out.dtype)
    slopes, bends, before = [_shared(slope, share)], [], []
    for h, weight in zip(tape[:0:-1], weights[:0:-1], strict=True):
        bends.append(torch.addcmul(h.new_ones(()), h, h, value=-1) if tanh else h.sign())
        before.append(_back(slopes[-1], weight))
        slopes.append(before[-1] * bends[-1])
    grads: list[Tensor] = []
    for h, slope in zip(tape, reversed(slopes), strict=True):
        grads += [_outer(h, slope), slope.sum(1, keepdim=True)]
    return grads, [share, says, *weights, *tape, *slopes, *bends, *(before if tanh else ())]


class _Gradient(torch.autograd.Function):
    @staticmethod
    @override
    def forward(
        ctx: Any,
        tanh: bool,
        x: Tensor,
        y: Tensor,
        seen: Tensor,
        known: Tensor | None,
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        grads, kept = _worked(tanh, x, y, seen, known, *leaves)
        ctx.layers, ctx.tanh = len(leaves) // 2, tanh
        ctx.save_for_backward(*kept)
        return tuple(grads)

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        share, says, *kept = ctx.saved_tensors
        layers = ctx.layers
        weights, tape, slopes = (kept[at * layers : (at + 1) * layers] for at in range(3))
        bends, before = kept[3 * layers : 4 * layers - 1], kept[4 * layers - 1 :]
        moves: list[Tensor] = []  # of h_1, h_2, ... and at last of what the net gives
        for at, (weight, h) in enumerate(zip(weights, tape, strict=True)):
            move = torch.baddbmm(along[2 * at + 1], h, along[2 * at])
            if at:
                move.baddbmm_(moves[-1], weight)
            moves.append(move.mul_(bends[-1 - at]) if at < layers - 1 else move)
        turn = _turned(moves[-1], says, share)
        by_y = turn.neg() if ctx.needs_input_grad[2] else None
        by_known = turn.sum(1) if ctx.needs_input_grad[4] else None
        grads: list[Tensor | None] = []
        for at in reversed(range(layers)):
            by_weight = _outer(tape[at], turn)
            slope = slopes[layers - 1 - at]
            if at:
                by_weight = by_weight.baddbmm_(moves[at - 1].mT, slope)
            grads = [by_weight, turn.sum(1, keepdim=True), *grads]
            if at or ctx.needs_input_grad[1]:
                turn = _back(turn, weights[at]).baddbmm_(slope, along[2 * at].mT)
            if at:
                turn.mul_(bends[layers - 1 - at])
                if ctx.tanh:
                    twice = before[layers - 1 - at] * tape[at]
                    turn.addcmul_(twice, moves[at - 1], value=-2)
        by_x = turn if ctx.needs_input_grad[1] else None
        return None, by_x, by_y, None, by_known, *grads


def _turned(move: Tensor, says: Tensor | None, share: Tensor | None) -> Tensor:
    """How the loss's slope changes as the outputs move."""
    if says is None:
        return _shared(move.mul_(2 / move.shape[2]), share)
    move.mul_(says)
    return _shared(move.addcmul_(says, move.sum(2, keepdim=True), value=-1), share)


def _share(seen_TB: Tensor, dtype: torch.dtype) -> Tensor:
    """One over the number of seen rows, 0 for the others, shape TB1."""
    return (seen_TB.to(dtype) / seen_TB.sum(1, keepdim=True).clamp(min=1)).unsqueeze(2)


def _shared(each_TBO: Tensor, share_TB1: Tensor | None) -> Tensor:
    """Each row by its share, in place; what stands in a row without one does not matter."""
    if share_TB1 is None:
        return each_TBO.div_(each_TBO.shape[1])
    return each_TBO.mul_(share_TB1).masked_fill_(share_TB1 == 0, 0.0)


def _outer(h_TBH: Tensor, slope_TBK: Tensor) -> Tensor:
    """Gradient by a weight; for a single column the other way around, which is quicker."""
    if slope_TBK.shape[2] == 1:
        return torch.bmm(slope_TBK.mT, h_TBH).mT
    return torch.bmm(h_TBH.mT, slope_TBK)


def _back(slope_TBK: Tensor, weight_THK: Tensor) -> Tensor:
    """Slope by what came into a layer; a single column needs no matrix product."""
    if slope_TBK.shape[2] == 1:
        return slope_TBK * weight_THK.mT
    return torch.bmm(slope_TBK, weight_THK.mT)
