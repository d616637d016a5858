"""A window of the latest rows: a register that is shifted in, oldest first, newest last.

A task's window is right-aligned: of its W slots the last `held` are filled. A block's rows come
after it on the same line, so who may see whom is a comparison of places, exact also for rows that
fall out while a block is being read.

Shapes: T tasks, B rows, W slots, K = W + B places on the line.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Run:
    """The seen rows of a block: the order that brings them to the front, and how many precede."""

    order_TB: Tensor
    before_TB: Tensor
    total_T1: Tensor

    @property
    def told(self) -> Tensor:
        """Which rows of the front are seen ones, shape TB."""
        at = torch.arange(self.order_TB.shape[1], device=self.order_TB.device)
        return at < self.total_T1


def run_of(seen_TB: Tensor) -> Run:
    """Read a mask."""
    seen = seen_TB.long()
    total = seen.sum(1, keepdim=True)
    return Run(torch.argsort(1 - seen, dim=1, stable=True), seen.cumsum(1) - seen, total)


def rows(leaf: Tensor, index_TB: Tensor) -> Tensor:
    """Take these places of axis 1, a list a task."""
    shaped = index_TB.view(*index_TB.shape, *[1] * (leaf.ndim - 2))
    return leaf.gather(1, shaped.expand(-1, -1, *leaf.shape[2:]))


def front(leaf: Tensor, run: Run) -> Tensor:
    """Bring the seen rows to the front, in their order; the places after them are zero."""
    told = run.told.view(*run.told.shape, *[1] * (leaf.ndim - 2))
    return torch.where(told, rows(leaf, run.order_TB), leaf.new_zeros(()))


def slid(window: Tensor, fresh: Tensor, run: Run) -> Tensor:
    """Shift the front's rows in; as many of the oldest fall out."""
    index = torch.arange(window.shape[1], device=window.device) + run.total_T1
    return rows(torch.cat([window, fresh], 1), index)


def held_after(held_T1: Tensor, run: Run, slots: int) -> Tensor:
    """How many slots are filled after the run."""
    return (held_T1 + run.total_T1).clamp(max=slots)


def live(held_T1: Tensor) -> int:
    """How many of the last slots hold anything in any task; the others need not be read."""
    return int(held_T1.max())


def visible(held_T1: Tensor, slots: int, width: int, at_TB: Tensor, told: int) -> Tensor:
    """Whether a row that comes after `at` told ones sees each place, shape TBK.

    Args:
        held_T1: filled slots at the start.
        slots: W, how far back anyone sees.
        width: of the window's last slots, how many stand on the line.
        at_TB: told rows before each row.
        told: rows of the block on the line after them; K is `width + told`.
    """
    place = torch.arange(width + told, device=held_T1.device)
    end = (at_TB + width).unsqueeze(2)
    filled = place >= (width - held_T1).unsqueeze(2)
    return filled & (place < end) & (place >= end - slots)


def attend(logit: Tensor, seen: Tensor) -> Tensor:
    """Softmax over the visible places of the last axis; all zero where none is."""
    weight = torch.softmax(logit.masked_fill(~seen, -1e9), -1)
    return torch.where(seen, weight, 0.0)
