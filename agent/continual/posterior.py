"""The changepoint posterior: a filter over hypotheses, by labels and by inputs.

The arrays here are small, and NumPy goes about small arrays in a quarter of the time.

Shapes: T tasks, B rows, H hypotheses, R rows of reference, C classes, F features.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said
from agent.nets import normal_log_density

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
ODDS = 10.0  # nats: the most that a class's frequency is corrected by
STRANGE = 20.0  # labels by which a class is half known
HEARSAY = 0.01  # rows of reference that the common frequencies count for
DECADES = 250  # that unnormalised weights may span in double precision


def array(leaf: Tensor) -> NDArray[Any]:
    """The array of a tensor; only to be read, for it may share its memory."""
    found: NDArray[Any] = leaf.cpu().numpy()
    return found


def class_logs(said: Classes) -> Floats:
    """Log-probabilities of classes, all voices together."""
    alone = said.logp_TBVC.shape[2] == 1  # its weight is one
    return array(said.logp_TBVC[:, :, 0] if alone else said.marginal())


def number_logs(said: Numbers, y_HB: Tensor) -> Floats:
    """Log-likelihood of each number under each hypothesis; rows are T*H by B.

    Of O numbers a row, their sum divided by the root of O: outputs are not independent.
    """
    each = normal_log_density(y_HB.unsqueeze(2), said.mean_TBV, said.scale_TBV)
    if each.ndim > said.voice_TBV.ndim:
        each = each.sum(3) * each.shape[3] ** -0.5
    return array(torch.logsumexp(said.voice_TBV + each, 2))


def at_label(of_TXBC: Floats, y_TB: NDArray[np.int64]) -> Floats:
    """What stands at each row's label, shape TXB, X any axis."""
    task, row = np.arange(len(y_TB))[:, None], np.arange(y_TB.shape[1])
    found: Floats = of_TXBC[task, :, row, y_TB].swapaxes(1, 2)
    return found


def levelled(
    logp_THBC: Floats, elsewhere_THRC: Floats, known_TR: Bools, common_TC: Floats
) -> Floats:
    """Log-probabilities as if all hypotheses expected the same class frequencies.

    With q what a hypothesis says on average of rows of reference, and r the frequencies of the
    classes, p(y|x) r(y) / q(y), normalised (Saerens, Latinne & Decaestecker 2002, eq. 4). What is
    left is how well it tells rows apart: one that says the same class of every row gains nothing by
    it, so a long run of one label is no new task.

    Args:
        logp_THBC: what they say.
        elsewhere_THRC: log-probabilities for rows of reference.
        known_TR: which of these stand.
        common_TC: counts of the classes.
    """
    share = _share(common_TC)[:, None]
    known = known_TR[:, None, None].astype(elsewhere_THRC.dtype)
    said = (known @ np.exp(elsewhere_THRC))[:, :, 0] + HEARSAY * share
    odds = np.log(share / said * said.sum(2, keepdims=True)).clip(-ODDS, ODDS)
    level = logp_THBC + odds[:, :, None]
    most = level.max(3, keepdims=True)
    even: Floats = level - most - np.log(np.exp(level - most).sum(3, keepdims=True))
    return even


def telling(y_TB: NDArray[np.int64], late_TBC: Floats, common_TC: Floats) -> Floats:
    """How far each label counts as evidence, 0 to 1, shape TB: less, the longer its run.

    (1 - f) / (1 - r), at most 1, with f the label's frequency of late, itself included, and r that
    of all time: a run tells of the labels' order, not of what rows have to do with labels. And
    n / (n + `STRANGE`), with n how often the class was met: a new class is no new task.
    """
    task = np.arange(len(y_TB))[:, None]
    rare = 1 - _share(common_TC)[task, y_TB]
    other = 1 - at_label(late_TBC[:, None], y_TB)[:, 0]
    met = common_TC[task, y_TB]
    told: Floats = (other / rare).clip(0, 1) * met / (met + STRANGE)
    return told


def filtered(
    weight_TH: Floats, evidence_TBH: Floats, seen_TB: Bools, arrive_TH: Floats
) -> tuple[Floats, Floats, Floats]:
    """Run the posterior down the rows (Adams & MacKay 2007, over hypotheses with a switch).

    Before a row, w' = (1 - h) w + h a; after its label, w ∝ w' p(y | x), with hazard h and a where
    changes lead to. Rows not seen move nothing.

    Args:
        weight_TH: the posterior after the last label; T may run over several posteriors.
        evidence_TBH: log-likelihoods, up to what hypotheses share.
        seen_TB: the rows that have labels.
        arrive_TH: h a; its sum is the hazard.

    Returns:
        The weights before each row and after it, TBH, and after the last, TH.
    """
    keep = 1 - arrive_TH.sum(1)[:, None, None]
    seen = seen_TB[:, :, None]
    step = np.where(seen, evidence_TBH + np.log(keep), 0.0)
    lead = np.where(seen, (arrive_TH / keep[:, 0])[:, None], 0.0)
    some = max(int(DECADES * math.log(10) / (np.abs(step).max(initial=0.0) + 1e-9)), 1)
    trail = [weight_TH[:, None]]
    for start in range(0, step.shape[1], some):
        cut = slice(start, start + some)
        trail.append(_run(trail[-1][:, -1:], step[:, cut], lead[:, cut]))
    whole = np.concatenate(trail, 1)
    return whole[:, :-1] * keep + arrive_TH[:, None], whole[:, 1:], whole[:, -1]


