"""When a policy's context is not to be trusted, and the robust policy takes over.

A policy that is told of its body does badly when told wrongly; one that was never told anything
does no worse than always. The context is out of the trained range when gains are larger than any
that training has had or more of them have changed, and it is no use when the self-model does not
explain what is seen, whatever the gains.

Shapes: N robots, A actions.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What is trusted.

    Args:
        odd: errors may be so many times what the self-model says.
        largest: size of a gain.
        faults: gains that may differ from the intact ones at once.
        fault: how far a gain must be from the intact one, in size, to be a fault.
    """

    odd: float = 2.0
    largest: float = 1.2
    faults: int = 2
    fault: float = 0.3

    def __post_init__(self) -> None:
        if self.odd <= 1:
            raise ValueError(f"odd is {self.odd}; give more than 1, which is what is explained")
        if self.faults < 0:
            raise ValueError(f"faults is {self.faults}; give 0 or more")


def trusted(gain_NA: Tensor, odd_N: Tensor, settings: GuardSettings) -> Tensor:
    """Say whose context may be used, (N)."""
    size_NA = gain_NA.abs()
    faults_N = ((size_NA - 1).abs() > settings.fault).sum(1)
    inside_N = (size_NA.amax(1) <= settings.largest) & (faults_N <= settings.faults)
    return inside_N & (odd_N <= settings.odd)
