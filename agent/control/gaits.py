"""A library of gaits: each a sine for every motor, with the reflexes of a spring on the joint.

    u_j = amplitude_j sin(2 pi (rate t + phase_j)) + offset_j / 2
          + 2 spring_j q_j + damper_j qd_j / 5 + 2 lean_j sin(pitch) + spin_j pitchd / 2

clipped to [-1, 1]: rhythm as in Cully, Clune, Tarapore & Mouret 2015 (Robots that can adapt like
animals, supplement S1), closed over what the joint and the torso do. Zero reflexes are a gait in
open loop.

Shapes: G gaits, P parameters of a gait, A motors, N robots, O observations, D descriptors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

BLOCKS = ("amplitude", "phase", "offset", "spring", "damper", "lean", "spin")
APART = 10.0  # in descriptors: gaits of two kinds are not alike
SLOWEST, FASTEST = 1.0, 4.0  # Hz


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in an observation a gait finds what it needs, and what a step of it is worth.

    Args:
        angles: column of each motor's joint angle, radians.
        speeds: column of each motor's joint velocity, radians a second.
        pitch: column of the torso's pitch, radians.
        spin: column of the pitch's velocity.
        forward: column of the velocity that is wanted, metres a second.
        dt: seconds of a step of control.
        effort: what a motor's squared action costs.
        healthy: what a step is worth by itself.
        upright: smallest cosine of the pitch that is not yet a fall.
        risen: cosine of the pitch from which on one that fell is up again.
    """

    angles: tuple[int, ...]
    speeds: tuple[int, ...]
    pitch: int
    spin: int
    forward: int
    dt: float
    effort: float
    healthy: float = 0.0
    upright: float = 0.0
    risen: float = 0.7

    def __post_init__(self) -> None:
        if len(self.angles) != len(self.speeds):
            raise ValueError(
                f"angles has {len(self.angles)} columns and speeds {len(self.speeds)};"
                " give one of each for every motor"
            )

    @property
    def motors(self) -> int:
        """A."""
        return len(self.angles)

    def fallen(self, obs_NO: Tensor, before_N: Tensor) -> Tensor:
        """Say which robots are down: on their back, or, if `before_N`, not up again."""
        limit_N = torch.where(before_N, self.risen, self.upright)
        return obs_NO[:, self.pitch].cos() < limit_N

    def worth(self, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor) -> Tensor:
        """Give what a step earned: speed, by the mean of before and after, less the effort."""
        speed_N = (obs_NO[:, self.forward] + next_NO[:, self.forward]) / 2
        return self.healthy + speed_N - self.effort * action_NA.square().sum(1)


def parameters(motors: int) -> int:
    """P, how many numbers a gait has."""
    return len(BLOCKS) * motors + 1


def blocks(gait_GP: Tensor) -> Mapping[str, Tensor]:
    """Give views of a gait's parts by name, (G, A) each; "rate" is (G, 1), of [0, 1]."""
    motors = gait_GP.shape[1] // len(BLOCKS)
    parts = gait_GP[:, :-1].split(motors, 1)
    return {**dict(zip(BLOCKS, parts, strict=True)), "rate": gait_GP[:, -1:]}


def drive(gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor, layout: Layout) -> Tensor:
    """Give the actions (N, A) of a gait for each robot; `clock_N` counts its steps of control."""
    amplitude, phase, offset, spring, damper, lean, spin = gait_NP[:, :-1].split(layout.motors, 1)
    rate_N1 = SLOWEST + (FASTEST - SLOWEST) * gait_NP[:, -1:]
    turn_NA = rate_N1 * (clock_N * layout.dt).unsqueeze(1) + phase
    reflex_NA = (
        2 * spring * obs_NO[:, layout.angles]
        + 0.2 * damper * obs_NO[:, layout.speeds]
        + 2 * lean * obs_NO[:, layout.pitch, None].sin()
        + 0.5 * spin * obs_NO[:, layout.spin, None]
    )
    rhythm_NA = amplitude * (2 * math.pi * turn_NA).sin() + 0.5 * offset
    action_NA: Tensor = (rhythm_NA + reflex_NA).clamp(-1, 1)
    return action_NA


def describe(gait_GP: Tensor) -> Tensor:
    """Give what likeness of gaits is judged by, (G, D): near gaits move the motors alike."""
    part = blocks(gait_GP)
    angle = 2 * math.pi * part["phase"]
    amplitude = part["amplitude"]
    columns = [amplitude, amplitude * angle.cos(), amplitude * angle.sin(), part["offset"]]
    reflexes = [0.5 * part[name] for name in BLOCKS[3:]]
    return torch.cat([*columns, *reflexes, part["rate"]], 1)


