"""Changes told from a model's surprise alone, with a rate of false alarms that is set.

How far a step's surprise s stands out of R earlier ones of an unchanged body, by extreme values
(Siffer, Fouque, Termier & Largouet 2017, Anomaly Detection in Streams with Extreme Value Theory,
SPOT, with an exponential tail): with t the value that a share q of them exceeds, k of them by the
mean m, and what k exceedances leave open of the tail's scale taken into account,

    P(s) = q (1 + (s - t) / (k m))^-k  for s > t,   an alarm where P(s) < a

so the set rate may be far below 1 / R. It holds as far as the tail is exponential: measure it. The
surprise is the log of the mean squared error in units of the scale that was told (`oddness`), of
which tails are about exponential. The R earlier ones are a sample of all steps but those of an
alarm and those after it.

Shapes: N streams (robots), R reference, B rows, O outputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1e30  # where a reference holds nothing yet
LEAST = 64  # earlier ones that are needed to judge
TAIL = 0.1  # q


@dataclass(frozen=True, slots=True)
class SurpriseSettings:
    """When surprise is a change.

    Args:
        false_alarms: a, a step.
        reference: R, steps of an unchanged body that a step is compared with.
        every: steps from one that is kept for comparison to the next.
        settle: steps after an alarm, and at the very start, that are neither judged nor kept: the
            model is still learning the body.
    """

    false_alarms: float = 1e-4
    reference: int = 256
    every: int = 4
    settle: int = 24

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < TAIL:
            raise ValueError(f"false_alarms is {self.false_alarms}; give above 0, below {TAIL}")
        if self.reference < LEAST or self.every < 1 or self.settle < 0:
            raise ValueError(
                f"give a reference of {LEAST} or more, every 1 or more, settle 0 or more"
            )


class Surprise:
    """A detector of changes on N streams; its state is a ring of reference, and when it rang.

    Args:
        settings: when surprise is a change.
        usual_R: surprises of unchanged bodies to begin with, any number of them; None for none.
    """

    def __init__(self, settings: SurpriseSettings, usual_R: Tensor | None = None) -> None:
        self.settings = settings
        usual = torch.empty(0) if usual_R is None else usual_R.float().sort().values
        if len(usual) > settings.reference:
            place = torch.linspace(0, len(usual) - 1, settings.reference).round().long()
            usual = usual[place]
        self._usual = usual

    def begin(self, streams: int) -> dict[str, Tensor]:
        """Nothing suspected."""
        ring = torch.full((streams, self.settings.reference), NONE)
        ring[:, : len(self._usual)] = self._usual
        zero = torch.zeros(streams)
        return {"reference": ring, "evidence": zero, "step": zero.long(), "alarm": zero.long()}

    def hear(
        self, state: Mapping[str, Tensor], surprise_N: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Give the state after a step, and which alarms are raised now, shape N (bool)."""
        settings, step_N = self.settings, state["step"] + 1
        ring_NR = state["reference"]
        calm_N = step_N - state["alarm"] > settings.settle
        evidence_N = stands_out(ring_NR, surprise_N)
        raised_N = calm_N & (evidence_N > -math.log(settings.false_alarms))
        keep_N = calm_N & (step_N % settings.every == 0) & ~raised_N
        place_N1 = (step_N // settings.every % settings.reference).unsqueeze(1)
        kept_NR = ring_NR.scatter(1, place_N1, surprise_N.unsqueeze(1).to(ring_NR.dtype))
        return {
            "reference": torch.where(keep_N.unsqueeze(1), kept_NR, ring_NR),
            "evidence": evidence_N,
            "step": step_N,
            "alarm": torch.where(raised_N, step_N, state["alarm"]),
        }, raised_N


def stands_out(ring_NR: Tensor, surprise_N: Tensor) -> Tensor:
    """Give -log P, 0 for what does not stand out, and where there is nothing to compare with."""
    there_NR = ring_NR > NONE
    held_N1 = there_NR.sum(1, keepdim=True)
    sorted_NR = ring_NR.sort(1).values
    at_N1 = ring_NR.shape[1] - (TAIL * held_N1).ceil().long().clamp(min=1)
    border_N1 = sorted_NR.gather(1, at_N1)
    above_NR = torch.where(there_NR & (ring_NR > border_N1), ring_NR - border_N1, 0.0)
    sum_N1 = above_NR.sum(1, keepdim=True).clamp(min=1e-3)
    many_N1 = (above_NR > 0).sum(1, keepdim=True).clamp(min=1)
    excess_N1 = (surprise_N.unsqueeze(1) - border_N1).nan_to_num(nan=1e6, posinf=1e6)
    out_N1 = many_N1 * (excess_N1.clamp(min=0) / sum_N1).log1p() - math.log(TAIL)
    judged_N1 = (held_N1 >= LEAST) & (excess_N1 > 0)
    return torch.where(judged_N1, out_N1, 0.0).squeeze(1)


def oddness(y_TB: Tensor, mean_TB: Tensor, scale_TB: Tensor) -> Tensor:
    """Log of the mean squared error in scales, shape TB; of one output, or of O (y_TBO)."""
    square = ((y_TB - mean_TB) / scale_TB).square()
    whole = square.mean(2) if square.ndim > 2 else square  # noqa: PLR2004 - outputs
    return (whole + 1e-9).log()
