"""A reservoir: R rows, each of all that came as likely as any other to be among them.

Vitter 1985, algorithm R: the first R rows fill it; row n, counted from 0, then takes the place of
slot j, drawn from 0..n, if j is one of the R. The draw is a hash of n, so that the state holds no
generator and the same rows are kept on every machine.

Shapes: T tasks, B rows, R slots.
"""

import torch
from torch import Tensor

MULTIPLY, ADD = 6364136223846793005, 1442695040888963407  # Knuth's MMIX generator
POSITIVE = 2**63 - 1


def kept_rows(count_T1: Tensor, seen_TB: Tensor, room: int) -> Tensor:
    """Where each slot's row now stands: below R in the old memory, from R on in the block.

    Args:
        count_T1: rows that came before this block.
        seen_TB: which of the block's rows count.
        room: R.

    Returns:
        Indices into memory and block put together, int64 of shape TR.
    """
    seen = seen_TB.long()
    at_TB = count_T1.long() + seen.cumsum(1) - seen
    slot_TB = torch.where(at_TB < room, at_TB, _drawn(at_TB) % (at_TB + 1))
    slot_TB = torch.where(seen_TB, slot_TB, -1)
    slots = torch.arange(room, device=seen.device)
    order = torch.arange(1, seen.shape[1] + 1, device=seen.device).unsqueeze(1)
    last_TR = ((slot_TB.unsqueeze(2) == slots) * order).amax(1)  # a later row wins; 0: none
    return torch.where(last_TR > 0, room + last_TR - 1, slots)


def take_rows(old_TRZ: Tensor, new_TBZ: Tensor, keep_TR: Tensor) -> Tensor:
    """Give the memory after a block: the rows at `keep_TR` of both put together."""
    whole = torch.cat([old_TRZ, new_TBZ.to(old_TRZ.dtype)], 1)
    index = keep_TR.view(*keep_TR.shape, *[1] * (whole.ndim - 2))
    return whole.gather(1, index.expand(*keep_TR.shape, *whole.shape[2:]))


def _drawn(at: Tensor) -> Tensor:
    """A hash of a count, 0 or more."""
    mixed = at * MULTIPLY + ADD
    mixed = (mixed ^ (mixed >> 29)) * MULTIPLY + ADD
    return (mixed ^ (mixed >> 32)) & POSITIVE
