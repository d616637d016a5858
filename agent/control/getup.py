"""Getting up: by rhythms that are tried in turn, or by a policy.

Rhythms are told nothing of the body: evolved on bodies with faults, so that between them one works
with a motor weak or inverted; with a dead thigh hardly any does. A policy is told the sizes of the
motors' gains, and gets up without the back one, too; rhythms take turns with it.

Shapes: N robots, O observations, A actions, K rhythms, P parameters of a gait.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.gains import sizes
from agent.control.gaits import Layout, drive
from agent.control.policy import Actor


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


@dataclass(frozen=True, slots=True)
class RisePolicy:
    """Gives the actions of robots that are down, and says which are.

    Args:
        actor: acts on the sizes of gains.
        layout: where in an observation is what.
        least_A: smallest sizes of gains that the actor was trained on; none is told smaller.
        otherwise: rhythms that take turns with the actor where it does not get a robot up.
        patience: steps of control that each of the two is given before the other's turn.
    """

    actor: Actor
    layout: Layout
    least_A: Tensor | None = None
    otherwise: GetUp | None = None
    patience: int = 100

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience is {self.patience}; give 1 step or more")

    def fallen(self, obs_NO: Tensor, before_N: Tensor) -> Tensor:
        """Say which are down, of which some were down before."""
        return self.layout.fallen(obs_NO, before_N)

    def __call__(self, obs_NO: Tensor, down_N: Tensor, gain_NA: Tensor) -> Tensor:
        """Give the actions (N, A) of robots with these gains, as if none were turned round.

        `down_N` counts the steps that each has been down, from 1 on.
        """
        action_NA: Tensor = self.actor(obs_NO, sizes(gain_NA, self.least_A)).clamp(-1, 1)
        turn_N, within_N = (down_N - 1) // self.patience, (down_N - 1) % self.patience
        other_N = turn_N % 2 == 1
        if self.otherwise is None or not bool(other_N.any()):
            return action_NA
        spent_N = turn_N // 2 * self.patience + within_N + 1
        return torch.where(other_N.unsqueeze(1), self.otherwise(obs_NO, spent_N), action_NA)
