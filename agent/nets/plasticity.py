"""How a network keeps able to learn: its settings, and a report read from any state.

The report follows Lyle et al. 2023 and Dohare et al. 2024 (Loss of plasticity in deep continual
learning): step sizes, dormant units (Sokar et al. 2023: mean activation below 1/40 of the layer's)
and effective rank (Roy & Vetterli 2007: the exponential of the entropy of normalised eigenvalues).

Shapes: T tasks, P parameters, H hidden units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from agent.nets.starts import NetworkStart

DORMANT = 0.025  # of the layer's mean activation


@dataclass(frozen=True, slots=True)
class Plasticity:
    """How a network's weights move, and how it stays able to learn.

    Args:
        rule: "autostep" tunes a step size for each parameter; "adam" leaves them at their start.
        start: first step sizes.
        tune: how far a log step size moves in one block, at most about.
        leak: share of a log step size's distance from its start that is taken back, per block.
        trace: what is kept of a parameter's past steps from block to block.
        momentum: of the mean gradient.
        memory: of the squared gradient, which is also a parameter's importance.
        guard: share of an important parameter's step that is held back while all is calm.
        bound: kappa; a step takes away at most 1 / kappa of the error. 0: unbounded.
        norm: whether hidden units are normalised over the layer before the rectifier.
        renew: blocks between two renewals of the least useful mature unit. 0: never.
        mature: blocks before a unit may be renewed.
    """

    rule: Literal["autostep", "adam"] = "autostep"
    start: NetworkStart = field(default_factory=NetworkStart)
    tune: float = 0.1
    leak: float = 0.003
    trace: float = 0.9
    momentum: float = 0.3
    memory: float = 0.999
    guard: float = 0.5
    bound: float = 0.5
    norm: bool = True
    renew: int = 64
    mature: int = 64

    def __post_init__(self) -> None:
        if self.rule not in {"autostep", "adam"}:
            raise ValueError(f"rule is {self.rule!r}; give 'autostep' or 'adam'")
        for name in ("tune", "leak", "trace", "momentum", "memory", "guard"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 to 1")
        for name in ("trace", "momentum", "memory"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} is 1: nothing would be forgotten; give less")
        for name in ("bound", "renew", "mature"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")


def effective_rank(second_THH: Tensor) -> Tensor:
    """Exponential of the entropy of a matrix's normalised eigenvalues, shape T."""
    share = torch.linalg.eigvalsh(second_THH.double()).clamp(min=0)
    share = share / share.sum(1, keepdim=True).clamp(min=1e-300)
    return torch.exp(-torch.special.xlogy(share, share).sum(1))


def dormant_units(mean_TH: Tensor) -> Tensor:
    """Share of units whose mean activation is nearly none, shape T."""
    return (mean_TH <= DORMANT * mean_TH.mean(1, keepdim=True)).float().mean(1)


def plasticity(state: Mapping[str, Tensor]) -> dict[str, float]:
    """Say how able to learn the networks in a state are, under whatever names they sit.

    Gives `effective_step` (geometric mean of the step sizes), `dormant_units` (share, over the last
    1,000 rows or so), `effective_rank` (of the hidden layer, of at most H) and `renewed_units`
    (so far), each a mean over tasks and networks; nothing where a state holds no network.
    """
    found: dict[str, list[Tensor]] = {}
    for key in state:
        if not key.endswith("hidden.second"):
            continue
        start = key.removesuffix("hidden.second")
        second = state[key]
        report = {
            "effective_step": state[f"{start}fast.step"].mean(1).exp(),
            "dormant_units": dormant_units(second[:, :-1, -1]),
            "effective_rank": effective_rank(second[:, :-1, :-1]),
            "renewed_units": state[f"{start}hidden.renewed"],
        }
        for name, value in report.items():
            found.setdefault(name, []).append(value.double().flatten())
    return {name: float(torch.cat(values).mean()) for name, values in found.items()}
