"""What forgetful counts in cells say: how much likelier a class is there, how far off a mean is.

Of a class that is expected e_c = n π_c times among the n labels of a cell, and came n_c times:

    lift_c = log (n_c + a_c) / (e_c + a_c),  a_c = d π_c + s

The doubt d, in labels, holds a cell to the classes' shares π. The shyness s, in labels of that
class, does so again however rare the class is: where π_c is 1/1000, one label of it among a few
makes little of a cell (the shrinkage of DuMouchel 1999, Bayesian data mining in large frequency
tables, § 3, with one gamma prior of mean 1).

Counts fade by a factor that stands beside them, so that only cells that are met are written.

Shapes: T tasks, B rows, M cells of a row, S soft tables, E tables, R rows of cells, O outputs
(C classes, or 1), H memories, Z of a count (C, or 2: how many numbers and their sum).
"""

import torch
from torch import Tensor

from agent.nets import EPSILON

FAINT = 1e-3  # of a factor of fading, under which it is written into the counts
HALF = 0.5  # of a label: what each class known is thought to have beside those that came
OLDER = 0.9  # of squared gradients, at that moment


def log_share(all_THC: Tensor, known_TC: Tensor) -> Tensor:
    """Log of how often each class comes, shape THC; `known_TC` is 0 for those that came."""
    every = all_THC + HALF * (known_TC == 0).unsqueeze(1) + 1e-6
    share: Tensor = every / every.sum(2, keepdim=True)
    return share.log()


def table_counts(held_TBMZ: Tensor, share_TBM: Tensor, soft: int, memories: int) -> Tensor:
    """Counts a table, those of two knots of a soft one mixed by its shares. Shape TBHZE."""
    held = held_TBMZ.mT.contiguous()
    low, high, rest = held.split([soft, soft, held.shape[3] - 2 * soft], 3)
    mixed = torch.lerp(low, high, share_TBM[..., soft : 2 * soft].unsqueeze(2))
    whole: Tensor = torch.cat([mixed, rest], 3)
    split: Tensor = whole.unflatten(2, (memories, -1))
    return split


def lift(count_TBHCE: Tensor, log_share_THC: Tensor, doubt: float, shyness: float) -> Tensor:
    """Log of how much likelier each class is in a cell, shape TBHCE."""
    share = log_share_THC.exp()[:, None, :, :, None]
    held = doubt * share + shyness
    number = count_TBHCE.sum(3, keepdim=True)
    found: Tensor = ((count_TBHCE + held) / torch.addcmul(held, number, share)).log_()
    return found


def mean_apart(count_TBHZE: Tensor, all_THZ: Tensor, doubt: float) -> Tensor:
    """How far the mean in a cell is from that of all numbers, held to it; shape TBH1E."""
    number, total = count_TBHZE.split(1, 3)
    middle = all_THZ[..., 1] / all_THZ[..., 0].clamp(min=EPSILON)
    middle = middle.view(len(middle), 1, -1, 1, 1)
    apart: Tensor = (total - number * middle) / (number + doubt)
    return apart


def refreshed(cell_TRZ: Tensor, fade_TH: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    """Write the fading into the counts before its factor gets too small for float32.

    A row of cells holds weights (O), squared gradients (O), then counts (HZ). At the same moment
    old squared gradients are made less, so that steps do not die out.
    """
    if bool((fade_TH > FAINT).all()):
        return cell_TRZ, fade_TH
    faint = (fade_TH <= FAINT).any(1, keepdim=True)
    task = faint.squeeze(1).nonzero().squeeze(1)
    few = cell_TRZ.index_select(0, task)
    scale = fade_TH.index_select(0, task).to(few.dtype)
    counts = few[..., 2 * outputs :].unflatten(2, (scale.shape[1], -1))
    few[..., outputs : 2 * outputs] *= OLDER
    few[..., 2 * outputs :] = (counts * scale[:, None, :, None]).flatten(2)
    return cell_TRZ.index_copy(0, task, few), torch.where(faint, 1.0, fade_TH)
