"""Oblivious trees: one question a level, the same for every row (Prokhorenkova et al. 2018).

A tree of depth D asks D questions "is x[column] > threshold?"; the answers, read as bits, are the
number of the leaf. `grow` chooses the questions one level at a time by the second-order gain

    gain = Σ_leaves Σ_s g_s² / (h_s + λ),  g, h the sums of gradient and curvature in a leaf

(Chen & Guestrin 2016, eq. 7), all candidates of a level by one matrix product.

Shapes: T tasks, B or N rows, F columns, E trees, D levels, L leaves of a tree (2^D), O outputs,
K columns looked at, Q thresholds a column, S targets that a split is chosen by.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


@dataclass(frozen=True, slots=True)
class Tree:
    """The questions of a tree, and the leaf (below L) of each row that it was grown on."""

    column_D: Tensor
    threshold_D: Tensor
    leaf_N: Tensor


def leaves_of(x_TBF: Tensor, column_TED: Tensor, threshold_TED: Tensor) -> Tensor:
    """Number each row's leaf in each tree, among all T E L of them; shape TBE; D <= 8."""
    tasks, trees, depth = column_TED.shape
    asked = column_TED.view(tasks, 1, -1).expand(-1, x_TBF.shape[1], -1)
    right = x_TBF.gather(2, asked) > threshold_TED.view(tasks, 1, -1)
    bits = right.view(torch.uint8).unflatten(2, (trees, depth)).unbind(3)
    leaf: Tensor = bits[0]
    for level, bit in enumerate(bits[1:], 1):
        leaf = torch.add(leaf, bit, alpha=1 << level)
    first = torch.arange(tasks * trees, device=x_TBF.device).view(tasks, 1, trees) << depth
    return leaf + first


def added(leaf_TXO: Tensor, index_TBE: Tensor) -> Tensor:
    """Add up what the trees say of each row; X numbers the leaves of all trees; shape TBO."""
    said = embedding_bag(index_TBE.flatten(0, 1), leaf_TXO.flatten(0, 1), mode="sum")
    return said.view(*index_TBE.shape[:2], leaf_TXO.shape[2])


def gathered(row_TBZ: Tensor, index_TBE: Tensor, leaves: int) -> Tensor:
    """Sum the rows that lie in each leaf, shape TXZ; `leaves` is X."""
    tasks, rows, _ = row_TBZ.shape
    lies = row_TBZ.new_zeros(tasks, rows, leaves).scatter_(2, index_TBE % leaves, 1.0)
    return torch.bmm(lies.transpose(1, 2), row_TBZ)


def grow(
    x_NK: Tensor,
    threshold_QK: Tensor,
    gradient_NS: Tensor,
    curve_NS: Tensor,
    depth: int,
    doubt: float,
) -> Tree:
    """Grow a tree, a level at a time; the columns of its questions are numbered as in x_NK.

    Args:
        x_NK: rows, of the columns looked at.
        threshold_QK: candidates, Q a column.
        gradient_NS: first derivative of the loss by what is predicted.
        curve_NS: second one, above 0.
        depth: D.
        doubt: λ, curvature that every leaf has beside its own.
    """
    rows, columns = x_NK.shape
    above = x_NK.new_empty(rows, *threshold_QK.shape)
    torch.gt(x_NK.unsqueeze(1), threshold_QK, out=above)  # ten times as fast as `.float()` after
    above = above.flatten(1)
    both = torch.cat([gradient_NS, curve_NS], 1)
    node = torch.zeros(rows, dtype=torch.int64, device=x_NK.device)
    chosen: list[Tensor] = []
    for level in range(depth):
        spread = torch.zeros(rows, 2**level, both.shape[1], device=x_NK.device)
        spread.scatter_(1, node.view(-1, 1, 1).expand(-1, -1, both.shape[1]), both.unsqueeze(1))
        best = gain(spread, above, doubt).argmax()
        node = node + (above.index_select(1, best.view(1)).squeeze(1).long() << level)
        chosen.append(best)
    at = torch.stack(chosen)
    return Tree(at % columns, threshold_QK.flatten()[at], node)


def gain(spread_NLZ: Tensor, above_NX: Tensor, doubt: float) -> Tensor:
    """Second-order gain of splitting every leaf by each of X questions, shape X.

    `spread_NLZ` holds a row's S gradients, then its S curvatures, in the leaf where it lies, and 0
    in the others.
    """
    leaves, targets = spread_NLZ.shape[1], spread_NLZ.shape[2] // 2
    right = (spread_NLZ.flatten(1).T @ above_NX).view(leaves, 2 * targets, -1)
    left = spread_NLZ.sum(0).unsqueeze(2) - right
    sides = torch.stack([left, right])
    slope, curve = sides[:, :, :targets], sides[:, :, targets:].clamp(min=0)
    return (slope.square() / (curve + doubt)).sum((0, 1, 2))


def sketched(
    gradient_NO: Tensor, curve_NO: Tensor, most: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fewer targets to choose splits by, shapes NS (SketchBoost: Iosipoi & Vakhrushev 2022).

    Of two classes one says all; above `most`, as many random projections stand for them.
    """
    outputs = gradient_NO.shape[1]
    if outputs == 2:  # noqa: PLR2004 - two classes: one gradient is minus the other
        return gradient_NO[:, 1:], curve_NO[:, 1:]
    if outputs <= most:
        return gradient_NO, curve_NO
    mixed = torch.randn(outputs, most, generator=draw).to(gradient_NO.device) / most**0.5
    return gradient_NO @ mixed, curve_NO.mean(1, keepdim=True).expand(-1, most)