def _run(weight_T1H: Floats, step_TBH: Floats, lead_TBH: Floats) -> Floats:
    """Weights after each row, shape TBH, many rows at a time.

    Without bringing them to one at every row, w ← e^s (w + a z), with z = Σ_h w_h. With
    P_i = exp(s_1 + ... + s_i), w_i = P_i (w + Σ_(j≤i) a_j z_(j-1) / P_(j-1)). Summed over h, that
    is a triangular system for z, all of whose terms are positive.
    """
    up = np.exp(step_TBH.cumsum(1))
    down = lead_TBH.copy()
    down[:, 1:] /= up[:, :-1]
    between = up @ down.mT
    alone = up @ weight_T1H.mT + between[:, :, :1]
    system = np.zeros_like(between)  # only what lies under its diagonal is read
    system[:, :, :-1] = -between[:, :, 1:]
    total = _solved(system, alone)
    down[:, 1:] *= total[:, :-1]
    after = up * (weight_T1H + down.cumsum(1))
    weight_TBH: Floats = after / after.sum(2, keepdims=True)
    return weight_TBH


def _solved(system_TBB: Floats, right_TB1: Floats) -> Floats:
    """Solve lower triangular systems whose diagonals are one."""
    system, right = torch.from_numpy(system_TBB), torch.from_numpy(right_TB1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    return array(solved)


def fading(gain_TBH: Floats, seen_TB: Bools, carry_TH: Floats, keep: float) -> Floats:
    """Fading sum over rows: the seen ones before, and the row itself, fading with each seen row.

    Returns:
        Shape T (B+1) H; the last row is what is carried on.
    """
    rows = seen_TB.shape[1]
    if seen_TB.all():
        reach, fade = _faded_all(rows, keep)
    else:
        seen = np.pad(seen_TB, ((0, 0), (0, 1)))
        count = seen.cumsum(1) - seen
        power = keep ** np.arange(rows + 1)
        gap = (count[:, :, None] - count[:, None, :rows]).clip(0)
        reach = power[gap] * seen_TB[:, None] * np.tri(rows + 1, rows, -1) + np.eye(rows + 1, rows)
        fade = power[count][:, :, None]
    found: Floats = reach @ gain_TBH + fade * carry_TH[:, None]
    return found


@lru_cache(8)
def _faded_all(rows: int, keep: float) -> tuple[Floats, Floats]:
    """What rows and the carried sum weigh in fading sums where all are seen."""
    at = np.arange(rows + 1)
    reach = np.tril(keep ** (at[:, None] - at[:rows]).clip(0))
    return reach, keep ** at[:, None].astype(np.float64)


def input_log_density(x_TBF: Floats, input_TH2F: Floats, mass_TH1: Floats) -> Floats:
    """Log density of rows under each hypothesis's normal of independent columns, shape TBH.

    Divided by the root of F: columns are not independent. A column that never varied is taken to
    have some spread all the same.
    """
    moments = input_TH2F / np.maximum(mass_TH1, 1)[..., None]
    mean, square = moments[:, :, 0], moments[:, :, 1]
    sharp = 1 / (np.maximum(square - mean * mean, 0) + 0.05 + 1 / (1 + mass_TH1))
    shift = sharp * mean
    own = (shift * mean - np.log(sharp)).sum(2)[:, None]
    apart: Floats = (x_TBF * x_TBF) @ sharp.mT - 2 * (x_TBF @ shift.mT) + own
    return apart * (-0.5 / math.sqrt(x_TBF.shape[2]))


def mixed(said: Said, log_weight_TBH: Tensor) -> Said:
    """What all hypotheses say, as one voice: classes mix, numbers have the mixture's moments."""
    tasks, rows, hypotheses = log_weight_TBH.shape
    voice = log_weight_TBH.new_zeros(tasks, rows, 1)
    if isinstance(said, Classes):
        logp = said.marginal().view(tasks, hypotheses, rows, -1)
        weighed = logp + log_weight_TBH.transpose(1, 2).unsqueeze(3)
        return Classes(voice, torch.logsumexp(weighed, 1).unsqueeze(2))
    each = (
        one.view(tasks, hypotheses, rows, *one.shape[2:]).transpose(1, 2) for one in said.moments()
    )
    mean, scale = Numbers(log_weight_TBH, *each).moments()
    return Numbers(voice, mean.unsqueeze(2), scale.unsqueeze(2))


def cut(said: Said, rows: int) -> tuple[Said, Said]:
    """Give the answers to the first rows, and to the rest."""
    if isinstance(said, Classes):
        voice, logp = said.voice_TBV, said.logp_TBVC
        return Classes(voice[:, :rows], logp[:, :rows]), Classes(voice[:, rows:], logp[:, rows:])
    voice, mean, scale = said.voice_TBV, said.mean_TBV, said.scale_TBV
    first = Numbers(voice[:, :rows], mean[:, :rows], scale[:, :rows])
    return first, Numbers(voice[:, rows:], mean[:, rows:], scale[:, rows:])


def _share(common_TC: Floats) -> Floats:
    """Frequencies of classes from their counts."""
    share: Floats = (common_TC + 1) / (common_TC + 1).sum(1, keepdims=True)
    return share
