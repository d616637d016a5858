"""Where the voices of attention and the steps of a network begin: what meta-learning finds.

Nothing here depends on how many features or classes there are, so that a start found on some
streams serves on any other: bandwidths and recencies are one a voice, step sizes one a kind of
parameter, and a vote has one weight whatever the classes.

Shapes: V voices or votes, P parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from agent.nets import Layout

KINDS = ("scales", "bandwidths", "recencies", "masses")


@dataclass(frozen=True, slots=True)
class AttentionStart:
    """Where the voices begin; `agent.learners.attention.learned` gives one back from a state.

    Args:
        bandwidths: h, one a voice, in units of the typical distance.
        recencies: τ, one a voice, per label; 0 for a voice to which age is nothing.
        masses: μ, one a voice: 1 counts every event that a key of the bank stands for, 0 none.
        rates: step sizes of feature scales, bandwidths, recencies and masses, as multiples of the
            attention's rate.
    """

    bandwidths: tuple[float, ...] = (0.2, 0.4, 0.4, 0.8, 0.8)
    recencies: tuple[float, ...] = (0.0, 1e-4, 2e-3, 1e-2, 1e-1)
    masses: tuple[float, ...] = (0.3, 0.3, 0.3, 0.3, 0.3)
    rates: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not len(self.bandwidths) == len(self.recencies) == len(self.masses) > 0:
            raise ValueError("bandwidths, recencies and masses: give one of each a voice")
        if min(self.bandwidths) <= 0:
            raise ValueError(f"bandwidths are {self.bandwidths}; give numbers above 0")
        for name in ("recencies", "masses"):
            if not 0 <= min(getattr(self, name)) <= max(getattr(self, name)) <= 1:
                raise ValueError(f"{name} are {getattr(self, name)}; give numbers of 0 to 1")
        if len(self.rates) != len(KINDS) or min(self.rates) < 0:
            raise ValueError(f"rates are {self.rates}; give four numbers of 0 or more")

    def steps(self, layout: Layout) -> Tensor:
        """Multiples of the rate, one a parameter, shape 1P; one number where all are the same."""
        if self.rates == (1.0,) * len(KINDS):
            return torch.ones(())
        parts = zip(layout.parts, self.rates, strict=True)
        return torch.cat([torch.full(shape, float(rate)) for (_, shape), rate in parts]).unsqueeze(
            0
        )


@dataclass(frozen=True, slots=True)
class NetworkStart:
    """First step sizes of each kind of parameter, as multiples of the network's rate.

    Args:
        linear: from features to outputs.
        inner: from features to hidden units.
        outer: from hidden units to outputs.
        votes: weights of votes.
        bias: of every layer, as a multiple of the layer's own.
        weights: first weights of the votes, those of the linear voice and then the hidden one's;
            none, or not as many as are read: all alike, adding up to one.
    """

    linear: float = 5.0
    inner: float = 1.5
    outer: float = 2.0
    votes: float = 1.0
    bias: float = 1.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("linear", "inner", "outer", "votes", "bias"):
            if not 0 < getattr(self, name) <= 1e4:  # noqa: PLR2004 - far beyond any use
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0, to 10,000")

    def steps(self, layout: Layout) -> Tensor:
        """Multiples of the rate, one a parameter, shape 1P; a layer's last row is its bias."""
        parts: Mapping[str, Tensor] = {
            name: torch.full((1, *shape), float(rate))
            for (name, shape), rate in zip(
                layout.parts, (self.linear, self.inner, self.outer, self.votes), strict=True
            )
        }
        for name in ("A", "W", "Z"):
            parts[name][:, -1] *= self.bias
        return layout.join(parts)

    def first_votes(self, votes: int) -> Tensor:
        """Give the first weights of both voices' votes, shape 1 x 2 x V."""
        fits: Sequence[float] = self.weights if len(self.weights) == 2 * votes else ()
        if not fits:
            return torch.full((1, 2, votes), 1 / max(votes, 1))
        return torch.tensor(fits).view(1, 2, votes)


@dataclass(frozen=True, slots=True)
class Starts:
    """Where the parts of a stack begin."""

    attention: AttentionStart = field(default_factory=AttentionStart)
    network: NetworkStart = field(default_factory=NetworkStart)

    def named(self) -> dict[str, Tensor]:
        """Give its numbers by name, in double precision."""
        parts = {"attention": asdict(self.attention), "network": asdict(self.network)}
        return {
            f"{part}.{name}": torch.tensor(value, dtype=torch.float64)
            for part, values in parts.items()
            for name, value in values.items()
        }

    @staticmethod
    def of(named: Mapping[str, Tensor]) -> "Starts":
        """Make one of what `named` gave."""
        parts: dict[str, dict[str, Any]] = {"attention": {}, "network": {}}
        for key, leaf in named.items():
            part, name = key.split(".")
            parts[part][name] = tuple(leaf.tolist()) if leaf.ndim else leaf.item()
        return Starts(AttentionStart(**parts["attention"]), NetworkStart(**parts["network"]))

    def voting(self, votes: int) -> "Starts":
        """Give the same with as many first weights of votes, all alike where there were none."""
        weights = tuple(self.network.first_votes(votes).flatten().tolist())
        return replace(self, network=replace(self.network, weights=weights))
