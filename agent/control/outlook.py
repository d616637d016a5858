"""What a few trials say about every gait of a library: a Gaussian process over gaits.

The prior is the library's, as in intelligent trial and error (Cully, Clune, Tarapore & Mouret
2015, equations 1 to 3). Beyond it, the covariance of two gaits is what it was over the bodies
that were simulated beforehand, so that one trial tells of the gaits that fared alike on those
bodies, however they look; a squared exponential of the gaits' descriptors holds the rest:

    k(i, j) = cov_B(mean_iB, mean_jB) + own^2 exp(-|x_i - x_j|^2 / (2 reach^2))

Shapes: G gaits, B bodies, D descriptors, N questions, M trials of each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.gaits import Library

NONE = -1  # in a list of trials: none here


@dataclass(frozen=True, slots=True)
class OutlookSettings:
    """The scales of the process, in reward a step.

    Args:
        own: standard deviation of what no other body tells of a gait.
        reach: how far apart the descriptors of gaits alike may lie.
        noise: standard deviation of one trial.
        shared: share of the bodies' covariance that is believed; 0 is the sketch of 2015.
    """

    own: float = 0.6
    reach: float = 0.8
    noise: float = 0.25
    shared: float = 1.0

    def __post_init__(self) -> None:
        for name in ("own", "reach", "noise"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number above 0")
        if self.shared < 0:
            raise ValueError(f"shared is {self.shared}; give 0 or more")


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried: -1 where the list ends early.

    Args:
        gait_NM: which gaits, each once a list.
        score_NM: the mean of what a step earned in them.
        count_NM: how many trials each mean is of.
    """

    gait_NM: Tensor
    score_NM: Tensor
    count_NM: Tensor

    def best(self) -> tuple[Tensor, Tensor]:
        """Give the gait of the highest score and that score; -1 and -inf where none was tried."""
        score_NM = self.score_NM.masked_fill(self.gait_NM == NONE, -torch.inf)
        score_N, place_N = score_NM.max(1)
        return self.gait_NM.gather(1, place_N.unsqueeze(1)).squeeze(1), score_N


class Outlook:
    """The posterior over all gaits of a library.

    Args:
        library: gaits and their performance on simulated bodies.
        settings: scales of the process.
    """

    def __init__(self, library: Library, settings: OutlookSettings | None = None) -> None:
        self.settings = settings or OutlookSettings()
        mean_GB = library.mean_GB.double()
        self.mean_G, self.intact_G = mean_GB.mean(1), mean_GB[:, 0]
        off_GB = mean_GB - self.mean_G.unsqueeze(1)
        shared_GG = off_GB @ off_GB.T / max(mean_GB.shape[1] - 1, 1)
        x_GD = library.moves.describe(library.gait_GP).double()
        near_GG = (-torch.cdist(x_GD, x_GD).square() / (2 * self.settings.reach**2)).exp()
        self.prior_GG = self.settings.shared * shared_GG + self.settings.own**2 * near_GG

    def after(
        self, trials: Trials, mean_NG: Tensor | None = None, doubt_N: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Give mean and standard deviation of every gait after these trials, (N, G) each.

        Args:
            trials: what was tried; numbers that are no gait of the library tell nothing of it.
            mean_NG: what is expected before any trial; the mean over the library's bodies if None.
            doubt_N: factor of the deviations that this expectation has; 1 if None.
        """
        gaits = len(self.mean_G)
        there_NM = (trials.gait_NM != NONE) & (trials.gait_NM < gaits)
        at_NM = torch.where(there_NM, trials.gait_NM, 0)
        before_NG = self.mean_G.expand(len(at_NM), -1) if mean_NG is None else mean_NG.double()
        doubt_N1 = torch.ones(len(at_NM), 1) if doubt_N is None else doubt_N.unsqueeze(1)
        share_NM = doubt_N1.double().square() * there_NM
        cross_NMG = self.prior_GG[at_NM] * share_NM.unsqueeze(2)
        seen_NMM = cross_NMG.gather(2, at_NM.unsqueeze(1).expand(-1, at_NM.shape[1], -1))
        seen_NMM = seen_NMM * there_NM.unsqueeze(1)
        noise_NM = self.settings.noise**2 / trials.count_NM.clamp(min=1).double()
        seen_NMM = seen_NMM + torch.diag_embed(noise_NM.masked_fill(~there_NM, 1.0))
        off_NM = (trials.score_NM.double() - before_NG.gather(1, at_NM)) * there_NM
        half_NMM = torch.linalg.cholesky(seen_NMM)
        gain_NMG = torch.cholesky_solve(cross_NMG, half_NMM)
        mean = before_NG + torch.einsum("nmg,nm->ng", gain_NMG, off_NM)
        alone_NG = doubt_N1.square() * self.prior_GG.diagonal()
        spare = alone_NG - (gain_NMG * cross_NMG).sum(1)
        return mean, spare.clamp(min=1e-8).sqrt()

    def density(self, mean_N: Tensor, deviation_N: Tensor, score_N: Tensor) -> Tensor:
        """Give the log-density of a trial's score under a forecast of it."""
        variance_N = deviation_N.square() + self.settings.noise**2
        off_N = score_N.double() - mean_N
        return -0.5 * (off_N.square() / variance_N + (2 * torch.pi * variance_N).log())
