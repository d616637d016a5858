"""Ant on four legs: what it feels in its trunk's frame, a trot, and a policy upon the trot.

An ant that has turned looks the same from inside: speeds and the way to go are turned into the
frame of the trunk, so that a quaternion and its negative are one, and contact forces are left out.

The trot is a clock and springs. Leg l, whose clock is p_l, wants its joints at

    hip_l = s_l swing (1 + s_l steer yaw) sin p_l        s_l = 1 on the left, -1 on the right
    ankle_l = bend + lift cos(p_l + lag)

and is drawn there by `stiff` (want - is) - `damp` speed; diagonal legs go together. What a network
adds to it is the same on both sides: the mirrored ant, half a stride later, does the mirrored thing
(Abdolhosseini et al. 2019, On learning symmetric locomotion).

Shapes: X any leading axes, O observations, F = 29 felt, S = 31 senses, C context, L = 4 legs, A = 8
actions, P = 7 numbers of a trot. Legs count from front left, against the clock; a leg is hip, then
ankle, which is positive where it bends down. Of what is felt: height, up, ahead, linear and angular
speed of the trunk, joints' positions, joints' speeds; the senses' last two are the clock.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.control.policy import Actor, widths

MOTORS: Final = (3, 0, 1, 2)  # legs in the order of the actions
FELT: Final = 29
SENSES: Final = FELT + 2
ACTIONS: Final = 8
TROT: Final = 7
REST: Final = 0.87  # radians: the middle of an ankle's range, which 0 is no part of
MOST_STEER: Final = 0.8
OBSERVED: Final = (27, 105)  # numbers of an observation, without and with contact forces

_BENDS_L = torch.tensor([1.0, -1.0, -1.0, 1.0])  # sign of an ankle that bends down
_SIDE_L = torch.tensor([1.0, 1.0, -1.0, -1.0])
_PHASE_L = torch.tensor([0.0, math.pi, 0.0, math.pi])
_BENDS_J = torch.stack([torch.ones(4), _BENDS_L], 1).flatten()
_ORDER_A = torch.tensor([2 * leg + joint for leg in MOTORS for joint in (0, 1)])
_OWN_A = torch.argsort(_ORDER_A)  # from the order of actions to that of legs
_ACROSS_J = torch.tensor([6, 7, 4, 5, 2, 3, 0, 1])  # the joint on the other side
_TURNED_J = torch.tensor([-1.0, 1.0] * 4)  # a mirrored hip turns the other way
_TRUNK_T = torch.tensor([1.0, 1, -1, 1, 1, -1, 1, 1, -1, 1, -1, 1, -1])  # signs in a mirror


@dataclass(frozen=True, slots=True)
class TrunkSight:
    """Shows an ant in its trunk's frame, with a clock.

    Args:
        rate: strides a second.
        dt: seconds of a step.
    """

    rate: float = 1.5
    dt: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.rate * self.dt < 0.5:  # noqa: PLR2004 - two steps make a stride at least
            raise ValueError(f"rate is {self.rate}; give more than 0, below {0.5 / self.dt:g}")

    def felt(self, obs_XO: Tensor) -> Tensor:
        """Give what the ant feels, (X, F). An ankle that is not there is shown at rest.

        Raises:
            ValueError: it is not the observation of a whole ant.
        """
        if (many := obs_XO.shape[-1]) not in OBSERVED:
            whole = " or ".join(map(str, OBSERVED))
            raise ValueError(
                f"an ant's observation has {whole} numbers, not {many}; where limbs are lost, let"
                ' it keep its size: sizes="intact"'
            )
        turn_X4, joint_XJ = obs_XO[..., 1:5], obs_XO[..., 5:13] * _BENDS_J
        speed_XJ = obs_XO[..., 19:27] * _BENDS_J
        gone_XJ = (joint_XJ == 0) & (speed_XJ == 0) & (_TURNED_J > 0)
        up_X3, ahead_X3 = (_inside(turn_X4, one) for one in torch.eye(3)[[2, 0]])
        parts = [obs_XO[..., :1], up_X3, ahead_X3, _inside(turn_X4, obs_XO[..., 13:16]),
                 obs_XO[..., 16:19], torch.where(gone_XJ, REST, joint_XJ), speed_XJ]  # fmt: skip
        return torch.cat(parts, -1)

    def __call__(self, obs_XO: Tensor, tick_X: Tensor) -> Tensor:
        """Give what it feels and the clock, (X, S)."""
        phase_X1 = (2 * math.pi * self.rate * self.dt * tick_X).unsqueeze(-1)
        return torch.cat([self.felt(obs_XO), phase_X1.sin(), phase_X1.cos()], -1)

    def tells(self, labels: Sequence[str]) -> tuple[int, ...]:
        """Give the speeds, of trunk and joints."""
        del labels
        return (*range(7, 13), *range(21, FELT))


def _inside(turn_X4: Tensor, vector_X3: Tensor) -> Tensor:
    """Turn vectors of the world into the frame that a quaternion tells of."""
    w_X1, axis_X3 = turn_X4[..., :1], -turn_X4[..., 1:]
    twice_X3 = 2 * torch.linalg.cross(axis_X3, vector_X3.expand(axis_X3.shape))
    turned_X3: Tensor = vector_X3 + w_X1 * twice_X3 + torch.linalg.cross(axis_X3, twice_X3)
    return turned_X3


def mirrored(sense_XS: Tensor) -> Tensor:
    """Give the senses of the ant in a mirror, half a stride later."""
    sides_XJ = sense_XS[..., 13:FELT].unflatten(-1, (2, 8))[..., _ACROSS_J] * _TURNED_J
    clock_X2 = -sense_XS[..., FELT:]
    return torch.cat([sense_XS[..., :13] * _TRUNK_T, sides_XJ.flatten(-2), clock_X2], -1)


def trot(sense_XS: Tensor, trot_XP: Tensor) -> Tensor:
    """Give the commands of a trot, joints in the order of legs, (X, A), each in [-1, 1]."""
    swing, lift, bend, lag, stiff, damp, steer = (one.unsqueeze(-1) for one in trot_XP.unbind(-1))
    phase_XL = torch.atan2(sense_XS[..., -2:-1], sense_XS[..., -1:]) + _PHASE_L
    yaw_X1 = torch.atan2(-sense_XS[..., 5:6], sense_XS[..., 4:5])
    more_XL = 1 + (_SIDE_L * steer * yaw_X1).clamp(-MOST_STEER, MOST_STEER)
    hip_XL = swing * _SIDE_L * more_XL * phase_XL.sin()
    ankle_XL = bend + lift * (phase_XL + lag).cos()
    want_XJ = torch.stack([hip_XL, ankle_XL], -1).flatten(-2)
    pulled_XJ = stiff * (want_XJ - sense_XS[..., 13:21]) - damp * sense_XS[..., 21:29]
    return pulled_XJ.clamp(-1, 1)


def across(of_A: Tensor) -> Tensor:
    """Give for each action what the one on the other side has, (..., A)."""
    return of_A[..., _OWN_A][..., _ACROSS_J][..., _ORDER_A]


class Crawler(Actor):
    """A trot and what a network adds to it; build it under `seeded`.

    Args:
        context: C: 8, or 0 for a policy that is told nothing of its body.
        hidden: widths of the layers between.
        trot_P: the trot; see `trot`.
    """

    def __init__(self, context: int, hidden: Sequence[int], trot_P: Tensor) -> None:
        super().__init__(SENSES, ACTIONS, context, (), hidden)
        self.trot_P = nn.Buffer(trot_P.clone())

    @classmethod
    @override
    def of(cls, tensors: Mapping[str, Tensor]) -> "Crawler":
        """Build the one that these tensors are the `state_dict` of."""
        shapes = widths(tensors)
        actor = cls(shapes[0] - SENSES, shapes[1:-1], tensors["trot_P"])
        actor.load_state_dict(dict(tensors))
        return actor.requires_grad_(requires_grad=False)

    @classmethod
    def alone(cls, trot_P: Tensor) -> "Crawler":
        """Build the trot to which nothing is added."""
        actor = cls(0, (), trot_P)
        for one in actor.net.parameters():
            nn.init.zeros_(one)
        return actor.requires_grad_(requires_grad=False)

    @override
    def forward(self, obs_XO: Tensor, context_XC: Tensor | None = None) -> Tensor:
        """Give the mean action, (X, A), from senses; it may lie outside of [-1, 1]."""
        told_XC = obs_XO[..., :0] if not self.context or context_XC is None else context_XC
        one_XJ = self._added(obs_XO, told_XC)
        other_XJ = self._added(mirrored(obs_XO), across(told_XC) if self.context else told_XC)
        added_XJ = 0.5 * (one_XJ + other_XJ[..., _ACROSS_J] * _TURNED_J)
        own_XJ = trot(obs_XO, self.trot_P.expand(*obs_XO.shape[:-1], TROT)) + added_XJ
        return (own_XJ * _BENDS_J)[..., _ORDER_A]

    def _added(self, sense_XS: Tensor, told_XC: Tensor) -> Tensor:
        added: Tensor = self.net(torch.cat([self.senses(sense_XS), told_XC], -1))
        return added
