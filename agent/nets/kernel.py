"""Kernel attention of several voices over the same keys, and its gradient, written out.

The logit of voice v, row i, key k is -d_ik / h_v² - τ_v age_k + μ_v log(mass_k). The distance is
one product for all voices; what a row adds to all its logits alike drops out of a softmax, so
d_ik = |k|² - 2 q·k will do, with a weight w_f a feature.

Shapes: T tasks, B rows, K keys, F features, V voices, Z payload.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets.exact import product

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

    A payload is Z numbers that are averaged, with K last; `whole` says that they sum to one.
    """

    key_TKF: Tensor
    square_TKF: Tensor
    beside_T2K: Tensor
    payload_TZK: Tensor
    whole: bool = False


class Bounds:
    """How the flat vector of log s, log h, log τ and μ is read, and where its values may be.

    Args:
        features: F.
        voices: V.
    """

    def __init__(self, features: int, voices: int) -> None:
        self._sizes = (features, voices, voices, voices)
        self._made: dict[torch.device, Tensor] = {}  # speed only

    def knobs(self, fast_TP: Tensor, norm_T1: Tensor) -> Knobs:
        """Read them; w is s² over the norm."""
        times, _, _ = self._rows(fast_TP.device)
        s, h, tau, _ = (fast_TP * times).exp_().split(self._sizes, 1)
        near = torch.nn.functional.threshold(tau, NONE, 0.0)
        about = torch.stack([near, fast_TP[:, -self._sizes[3] :]], 2)
        return Knobs(s / norm_T1, h, about)

    def bounded(self, fast_TP: Tensor) -> Tensor:
        """Keep logs where single precision is at home, and powers from 0 to 1."""
        _, least, most = self._rows(fast_TP.device)
        return fast_TP.clamp(least, most)

    def _rows(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """What each is multiplied by before it is raised to e, and its bounds; each of shape P."""
        if device not in self._made:
            low, high = LOGS
            each = ((2.0, low, high), (-2.0, low, high), (1.0, low, high), (0.0, 0.0, 1.0))
            with torch.inference_mode(mode=False):
                size = torch.tensor(self._sizes, device=device)
                rows = torch.tensor(each, device=device).repeat_interleave(size, 0)
                self._made[device] = rows.T.contiguous()
        times, least, most = self._made[device].unbind(0)
        return times, least, most


def recency(log: Tensor) -> Tensor:
    """Recencies from their logs."""
    return torch.nn.functional.threshold(log.exp(), NONE, 0.0)


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
    inner = (upstream_TVBZ * answer_TVBZ).sum(3, keepdim=True)
    if keys.whole:
        sides, payload = upstream_TVBZ - inner, keys.payload_TZK
    else:
        sides = torch.cat([upstream_TVBZ, -inner], 3)
        payload = torch.nn.functional.pad(keys.payload_TZK, (0, 0, 0, 1), value=1.0)
    by_logit = torch.bmm(sides.flatten(1, 2), payload).view_as(weight).mul_(weight)
    flat, by_key = by_logit.flatten(2), by_logit.sum(2)
    sharp = knobs.sharp_TV.unsqueeze(1)
    by_h = product(flat, distance.view(len(flat), -1, 1)).squeeze(2).mul_(knobs.sharp_TV).mul_(2)
    by_about = torch.bmm(by_key, keys.beside_T2K.mT)
    pulled = torch.bmm(sharp, flat).view_as(distance)
    length = torch.bmm(torch.bmm(sharp, by_key), keys.square_TKF).squeeze(1)
    cross = (query.mT * torch.bmm(keys.key_TKF.mT, pulled.mT)).sum(2)
    by_s = torch.sub(cross, length, alpha=0.5).mul_(knobs.weight_TF).mul_(4)
    return by_s, by_h, by_about
