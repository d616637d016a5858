"""What kernel attention averages, and the gradient of a vote's log loss by the averages.

A class is averaged as its indicator. A number is averaged as its distance from a middle, so that a
large one with a small spread loses no digits, and as that distance squared.

Shapes: T tasks, B rows, K keys, V voices, Z payload: C classes, or 2 moments.
"""

import torch
from torch import Tensor

from agent.nets import EPSILON, hot

FLOOR = 1e-3
"""Of a voice's variance, in variances of all numbers held."""


def class_payload(y_TK: Tensor, classes: int) -> Tensor:
    """Class indicators, shape TCK."""
    index = torch.arange(classes, device=y_TK.device)
    return (y_TK.unsqueeze(1) == index.view(1, -1, 1)).float()


def number_payload(away_TK: Tensor) -> Tensor:
    """Distances from the middle and their squares, shape T2K."""
    return torch.stack([away_TK, away_TK * away_TK], 1)


def spread(moment: Tensor, whole: Tensor) -> Tensor:
    """Deviation of a vote around its mean, with a floor that grows with that of all numbers.

    Args:
        moment: a mean and a mean square, on the last axis.
        whole: variance of all numbers held.
    """
    own = (moment[..., 1] - moment[..., 0] ** 2).clamp(min=0)
    return (own + FLOOR * whole + 1e-6).sqrt()


def class_gradient(moment_TVBC: Tensor, y_TB: Tensor) -> Tensor:
    """Gradient of the log loss of smoothed shares by the shares."""
    classes = moment_TVBC.shape[-1]
    return hot(y_TB, classes).unsqueeze(1).neg() / (moment_TVBC + EPSILON / classes)


def number_gradient(moment_TVB2: Tensor, away_T1B: Tensor, whole_T1: Tensor) -> Tensor:
    """Gradient of the normal log loss by the two moments."""
    scale = spread(moment_TVB2, whole_T1.unsqueeze(2))
    miss = (away_T1B - moment_TVB2[..., 0]) / scale
    by_variance = 0.5 * (1 - miss * miss) / scale**2
    by_mean = -miss / scale - 2 * moment_TVB2[..., 0] * by_variance
    return torch.stack([by_mean, by_variance], 3)
