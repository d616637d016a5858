"""How much evidence for a change there is where nothing changes.

Shapes: K windows of steps, S steps.
"""

import math
from dataclasses import dataclass

from torch import Tensor

LOW = 10.0  # nats: evidence below minus this is none


@dataclass(frozen=True, slots=True)
class Tail:
    """How evidence is spread where nothing changes: P(evidence > at + x) = chance e^(-x / scale).

    Args:
        at: evidence that is passed with the chance, for each window of steps.
        chance: of a step to be above.
        scale: nats in which the chance falls by e.
    """

    at: tuple[float, ...] = ()
    chance: float = 1e-3
    scale: float = 1.5

    @classmethod
    def measured(cls, evidence_KS: Tensor, chance: float = 1e-3, least: float = 1.5) -> "Tail":
        """Measure it on steps of an unchanged body, for each window; the scale is the largest.

        A scale is the mean excess of the highest, or `least`: a few hours of a robot say little of
        what comes once in a hundred thousand steps.
        """
        at, scales = [], [least]
        for evidence_S in evidence_KS:
            limit = float(evidence_S.quantile(1 - chance))
            over_S = evidence_S[evidence_S > limit] - limit
            at.append(max(limit, -LOW))
            if limit > -LOW and len(over_S):
                scales.append(float(over_S.mean()))
        return cls(tuple(at), chance, max(scales))

    def threshold(self, rate: float) -> float:
        """Give the nats for another body over the one told of that are passed at this rate.

        A likelihood ratio passes 1 / rate with that chance at most (Ville 1939); the scale is for
        what the model's likelihood gets wrong.
        """
        return self.scale * math.log(1 / rate)
