"""Words and states that are no numbers: found at the cost of a sum, mended row by row.

A word is what a voice says of a row: log-probabilities, or a mean and a deviation. A log-
probability of minus infinity is one ("never"); what is missing or infinite otherwise is none, and
what stands in for it says nothing: even odds, or the middle of the other voices, as unsure as the
least sure of them.

Shapes: T tasks, B rows, V voices, C classes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from agent.continual.abreast import filled
from agent.learners.base import Classes, Numbers, Said

FAR = 1e15
"""How far an answer goes that is beyond all numbers."""


def finite(leaves: Iterable[Tensor]) -> bool:
    """Whether every value is a finite number; one look at the device, whatever their count.

    >>> finite([torch.zeros(2), torch.tensor([1.0, torch.nan])])
    False
    """
    whole = torch.cat([leaf.flatten() for leaf in leaves])
    return math.isfinite(float(whole.sum(dtype=torch.float64)))


def words(said: Iterable[Said]) -> list[Tensor]:
    """Give all words, without the weights of the voices."""
    found: list[Tensor] = []
    for one in said:
        found += [one.logp_TBVC] if isinstance(one, Classes) else [one.mean_TBV, one.scale_TBV]
    return found


def unsaid(said_by: int, classes: int, x_TBF: Tensor) -> Said:
    """Give the words of so many voices that said nothing; of numbers where there are no classes."""
    none = x_TBF.new_full((*x_TBF.shape[:2], said_by), torch.nan, dtype=torch.float32)
    if classes:
        return Classes(torch.zeros_like(none), none.unsqueeze(3).expand(-1, -1, -1, classes))
    return Numbers(torch.zeros_like(none), none, none)


def mended(said: Sequence[Said]) -> tuple[list[Said], Tensor]:
    """Put words that say nothing for those that are none; say who spoke them, shape TE.

    Each row is judged by itself: what stands in for its words hangs on no later row.
    """
    numbers = [one for one in said if isinstance(one, Numbers)]
    if numbers:
        return _numbers(numbers)
    fixed, wrong = [], []
    for one in said:
        if isinstance(one, Classes):
            logp = one.logp_TBVC
            never = logp == -torch.inf
            no_TBV = (~(logp.isfinite() | never)).any(3) | never.all(3)
            even = -math.log(max(logp.shape[3], 1))
            fixed.append(replace(one, logp_TBVC=torch.where(no_TBV.unsqueeze(3), even, logp)))
            wrong.append(no_TBV.flatten(1).any(1))
    return [*fixed], torch.stack(wrong, 1)


def _numbers(said: Sequence[Numbers]) -> tuple[list[Said], Tensor]:
    mean, scale = (torch.cat([getattr(one, name) for one in said], 2) for name in _PAIR)
    no_TBV = ~(mean.isfinite() & scale.isfinite())
    middle = torch.where(no_TBV, torch.nan, mean).nanmedian(2, keepdim=True).values.nan_to_num()
    widest = torch.where(no_TBV, -1.0, scale).amax(2, keepdim=True)
    mean = torch.where(no_TBV, middle, mean)
    scale = torch.where(no_TBV, torch.where(widest > 0, widest, 1.0), scale)
    sizes = [one.mean_TBV.shape[2] for one in said]
    parts = zip(said, mean.split(sizes, 2), scale.split(sizes, 2), strict=True)
    fixed: list[Said] = [replace(one, mean_TBV=m, scale_TBV=s) for one, m, s in parts]
    return fixed, torch.stack([no.flatten(1).any(1) for no in no_TBV.split(sizes, 2)], 1)


_PAIR = ("mean_TBV", "scale_TBV")


def settled(said: Said) -> Said:
    """Mend an answer made of several: what is no number says nothing."""
    if isinstance(said, Classes):
        fixed = mended([said])[0][0]
    else:
        scale = said.scale_TBV.nan_to_num(1.0, FAR, FAR)
        fixed = replace(said, mean_TBV=said.mean_TBV.nan_to_num(0.0, FAR, -FAR), scale_TBV=scale)
    return replace(fixed, voice_TBV=said.voice_TBV.nan_to_num(0.0, 0.0, -torch.inf))


def held(leaf: Tensor, old: Tensor, fresh: Tensor) -> Tensor:
    """Keep what a leaf was where it is no longer finite; where it never was, begin anew."""
    sound = put_back(old, fresh, unsound([old], len(old)))
    return put_back(leaf, sound, unsound([leaf], len(leaf)))


def unsound(leaves: Iterable[Tensor], tasks: int) -> Tensor:
    """Which tasks have a value in these leaves that is no finite number, shape T."""
    return torch.stack([~leaf.isfinite().reshape(tasks, -1).all(1) for leaf in leaves]).any(0)


def put_back(leaf: Tensor, other: Tensor, bad_T: Tensor) -> Tensor:
    """Take another leaf's values for these tasks; the shorter of both is filled up with zeros."""
    sizes = [max(pair) for pair in zip(leaf.shape[1:], other.shape[1:], strict=True)]
    wide, other = filled(leaf, sizes), filled(other, sizes)
    bad = bad_T.repeat_interleave(len(leaf) // len(bad_T))
    return torch.where(bad.view(-1, *[1] * (leaf.ndim - 1)), other, wide)