class Moves(Protocol):
    """What the numbers of a gait mean."""

    def __call__(self, gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor) -> Tensor:
        """Give the actions (N, A) of a gait for each robot; `clock_N` counts its steps."""
        ...

    def turned(self, gait_NP: Tensor, action_NA: Tensor) -> Tensor:
        """Give what another behaviour is to command where the gait assumes something of motors."""
        ...

    def describe(self, gait_GP: Tensor) -> Tensor:
        """Give what likeness of gaits is judged by, (G, D)."""
        ...


@dataclass(frozen=True, slots=True)
class Rhythms:
    """Gaits that are sines with reflexes: `drive` and `describe`.

    Args:
        layout: where in an observation is what.
    """

    layout: Layout

    def __call__(self, gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor) -> Tensor:
        """See `drive`."""
        return drive(gait_NP, clock_N, obs_NO, self.layout)

    def turned(self, gait_NP: Tensor, action_NA: Tensor) -> Tensor:
        """Give the commands as they are: a rhythm assumes nothing."""
        del gait_NP
        return action_NA

    def describe(self, gait_GP: Tensor) -> Tensor:
        """See `describe`."""
        return describe(gait_GP)


@dataclass(frozen=True, slots=True)
class Library:
    """Gaits, and how well each went on bodies that were simulated beforehand.

    Args:
        gait_GP: the gaits.
        mean_GB: what a step of each earned on each body, over a trial; body 0 is the intact one.
        moves: what the numbers of a gait mean.
    """

    gait_GP: Tensor
    mean_GB: Tensor
    moves: Moves

    def __post_init__(self) -> None:
        if len(self.gait_GP) != len(self.mean_GB) or not len(self.gait_GP):
            raise ValueError(
                f"there are {len(self.gait_GP)} gaits and {len(self.mean_GB)} rows of their"
                " performance; give a row for each of at least one gait"
            )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], moves: Moves) -> "Library":
        """Read one from what `tensors` gave."""
        return cls(tensors["gait_GP"].float(), tensors["mean_GB"].float(), moves)

    def tensors(self) -> Mapping[str, Tensor]:
        """Give its parts by name, to be saved."""
        return {"gait_GP": self.gait_GP, "mean_GB": self.mean_GB}


@dataclass(frozen=True, slots=True)
class Either:
    """Gaits of two kinds in one library: 0 or 1 in the first column, then the kind's own numbers.

    Args:
        kinds: what the numbers of each kind mean.
        widths: how many numbers each has.
    """

    kinds: tuple[Moves, Moves]
    widths: tuple[int, int]

    def __call__(self, gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor) -> Tensor:
        """Give the actions (N, A), each robot's by its kind."""
        second_N1 = gait_NP[:, :1] > 0
        if bool(second_N1.all()):
            return self._acted(1, gait_NP, clock_N, obs_NO)
        first_NA = self._acted(0, gait_NP, clock_N, obs_NO)
        if not bool(second_N1.any()):
            return first_NA
        return torch.where(second_N1, self._acted(1, gait_NP, clock_N, obs_NO), first_NA)

    def turned(self, gait_NP: Tensor, action_NA: Tensor) -> Tensor:
        """Turn commands round as each robot's kind does."""
        first, second = (
            moves.turned(gait_NP[:, 1 : 1 + width], action_NA)
            for moves, width in zip(self.kinds, self.widths, strict=True)
        )
        return torch.where(gait_NP[:, :1] > 0, second, first)

    def _acted(self, kind: int, gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor) -> Tensor:
        return self.kinds[kind](gait_NP[:, 1 : 1 + self.widths[kind]], clock_N, obs_NO)

    def describe(self, gait_GP: Tensor) -> Tensor:
        """Give the descriptors of both kinds side by side, those of the other kind 0, and apart."""
        second_G1 = gait_GP[:, :1]
        parts = [
            moves.describe(gait_GP[:, 1 : 1 + width]) * (second_G1 == kind)
            for kind, (moves, width) in enumerate(zip(self.kinds, self.widths, strict=True))
        ]
        return torch.cat([*parts, APART * second_G1], 1)


def together(first: Library, second: Library) -> Library:
    """Put two libraries that were judged on the same bodies into one, the first one's gaits first.

    Raises:
        ValueError: they were judged on different numbers of bodies.
    """
    if first.mean_GB.shape[1] != second.mean_GB.shape[1]:
        raise ValueError(
            f"the libraries were judged on {first.mean_GB.shape[1]} and {second.mean_GB.shape[1]}"
            " bodies; give two of the same bodies"
        )
    widths = (first.gait_GP.shape[1], second.gait_GP.shape[1])
    rows = []
    for kind, gait_GP in enumerate((first.gait_GP, second.gait_GP)):
        wide_GP = torch.zeros(len(gait_GP), 1 + max(widths))
        wide_GP[:, 0], wide_GP[:, 1 : 1 + widths[kind]] = kind, gait_GP
        rows.append(wide_GP)
    mean_GB = torch.cat([first.mean_GB, second.mean_GB])
    return Library(torch.cat(rows), mean_GB, Either((first.moves, second.moves), widths))
