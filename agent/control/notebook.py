"""What was tried on which body: lists of trials in tensors, bounded in length and in bodies.

Shapes: N robots, K bodies kept, M trials of each.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from agent.control.outlook import NONE, Trials
from agent.learners.base import State

LEAVES = ("gait", "score", "count")


def blank(*shape: int) -> Trials:
    """Give empty lists."""
    return Trials(
        torch.full(shape, NONE), torch.zeros(shape), torch.zeros(shape, dtype=torch.int64)
    )


def mapped(change: Callable[..., Tensor], *lists: Trials) -> Trials:
    """Do the same to each part of lists."""
    return Trials(
        change(*(one.gait_NM for one in lists)),
        change(*(one.score_NM for one in lists)),
        change(*(one.count_NM for one in lists)),
    )


def noted(trials: Trials, gait_N: Tensor, score_N: Tensor, most: int) -> Trials:
    """Take one trial of each robot in: into its gait's mean, a free place, or the worst's.

    Args:
        trials: the lists so far.
        gait_N: what was tried.
        score_N: what it earned a step.
        most: a mean counts as so many trials at the most, so that it follows what changes.
    """
    same_NM = trials.gait_NM == gait_N.unsqueeze(1)
    free_NM = trials.gait_NM == NONE
    worst_NM = -trials.score_NM.masked_fill(free_NM, -torch.inf)
    rank_NM = worst_NM.masked_fill(free_NM, 1e30).masked_fill(same_NM, torch.inf)
    place_N1 = rank_NM.argmax(1, keepdim=True)
    old_N1 = same_NM.gather(1, place_N1)
    count_N1 = torch.where(old_N1, trials.count_NM.gather(1, place_N1), 0)
    weight_N1 = 1 / (count_N1 + 1)
    mean_N1 = torch.where(old_N1, trials.score_NM.gather(1, place_N1), 0.0)
    mean_N1 = mean_N1 + weight_N1 * (score_N.unsqueeze(1) - mean_N1)
    return Trials(
        trials.gait_NM.scatter(1, place_N1, gait_N.unsqueeze(1)),
        trials.score_NM.scatter(1, place_N1, mean_N1.to(trials.score_NM)),
        trials.count_NM.scatter(1, place_N1, (count_N1 + 1).clamp(max=most)),
    )


def merged(trials: Trials, more: Trials, most: int) -> Trials:
    """Take a whole list of each robot into another."""
    for m in range(more.gait_NM.shape[1]):
        gait_N = more.gait_NM[:, m]
        there_N1 = (gait_N != NONE).unsqueeze(1)
        after = noted(trials, gait_N, more.score_NM[:, m], most)
        trials = _chosen(there_N1, after, trials)
    return trials


def _chosen(first_N1: Tensor, one: Trials, other: Trials) -> Trials:
    """Take the first list where `first_N1`, else the other."""
    return mapped(lambda here, there: torch.where(first_N1, here, there), one, other)


def joined(first: Trials, second: Trials) -> Trials:
    """Put lists end to end; a gait of both stands twice, as two observations."""
    return mapped(lambda one, other: torch.cat([one, other], -1), first, second)


def leaves(name: str, trials: Trials) -> Mapping[str, Tensor]:
    """Give the lists as leaves of a state."""
    parts = (trials.gait_NM, trials.score_NM, trials.count_NM)
    return {f"{name}.{leaf}": part for leaf, part in zip(LEAVES, parts, strict=True)}


def lists(name: str, state: State) -> Trials:
    """Read the lists back from a state."""
    return Trials(*(state[f"{name}.{leaf}"] for leaf in LEAVES))
