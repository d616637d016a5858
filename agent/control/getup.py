"""Getting up: rhythms that bring a robot from its back to its feet, tried in turn.

They are told nothing of the body: evolved on bodies with faults, so that between them one works
with a motor dead, weak or inverted as far as anything does.

Shapes: N robots, O observations, A actions, K rhythms, P parameters of a gait.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.gaits import Layout, drive


@dataclass(frozen=True, slots=True)
class GetUp:
    """Gives the actions of robots that are down.

    Args:
        gait_KP: the rhythms, the one that works on most bodies first.
        layout: where in an observation is what.
        patience: steps of control that each is given before the next one's turn.
    """

    gait_KP: Tensor
    layout: Layout
    patience: int = 40

    def __post_init__(self) -> None:
        if not len(self.gait_KP):
            raise ValueError("gait_KP is empty; give one rhythm or more")
        if self.patience < 1:
            raise ValueError(f"patience is {self.patience}; give 1 step or more")

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], layout: Layout) -> "GetUp":
        """Build the one that was saved as these tensors."""
        return cls(tensors["gait_KP"].float(), layout, int(tensors["patience"]))

    def tensors(self) -> Mapping[str, Tensor]:
        """Give its parts by name, to be saved."""
        return {"gait_KP": self.gait_KP, "patience": torch.tensor(self.patience)}

    def __call__(self, obs_NO: Tensor, down_N: Tensor) -> Tensor:
        """Give the actions (N, A) of robots that have been down for so many steps, 1 or more."""
        spent_N = (down_N - 1).clamp(min=0)
        turn_N = (spent_N // self.patience) % len(self.gait_KP)
        return drive(self.gait_KP[turn_N], spent_N % self.patience, obs_NO, self.layout)
