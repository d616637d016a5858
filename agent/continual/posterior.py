"""The changepoint posterior: a filter over hypotheses, by labels and by inputs.

Shapes: T tasks, B rows, H hypotheses, C classes, F features.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said
from agent.nets import normal_log_density

Floats = NDArray[np.float64]
ODDS = 10.0  # nats: the most that a class's frequency is corrected by
STRANGE = 20.0  # labels by which a class is half known
HEARSAY = 0.01  # rows of reference that the common frequencies count for


def log_likelihood(said: Said, y_HB: Tensor) -> Tensor:
    """Log-likelihood of each label under each hypothesis; rows are T*H by B."""
    if isinstance(said, Classes):
        return said.marginal().gather(2, y_HB.long().unsqueeze(2)).squeeze(2)
    each = normal_log_density(y_HB.unsqueeze(2), said.mean_TBV, said.scale_TBV)
    return torch.logsumexp(said.voice_TBV + each, 2)


def levelled(
    logp_THBC: Tensor, elsewhere_THRC: Tensor, known_TR: Tensor, common_TC: Tensor
) -> Tensor:
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
    share = ((common_TC + 1) / (common_TC + 1).sum(1, keepdim=True)).unsqueeze(1)
    said = (elsewhere_THRC.exp() * known_TR[:, None, :, None]).sum(2) + HEARSAY * share
    odds = (share / said * said.sum(2, keepdim=True)).log().clamp(-ODDS, ODDS)
    return torch.log_softmax(logp_THBC + odds.unsqueeze(2), 3)


def telling(y_TB: Tensor, late_TBC: Tensor, common_TC: Tensor) -> Tensor:
    """How far each label counts as evidence, 0 to 1, shape TB: less, the longer its run.

    (1 - f) / (1 - r), at most 1, with f the label's frequency of late, itself included, and r that
    of all time: a run tells of the labels' order, not of what rows have to do with labels. And
    n / (n + `STRANGE`), with n how often the class was met: a new class is no new task.
    """
    share = (common_TC + 1) / (common_TC + 1).sum(1, keepdim=True)
    rare = 1 - share.gather(1, y_TB)
    other = 1 - late_TBC.gather(2, y_TB.unsqueeze(2)).squeeze(2)
    met = common_TC.gather(1, y_TB)
    return (other / rare).clamp(0, 1) * met / (met + STRANGE)


def filtered(
    weight_TH: Floats, evidence_TBH: Floats, seen_TB: NDArray[np.bool_], arrive_TH: Floats
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
    like = np.exp(evidence_TBH)
    keep = 1 - arrive_TH.sum(1, keepdims=True)
    every: list[bool] = np.all(seen_TB, 0).tolist()
    some: list[bool] = np.any(seen_TB, 0).tolist()
    before, after = np.empty_like(like), np.empty_like(like)
    weight = weight_TH
    for row, (all_of, any_of) in enumerate(zip(every, some, strict=True)):
        before[:, row] = ahead = weight * keep + arrive_TH
        if any_of:
            moved = ahead * like[:, row]
            moved /= np.add.reduce(moved, 1, keepdims=True)
            weight = moved if all_of else np.where(seen_TB[:, row, None], moved, weight)
        after[:, row] = weight
    return before, after, weight


def fading(gain_TBH: Tensor, seen_TB: Tensor, carry_TH: Tensor, keep: float) -> Tensor:
    """Fading sum over rows: the seen ones before, and the row itself, fading with each seen row.

    Returns:
        Shape T (B+1) H; the last row is what is carried on.
    """
    seen = torch.nn.functional.pad(seen_TB.to(gain_TBH.dtype), (0, 1))
    count = seen.cumsum(1) - seen
    rows = gain_TBH.shape[1]
    gap = (count.unsqueeze(2) - count[:, None, :rows]).clamp(min=0)
    reach = (keep**gap * seen[:, None, :rows]).tril(-1)
    own = torch.nn.functional.pad(gain_TBH, (0, 0, 0, 1))
    return reach @ gain_TBH + own + keep ** count.unsqueeze(2) * carry_TH.unsqueeze(1)


def input_log_density(x_TBF: Tensor, input_TH2F: Tensor, mass_TH1: Tensor) -> Tensor:
    """Log density of rows under each hypothesis's normal of independent columns, shape TBH.

    Divided by the root of F: columns are not independent. A column that never varied is taken to
    have some spread all the same.
    """
    mean, square = (input_TH2F / mass_TH1.clamp(min=1).unsqueeze(3)).unbind(2)
    sharp = 1 / ((square - mean * mean).clamp(min=0) + 0.05 + 1 / (1 + mass_TH1))
    shift = (sharp * mean).mT
    own = (sharp * mean * mean - sharp.log()).sum(2).unsqueeze(1)
    apart: Tensor = (x_TBF * x_TBF) @ sharp.mT - 2 * x_TBF @ shift + own
    return apart * (-0.5 / math.sqrt(x_TBF.shape[2]))


def mixed(said: Said, log_weight_TBH: Tensor) -> Said:
    """What all hypotheses say, as one voice: classes mix, numbers have the mixture's moments."""
    tasks, rows, hypotheses = log_weight_TBH.shape
    voice = log_weight_TBH.new_zeros(tasks, rows, 1)
    if isinstance(said, Classes):
        logp = said.marginal().view(tasks, hypotheses, rows, -1)
        weighed = logp + log_weight_TBH.transpose(1, 2).unsqueeze(3)
        return Classes(voice, torch.logsumexp(weighed, 1).unsqueeze(2))
    each = (one.view(tasks, hypotheses, rows).transpose(1, 2) for one in said.moments())
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
