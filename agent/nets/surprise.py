"""Changes told from a model's surprise alone, with a rate of false alarms that is set.

Each step's surprise s is ranked among R earlier ones of an unchanged body, which gives a p-value
(Vovk, Nouretdinov & Gammerman 2003); a mixture over powers makes a bet of it, and the bets of steps
in a row are multiplied, never falling below one (Volkhonskiy et al. 2017, Inductive conformal
martingales for change-point detection; Shin, Ramdas & Rinaldo 2022, E-detectors):

    p = (1 + #{s_r >= s}) / (R + 1),   e = (1 - p + p ln p) / (p (ln p)^2),   M <- max(M, 1) e

An alarm is raised at M >= 1 / a. Where steps are exchangeable, the mean run between false alarms is
1 / a steps or more, whatever the surprise is distributed like; steps of a robot hang together a
little, so the rate is to be measured too. The R earlier ones are a sample of all steps, each kept
with a small chance; those of the steps of an alarm are not among them.

Shapes: N streams (robots), R reference.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1e30  # where a reference holds nothing yet


@dataclass(frozen=True, slots=True)
class SurpriseSettings:
    """When surprise is a change.

    Args:
        false_alarms: a, a step.
        reference: R, steps of an unchanged body that a step is compared with.
        every: steps from one that is kept for comparison to the next.
        settle: steps after an alarm, and at the very start, that are neither judged nor kept: the
            model is still learning the new body.
    """

    false_alarms: float = 1e-5
    reference: int = 256
    every: int = 4
    settle: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1:
            raise ValueError(f"false_alarms is {self.false_alarms}; give more than 0, less than 1")
        if min(self.reference, self.every) < 1 or self.settle < 0:
            raise ValueError("reference and every must be 1 or more, settle 0 or more")


class Surprise:
    """A detector of changes on N streams; its state is a ring of reference and the evidence.

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
        held_N = (ring_NR > NONE).sum(1)
        calm_N = (step_N - state["alarm"] > settings.settle) | (held_N >= settings.reference)
        calm_N &= step_N - state["alarm"] > settings.settle * (state["alarm"] > 0)
        more_N = (ring_NR >= surprise_N.unsqueeze(1)).sum(1)
        bet_N = log_bet((1 + more_N) / (held_N + 1).double()).float()
        evidence_N = torch.where(calm_N, state["evidence"].clamp(min=0) + bet_N, 0.0)
        raised_N = evidence_N >= -math.log(settings.false_alarms)
        keep_N = calm_N & (step_N % settings.every == 0) & (evidence_N < math.log(10))
        place_N1 = (step_N // settings.every % settings.reference).unsqueeze(1)
        kept_NR = ring_NR.scatter(1, place_N1, surprise_N.unsqueeze(1).to(ring_NR.dtype))
        return {
            "reference": torch.where(keep_N.unsqueeze(1), kept_NR, ring_NR),
            "evidence": torch.where(raised_N, 0.0, evidence_N),
            "step": step_N,
            "alarm": torch.where(raised_N, step_N, state["alarm"]),
        }, raised_N


def log_bet(p_N: Tensor) -> Tensor:
    """Log of the bet against a p-value: the powers' mixture; below zero where p is large."""
    p = p_N.clamp(max=1 - 1e-6)
    log = p.log()
    return ((1 - p + p * log) / (p * log * log)).log()
