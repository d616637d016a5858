"""Forgetful sums over a block: what each row weighs at its end, and what stood before it.

With λ kept per label, a sum after the block is λ^n sum + Σ_i λ^(seen rows after i) payload_i.

Shapes: T tasks, B rows, V voices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from agent.nets.exact import power

LONGEST = 1e5  # labels: a sum that forgets nothing would outgrow single precision
MEMO = 8  # shapes of blocks whose weights are kept at hand


class Fading:
    """Weights of the rows of a block, one factor a voice.

    Args:
        keeps: λ of each voice; 1 is taken as 1 - 1/`LONGEST`.
    """

    def __init__(self, keeps: Sequence[float]) -> None:
        self._keep_V = torch.tensor([min(keep, 1 - 1 / LONGEST) for keep in keeps])
        self._memo: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}  # speed only

    def __call__(self, seen_TB: Tensor) -> tuple[Tensor, Tensor]:
        """Give the rows' weights, TVB, zero where not seen, and the whole block's factor, TV."""
        every = bool(seen_TB.all())
        place = (seen_TB.shape[0], seen_TB.shape[1], seen_TB.device)
        if every and place in self._memo:
            return self._memo[place]
        seen = seen_TB.to(torch.float32)
        total = seen.sum(1, keepdim=True)
        keep = self._keep_V.to(seen_TB.device)
        later = (total - seen.cumsum(1)).unsqueeze(1)
        found = (
            power(keep.view(1, -1, 1), later) * seen.unsqueeze(1),
            power(keep.view(1, -1), total),
        )
        if every and len(self._memo) < MEMO:
            self._memo[place] = found
        return found
