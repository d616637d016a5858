"""Whether another body explains the last steps better: evidence in nats for each that is tried.

For the last k steps, several k, two kinds of bodies are held against the present one: bodies that
are remembered, and a new one whose gains are fitted to these very steps, few of them changed. The
evidence is the ratio of likelihoods less what the choice costs (a generalized likelihood ratio
test, Willsky & Jones 1976, with a charge for each gain that was fitted).

Shapes: N robots, W last steps, M remembered bodies, O observations, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agent.control.gains import Slopes, Through, gauss_newton, likelihood, sparse

NEVER = -1e9  # nats of what cannot be
FIRM = 0.2  # of the second step, towards the gains of before


class Steps(NamedTuple):
    """The last steps of each robot, the newest last; `seen_NW` says which there are."""

    obs_NWO: Tensor
    action_NWA: Tensor
    next_NWO: Tensor
    seen_NW: Tensor


class Suspect(NamedTuple):
    """The best other body of each robot."""

    evidence_N: Tensor  # nats for it and against the present one
    gain_NA: Tensor
    slot_N: Tensor  # of the memory; -1 for a new one
    steps_N: Tensor  # how many of the last steps tell of it


@dataclass(frozen=True, slots=True)
class SuspicionSettings:
    """What another body costs.

    Args:
        windows: k, numbers of last steps to which others are held; ascending.
        fresh: nats that a new body costs.
        gain: nats that each of its gains costs that is not the present one's.
        known: nats that a remembered body costs.
        apart: how far a gain must be from the present one to be another.
        most: largest size of a gain that is believed.
    """

    windows: tuple[int, ...] = (1, 2, 3, 5, 8)
    fresh: float = 4.0
    gain: float = 3.0
    known: float = 3.0
    apart: float = 0.25
    most: float = 1.25

    def __post_init__(self) -> None:
        if not self.windows or list(self.windows) != sorted(set(self.windows)):
            raise ValueError(f"windows are {self.windows}; give numbers of steps that ascend")
        if self.windows[0] < 1:
            raise ValueError(f"windows begin at {self.windows[0]}; give 1 or more")


def suspect(
    through: Through,
    steps: Steps,
    present: tuple[Tensor, Tensor],
    memory: tuple[Tensor, Tensor, Tensor],
    settings: SuspicionSettings,
    usual: Sequence[float] = (),
) -> Suspect:
    """Try other bodies.

    `present` holds gains (N, A) and how widely they err (N); `memory` the gains of bodies
    (N, M, A), how widely they err (N, M), and which may be tried (N, M). `usual` is the evidence
    that a fitted body seldom passes where nothing changes, for each window: it is taken off; half
    of it from remembered ones, which are one guess and no fit.
    """
    gain_NA, wide_N = present
    around = slopes(through, steps, gain_NA)
    own_NW = likelihood(around.error_XD, around.log_XD, wide_N.unsqueeze(1)) * steps.seen_NW
    charges = [max(one, 0.0) for one in usual] or [0.0] * len(settings.windows)
    tried = fitted(through, steps, (around, own_NW), present, settings)
    tried = [one._replace(evidence_N=one.evidence_N - charge)
             for one, charge in zip(tried, charges, strict=True)]  # fmt: skip
    known = _known(through, steps, own_NW, memory, settings)
    tried += [one._replace(evidence_N=one.evidence_N - charge / 2)
              for one, charge in zip(known, charges, strict=True)]  # fmt: skip
    evidence = torch.stack([one.evidence_N for one in tried])
    best_N = evidence.argmax(0)
    every = torch.arange(len(best_N))
    return Suspect(*(torch.stack(one)[best_N, every] for one in zip(*tried, strict=True)))


def fitted(
    through: Through,
    steps: Steps,
    own: tuple[Slopes, Tensor],
    present: tuple[Tensor, Tensor],
    settings: SuspicionSettings,
) -> list[Suspect]:
    """Fit a body to each window of steps; `own` are slopes and likelihood of the present one."""
    (around, own_NW), (gain_NA, wide_N), tried = own, present, []
    for k in settings.windows:
        some, line = last(steps, k), Slopes(*(one[:, -k:] for one in around))
        gain_kNA = _fitted(through, some, line, gain_NA, settings)
        tried.append(_fresh(through, some, own_NW[:, -k:], (gain_kNA, gain_NA, wide_N), settings))
    return tried


def explained(through: Through, steps: Steps, gain_NA: Tensor, wide_N: Tensor) -> Tensor:
    """Give the log-likelihood (N, W) of each step under these gains; 0 where there is none."""
    gain_NWA = gain_NA.unsqueeze(1).expand_as(steps.action_NWA)
    error, log = through.errors(steps.obs_NWO, steps.action_NWA, steps.next_NWO, gain_NWA)
    return likelihood(error, log, wide_N.unsqueeze(1)) * steps.seen_NW


def last(steps: Steps, k: int) -> Steps:
    """Give the last k steps."""
    return Steps(*(one[:, -k:] for one in steps))


def slopes(through: Through, steps: Steps, gain_NA: Tensor) -> Slopes:
    """Give errors and slopes of these steps around one gain for each robot."""
    gain_NWA = gain_NA.unsqueeze(1).expand_as(steps.action_NWA)
    return through.slopes(steps.obs_NWO, steps.action_NWA, steps.next_NWO, gain_NWA)


def _fitted(
    through: Through, steps: Steps, around: Slopes, gain_NA: Tensor, settings: SuspicionSettings
) -> Tensor:
    """Fit gains to these steps, few of them changed: a sparse step, and one more from there."""
    seen_NW, most = steps.seen_NW.to(gain_NA.dtype), settings.most
    fit_NA = (gain_NA + sparse(around, seen_NW)).clamp(-most, most)
    fit_NWA = fit_NA.unsqueeze(1).expand_as(steps.action_NWA)
    error, _ = through.errors(steps.obs_NWO, steps.action_NWA, steps.next_NWO, fit_NWA)
    ridge_NA = FIRM / ((fit_NA - gain_NA).square() + 0.1**2)
    there = around._replace(error_XD=error)
    pull_NA = ridge_NA * (gain_NA - fit_NA)
    step_NA = gauss_newton(there, torch.diag_embed(ridge_NA), pull_NA, seen_NW)
    fit_NA = (fit_NA + step_NA).clamp(-most, most)
    return torch.where((fit_NA - gain_NA).abs() > settings.apart, fit_NA, gain_NA)


def _fresh(
    through: Through,
    steps: Steps,
    own_Nk: Tensor,
    bodies: tuple[Tensor, Tensor, Tensor],
    settings: SuspicionSettings,
) -> Suspect:
    """Judge a fitted body on these steps; `bodies` are its gains, the present ones, their width."""
    fit_NA, gain_NA, wide_N = bodies
    other_NA = fit_NA != gain_NA
    gained_N = (explained(through, steps, fit_NA, wide_N) - own_Nk).sum(1)
    cost_N = settings.fresh + settings.gain * other_NA.sum(1)
    whole_N = steps.seen_NW.all(1) & other_NA.any(1)
    evidence_N = torch.where(whole_N, gained_N - cost_N, NEVER)
    none_N = torch.full_like(evidence_N, -1, dtype=torch.int64)
    return Suspect(evidence_N, fit_NA, none_N, torch.full_like(none_N, own_Nk.shape[1]))


def _known(
    through: Through,
    steps: Steps,
    own_NW: Tensor,
    memory: tuple[Tensor, Tensor, Tensor],
    settings: SuspicionSettings,
) -> list[Suspect]:
    bodies = max(1, int(memory[2].any(0).nonzero().amax()) + 1 if memory[2].any() else 1)
    known_NMA, wide_NM, may_NM = (one[:, :bodies] for one in memory)
    robots = len(known_NMA)
    wide = Steps(*(one.repeat_interleave(bodies, 0) for one in steps))
    said = explained(through, wide, known_NMA.flatten(0, 1), wide_NM.flatten())
    gained_NMW = said.view(robots, bodies, -1) - own_NW.unsqueeze(1)
    tried = []
    for k in settings.windows:
        sum_NM = gained_NMW[..., -k:].sum(-1) - settings.known
        whole_N = steps.seen_NW[:, -k:].all(1)
        best = sum_NM.masked_fill(~(may_NM & whole_N.unsqueeze(1)), NEVER).max(1)
        gain_NA = known_NMA[torch.arange(robots), best.indices]
        tried.append(Suspect(best.values, gain_NA, best.indices, torch.full_like(best.indices, k)))
    return tried
