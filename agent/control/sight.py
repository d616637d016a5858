"""What of an observation a policy and a self-model are shown; most robots show it as it is.

Shapes: X any leading axes, O observations, F what is felt of the body, S senses of a policy.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from torch import Tensor

SPEED: Final = "velocity "  # labels of an observation begin so that tell of motors


class Sight(Protocol):
    """Turns observations into what is made use of."""

    def felt(self, obs_XO: Tensor) -> Tensor:
        """Give what a self-model follows, (X, F)."""
        ...

    def __call__(self, obs_XO: Tensor, tick_X: Tensor) -> Tensor:
        """Give what a policy is shown after so many steps, (X, S)."""
        ...

    def tells(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Give the columns of what is felt that tell of motors, by the observation's labels."""
        ...


class Bare:
    """Shows observations as they are."""

    def felt(self, obs_XO: Tensor) -> Tensor:
        """Give the observations."""
        return obs_XO

    def __call__(self, obs_XO: Tensor, tick_X: Tensor) -> Tensor:
        """Give the observations."""
        del tick_X
        return obs_XO

    def tells(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Give the velocities."""
        return tuple(row for row, label in enumerate(labels) if label.startswith(SPEED))
