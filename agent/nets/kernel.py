"""Kernel attention of several voices over the same keys, and its gradient, written out.

The logit of voice v, row i, key k is -d_ik / h_v² - τ_v age_k + μ_v log(mass_k). The distance is
one product for all voices; what a row adds to all its logits alike drops out of a softmax, so
d_ik = |k|² - 2 q·k will do, with a weight w_f a feature.

Shapes: T tasks, B rows, K keys, F features, V voices, Z payload.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = -1e9
"""Of an empty slot's birth."""

FAR = 1e9
"""Squared distance of a key that may not be seen."""

LOGS = (-14.0, 4.0)
"""Bounds of logs: single precision is at home there."""

NONE = 1e-6
"""A recency below this, as at the lower bound, is none."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the voices have learned: w (TF), 1/h² (TV), and τ, μ (TV2, signed as in the logit)."""

    weight_TF: Tensor
    sharp_TV: Tensor
    about_TV2: Tensor


@dataclass(frozen=True, slots=True)
class Keys:
    """What is attended to; beside a key stand its -age and the log of its mass.

    A payload is Z numbers that are averaged, with K last.
    """

    key_TKF: Tensor
    square_TKF: Tensor
    beside_T2K: Tensor
    payload_TZK: Tensor


def knobs(fast: Mapping[str, Tensor], norm_T1: Tensor) -> Knobs:
    """Read log s, log h, log τ and μ, as `s`, `h`, `tau`, `mu`; w is s² over the norm."""
    about = torch.stack([recency(fast["tau"]), fast["mu"]], 2)
    return Knobs(torch.exp(2 * fast["s"]) / norm_T1, torch.exp(-2 * fast["h"]), about)


def recency(log: Tensor) -> Tensor:
    """Recencies from their logs."""
    return torch.nn.functional.threshold(log.exp(), NONE, 0.0)


def bounded(fast_TP: Tensor, voices: int) -> Tensor:
    """Keep logs where single precision is at home, and powers, the last ones, from 0 to 1."""
    return torch.cat([fast_TP[:, :-voices].clamp(*LOGS), fast_TP[:, -voices:].clamp(0.0, 1.0)], 1)


def apart(query_TBF: Tensor, key_TKF: Tensor, length_TK: Tensor, weight_TF: Tensor) -> Tensor:
    """Squared distances less the rows' own squared lengths, shape TBK."""
    asked = query_TBF * weight_TF.unsqueeze(1)
    return torch.baddbmm(length_TK.unsqueeze(1), asked, key_TKF.mT, alpha=-2)


def attention(knobs: Knobs, keys: Keys, apart_TBK: Tensor) -> tuple[Tensor, Tensor]:
    """Weights, shape TVBK, and the payload's means under them, TVBZ."""
    bias = torch.bmm(knobs.about_TV2, keys.beside_T2K).unsqueeze(2)
    sharp = knobs.sharp_TV[:, :, None, None]
    weight = torch.softmax(torch.addcmul(bias, apart_TBK.unsqueeze(1), sharp, value=-1), -1)
    moment = torch.bmm(keys.payload_TZK, weight.flatten(1, 2).mT)
    return weight, moment.mT.unflatten(1, weight.shape[1:3])


def attention_gradient(
    knobs: Knobs,
    keys: Keys,
    seen: tuple[Tensor, Tensor, Tensor],
    answer_TVBZ: Tensor,
    upstream_TVBZ: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient by (log √w: TF, log h: TV, `about`: TV2) from one by the means.

    With g the upstream gradient, the gradient by a logit is G = a (g·y_k - g·p). Its rows sum to
    zero, so only what differs between keys is left.

    Args:
        knobs: as `attention` had them.
        keys: as it had them.
        seen: its rows TBF, distances TBK and weights TVBK.
        answer_TVBZ: the means that it gave.
        upstream_TVBZ: g.
    """
    query, distance, weight = seen
    rest = -(upstream_TVBZ * answer_TVBZ).sum(3, keepdim=True)
    sides = torch.cat([upstream_TVBZ, rest], 3).flatten(1, 2)
    payload = torch.nn.functional.pad(keys.payload_TZK, (0, 0, 0, 1), value=1.0)
    by_logit = torch.bmm(sides, payload).view_as(weight).mul_(weight)
    flat = by_logit.flatten(2)
    sharp = knobs.sharp_TV
    by_h = 2 * sharp * torch.bmm(flat, distance.reshape(len(flat), -1, 1)).squeeze(2)
    by_about = torch.bmm(by_logit.sum(2), keys.beside_T2K.mT)
    pulled = torch.bmm(sharp.unsqueeze(1), flat).view_as(distance)
    length = torch.bmm(pulled.sum(1, keepdim=True), keys.square_TKF).squeeze(1)
    cross = (query * torch.bmm(pulled, keys.key_TKF)).sum(1)
    return -2 * knobs.weight_TF * (length - 2 * cross), by_h, by_about
