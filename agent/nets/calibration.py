"""Scores of classes made into probabilities, by a few scalars a voice that are learned online.

    p_c ∝ exp(Σ_k θ_k φ_kc),  φ: the scores, and whatever else speaks for a class (its frequency)

The same scalars serve every class, so that nothing depends on how many there are. Multinomial
logistic regression with a temperature (Guo et al. 2017, On calibration of modern neural networks)
and a weight for the prior; taught by an online Newton step (Hazan, Agarwal & Kale 2007) on the log
loss of answers given before their labels came, the curvature being forgotten as labels come:

    g = Σ_i Σ_c (p_ic - [y_i = c]) φ_ic,   H ← λ^n H + Σ_i Cov_{p_i}(φ_i),   θ ← θ - (H + H0)^-1 g

Shapes: T tasks, B rows, V voices, K scalars, C classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from agent.nets import EPSILON, hot
from agent.nets.exact import power

UNSEEN = -30.0  # of the logit of a class that never came


class Calibration:
    """K scalars a voice; the leaves `theta` and `curve` of a state.

    Args:
        start: θ at first.
        spread: how far from it each θ may well lie; H0 is its inverse square.
        most: the bounds are 1/most and most times the start.
        keep: λ, of the curvature, per label.
    """

    def __init__(
        self,
        start: Sequence[float],
        spread: Sequence[float],
        most: float = 8.0,
        keep: float = 0.999,
    ) -> None:
        self._start_K = torch.tensor(start)
        self._prior_KK = torch.diag(torch.tensor(spread) ** -2.0)
        self._most, self._keep = most, keep

    def begin(self, tasks: int, voices: int) -> dict[str, Tensor]:
        """The start, for every voice."""
        size = len(self._start_K)
        return {
            "theta": self._start_K.repeat(tasks, voices, 1),
            "curve": torch.zeros(tasks, voices, size, size),
        }

    def logp(self, theta_TVK: Tensor, phi_TBVKC: Tensor, known_TVC: Tensor) -> Tensor:
        """Log-probabilities of shape TBVC; a class that is not known has next to nothing."""
        tasks, rows, voices, _, classes = phi_TBVKC.shape
        phi = _by_voice(phi_TBVKC).flatten(3)
        logit = (theta_TVK.unsqueeze(2) @ phi).view(tasks, voices, rows, classes)
        shut = torch.where(known_TVC, 0.0, UNSEEN).unsqueeze(2)
        return torch.log_softmax(logit + shut, 3).transpose(1, 2)

    def learned(
        self,
        state: Mapping[str, Tensor],
        phi_TBVKC: Tensor,
        logp_TBVC: Tensor,
        known_TVC: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
    ) -> dict[str, Tensor]:
        """The leaves after these labels; those of classes not known before teach nothing."""
        heard_TVB = known_TVC.gather(2, y_TB.unsqueeze(1).expand(-1, known_TVC.shape[1], -1))
        weight_TBV = (heard_TVB & seen_TB.unsqueeze(1)).transpose(1, 2).float()
        slope, curve = gradient(phi_TBVKC, logp_TBVC, y_TB, weight_TBV)
        kept = power(self._keep, seen_TB.sum(1).float().view(-1, 1, 1, 1))
        curve = torch.addcmul(curve, kept, state["curve"])
        to = slope.device
        steep = curve + self._prior_KK.to(to)
        step = torch.linalg.solve_ex(steep, slope.unsqueeze(3))[0].squeeze(3)
        start = self._start_K.to(to)
        theta = (state["theta"] - step.nan_to_num(0.0, 0.0, 0.0)).clamp(
            start / self._most, start * self._most
        )
        return {"theta": theta, "curve": curve}


def gradient(
    phi_TBVKC: Tensor, logp_TBVC: Tensor, y_TB: Tensor, weight_TBV: Tensor
) -> tuple[Tensor, Tensor]:
    """Slope (TVK) and curvature (TVKK) of the log loss by θ, summed over the weighed rows."""
    phi, scalars = _by_voice(phi_TBVKC), phi_TBVKC.shape[3]
    share, weight = logp_TBVC.transpose(1, 2).exp(), weight_TBV.transpose(1, 2).unsqueeze(3)
    held = share * weight
    miss = held - hot(y_TB, share.shape[3]).unsqueeze(1) * weight
    apart = phi - (phi * share.unsqueeze(2)).sum(4, keepdim=True)
    payload = torch.cat([apart * held.unsqueeze(2), miss.unsqueeze(2)], 2)
    both = payload.flatten(3) @ apart.flatten(3).mT  # misses sum to nought: the middle falls out
    return both[:, :, scalars], both[:, :, :scalars]


def _by_voice(phi_TBVKC: Tensor) -> Tensor:
    """Bring the rows behind the scalars, shape TVKBC, where they go through one product."""
    return phi_TBVKC.permute(0, 2, 3, 1, 4)


def smoothed(logp_TBVC: Tensor) -> Tensor:
    """Mix a little of the even distribution in, so that no voice ever says "never"."""
    share = logp_TBVC.exp().mul_(1 / (1 + EPSILON))
    return share.add_(EPSILON / (1 + EPSILON) / logp_TBVC.shape[-1]).log_()


def log_frequency(count_TVC: Tensor) -> Tensor:
    """Logs of the classes' shares, not below that of one in a million."""
    total = count_TVC.sum(2, keepdim=True).clamp(min=1e-9)
    return (count_TVC / total).clamp(min=1e-6).log()
