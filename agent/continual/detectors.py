"""River's change detectors on the loss, without a state of their own: replayed from recent losses.

For comparison with the posterior. ADWIN (Bifet & Gavaldà 2007), Page-Hinkley (Page 1954), KSWIN
(Raab, Heusinger & Schleif 2020) keep objects, which are no state; so the last losses since the last
alarm are kept instead, and a fresh detector is shown them at every block. That bounds their memory
by the same number, and makes them slow.
"""

from collections.abc import Sequence
from typing import Any

import torch
from river import drift
from torch import Tensor

DETECTORS = ("adwin", "page-hinkley", "kswin")
RECENT = 512
LAST = 132  # what KSWIN needs: its window, and a block


def alarmed(by: str, losses: Sequence[float]) -> bool:
    """Say whether the detector of that name finds a rise in these losses, the oldest first."""
    every: Any = drift  # ships no types
    if by == "kswin":
        detector, losses = every.KSWIN(alpha=1e-4, seed=0), losses[-LAST:]
    elif by == "adwin":
        detector = every.ADWIN()
    else:
        detector = every.PageHinkley(mode="up")
    for at, loss in enumerate(losses):
        detector.update(loss)
        if detector.drift_detected and _risen(losses[: at + 1]):
            return True
    return False


def remembered(rings_TR: Tensor, losses_TB: Tensor, seen_TB: Tensor) -> Tensor:
    """The last losses of each task, the oldest first; -1 where there was none yet."""
    rings = [
        torch.cat([ring, loss[seen]])[-RECENT:]
        for ring, loss, seen in zip(rings_TR, losses_TB, seen_TB, strict=True)
    ]
    return torch.stack(rings)


def since_alarm(losses_R: Tensor) -> list[float]:
    """The losses since the last alarm."""
    kept: list[float] = losses_R[losses_R >= 0].tolist()
    return kept


def _risen(losses: Sequence[float]) -> bool:
    """Whether the last losses are above those before; a fall is no change for the worse."""
    late = losses[-32:]
    early = losses[:-32] or late
    return sum(late) / len(late) > sum(early) / len(early)
