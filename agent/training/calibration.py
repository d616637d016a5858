"""Whether a learner's doubts are right: calibration of classes, coverage of intervals.

Shapes: T tasks, B rows, C classes, O outputs, N answers in a row, K bins, L levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers

Bins: TypeAlias = Literal["width", "mass"]
"""Bins of equal width, from 0 to 1, or of equal mass: as many answers in each."""

LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against frequency, bin by bin: a reliability diagram, and its sum.

    Args:
        confidence: mean probability that was said in a bin, shape K; 0 in an empty one.
        frequency: how often it came true, shape K; 0 in an empty one.
        share: of the answers, shape K.
    """

    confidence: Tensor
    frequency: Tensor
    share: Tensor

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap between confidence and frequency, by share."""
        return ((self.confidence - self.frequency).abs() * self.share).sum().item()

    @property
    def worst(self) -> float:
        """Maximum calibration error: the largest gap of a bin."""
        return (self.confidence - self.frequency).abs().max().item()


def reliability(
    probability_N: Tensor, came_N: Tensor, bins: int = 15, by: Bins = "width"
) -> Reliability:
    """Compare probabilities with what came true (Guo et al. 2017, equations 1 to 3).

    Args:
        probability_N: probability said of an event, 0 to 1.
        came_N: whether it came (bool).
        bins: K.
        by: bins of equal width, (k - 1) / K < p <= k / K, or of equal mass: answers in the order
            of their probability, cut into K runs that differ by one at the most.

    Raises:
        ValueError: no answers, or no bins.
    """
    if bins < 1 or probability_N.numel() == 0:
        raise ValueError("calibration needs an answer and a bin at least")
    said, order = probability_N.double().flatten().sort(stable=True)
    came = came_N.flatten()[order].double()
    if by == "mass":
        at = torch.arange(len(said), device=said.device) * bins // len(said)
    else:
        at = ((said * bins).ceil().long() - 1).clamp(0, bins - 1)
    count, confidence, frequency = (
        torch.zeros(bins, dtype=said.dtype, device=said.device).index_add(0, at, each)
        for each in (torch.ones_like(said), said, came)
    )
    full = count.clamp(min=1)
    return Reliability(confidence / full, frequency / full, count / len(said))


def calibration(
    said: Classes,
    y_TB: Tensor,
    bins: int = 15,
    by: Bins = "width",
    of: int | None = None,
) -> Reliability:
    """Reliability of a learner's answers.

    Args:
        said: its answers.
        y_TB: the labels.
        bins: K.
        by: how answers are binned.
        of: the class whose probability is looked at (two classes: take 1); without it the class
            that was held the most probable, row by row.
    """
    probability = said.marginal().exp()
    if of is not None:
        return reliability(probability[..., of], y_TB == of, bins, by)
    top, held = probability.max(2)
    return reliability(top, held == y_TB, bins, by)


def quantile(said: Numbers, y_TB: Tensor) -> Tensor:
    """Where in its forecast distribution each number fell, 0 to 1: the mixture's own, shape TB(O).

    Of a calibrated learner these are uniform (the probability integral transform).
    """
    weight = said.voice_TBV.exp()
    if said.mean_TBV.ndim > weight.ndim:
        weight = weight.unsqueeze(-1)
    below: Tensor = torch.special.ndtr((y_TB.unsqueeze(2) - said.mean_TBV) / said.scale_TBV)
    return (weight * below).sum(2)


def coverage(said: Numbers, y_TB: Tensor, levels: Sequence[float] = LEVELS) -> dict[float, float]:
    """Share of the numbers inside the central interval of each level; a level, if calibrated.

    The interval leaves out (1 - level) / 2 of the mixture's probability on either side.
    """
    apart = 2 * (quantile(said, y_TB) - 0.5).abs()
    return {level: (apart <= level).double().mean().item() for level in levels}
