"""Attention over a ring of recent labelled events, exact test-then-train in one batched call.

Each voice v answers with a kernel-weighted vote over the labels it holds (Nadaraya 1964; the
attention of Matching networks, Vinyals et al. 2016, eq. 1), by distance and by age:

    a_vik ∝ exp(-d_ik / h_v² - τ_v age_ik),  d_ik = Σ_f s_f² (x_if - x_kf)² / m,
    p_vi = Σ_k a_vik y_k

Row i attends to the ring and to the seen rows before it, no others, so a whole block is answered in
one call just as if its rows had come one by one. The feature scales s, bandwidths h and recencies τ
are fast weights: one Adam step a call, by the gradients derived in `pull`; inside a call they, the
norm m (the mean squared length of a key) and what falls out of the ring stand still. The voices
start at recencies that lie decades apart, which keeps them different experts.

Shapes: T tasks, B rows, W ring slots, K = W + B keys, F features, V voices, Z payload (C classes,
or 2 moments of a number).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, NoOptions, register
from agent.nets import EPSILON, Layout, adam, adam_begin, all_seen, before, hot, pad_last

NEVER = -1e9
"""Of an empty slot's birth, and of the logit of a row that may not be seen."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What `pull` needs of what `attend` did; keys stand beside their squared length and age."""

    weight_TVBK: Tensor
    query_TBF: Tensor
    key_TKF: Tensor
    beside_TK2: Tensor
    payload_TKZ: Tensor
    moment_TVBZ: Tensor
    known_TB: Tensor


class Attention(Exact):
    """Voices that remember the last W labelled events.

    Args:
        spec: what is asked for.
        slots: W, how many labelled events are remembered.
        bandwidths: h at the start, one a voice, in units of the typical distance.
        recencies: τ at the start, one a voice, per label.
        rate: step size of Adam on log s, log h and log τ; 0 leaves them as they are.
    """

    def __init__(
        self,
        spec: Spec,
        slots: int = 1024,
        bandwidths: Sequence[float] = (0.3, 0.3, 0.6),
        recencies: Sequence[float] = (1e-4, 1e-2, 1e-1),
        rate: float = 0.02,
    ) -> None:
        self.spec = spec
        self._slots, self._rate = slots, rate
        self._start = torch.tensor([[*bandwidths], [*recencies]]).log()
        self._names = tuple(f"attention {t:g}" for t in recencies)
        shape = (len(self._names),)
        self._layout = Layout((("s", (spec.features,)), ("h", shape), ("tau", shape)))

    @property
    def voices(self) -> tuple[str, ...]:
        """One a recency."""
        return self._names

    def begin(self, tasks: int) -> State:
        """An empty ring, plain feature scales."""
        log_s = torch.zeros(tasks, self.spec.features)
        start = [log_s, *(row.expand(tasks, -1) for row in self._start)]
        return {
            "key": torch.zeros(tasks, self._slots, self.spec.features),
            "y": torch.zeros(tasks, self._slots),
            "born": torch.full((tasks, self._slots), NEVER, dtype=torch.float64),
            "count": torch.zeros(tasks, 1, dtype=torch.float64),
            "norm": torch.full((tasks, 1), float(self.spec.features)),
            "classes": torch.zeros(tasks, self.spec.classes),
            **adam_begin("fast", torch.cat(start, 1)),
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Vote from the ring alone."""
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        seen_TB = torch.zeros_like(y_TB, dtype=torch.bool)
        return self.said(state, self.attend(state, x_TBF, y_TB, seen_TB))

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Vote from the ring and the seen rows before."""
        return self.said(state, self.attend(state, x_TBF, y_TB, all_seen(y_TB, seen_TB)))

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact at every row; the fast weights step once, at the end."""
        seen_TB = all_seen(y_TB, seen_TB)
        trace = self.attend(state, x_TBF, y_TB, seen_TB)
        said = self.said(state, trace)
        if not bool(seen_TB.any()):
            return said, state
        upstream = self.own_gradient(state, trace, y_TB, seen_TB)
        return said, self.settle(state, trace, upstream, x_TBF, y_TB, seen_TB)

    def widen(self, state: State, classes: int) -> State:
        """The ring holds indices: only the count of classes grows."""
        return {**state, "classes": pad_last(state["classes"], classes)}

    def attend(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Trace:
        """Weights and moments of every voice for every row.

        All logits are one product: what a row adds to all its logits alike drops out of a softmax,
        so -d/h² - τ age is [2 q/h², -1/h², τ] · [k, |k|², -age].
        """
        fast = self._layout.split(state["fast"])
        rows, passed_TB = x_TBF.shape[1], before(seen_TB)
        scale = fast["s"].exp() * state["norm"].rsqrt()
        key = torch.cat([state["key"], x_TBF], 1) * scale.unsqueeze(1)
        query = key[:, self._slots :]
        age = torch.cat([state["born"] - state["count"], passed_TB.double()], 1).float()
        beside = torch.stack([key.square().sum(2), age], 2)
        sharp = torch.exp(-2 * fast["h"])
        about = torch.stack([-sharp, fast["tau"].exp()], 2).unsqueeze(2).expand(-1, -1, rows, -1)
        ask = torch.cat([(2 * sharp)[:, :, None, None] * query.unsqueeze(1), about], 3)
        logit = torch.bmm(ask.flatten(1, 2), torch.cat([key, beside], 2).mT)
        logit = logit.unflatten(1, (-1, rows))
        later = torch.ones(rows, rows, dtype=torch.bool, device=x_TBF.device).triu()
        logit[..., self._slots :].masked_fill_((later | ~seen_TB.unsqueeze(1)).unsqueeze(1), NEVER)
        weight = torch.softmax(logit, -1)
        payload = self._payload(state, torch.cat([state["y"], y_TB.float()], 1))
        moment = torch.bmm(weight.flatten(1, 2), payload).unflatten(1, (-1, rows))
        known = (state["count"] + passed_TB) > 0
        return Trace(weight, query, key, beside, payload, moment, known)

    def said(self, state: State, trace: Trace) -> Said:
        """Turn moments into distributions."""
        moment = trace.moment_TVBZ.transpose(1, 2)
        even = torch.full_like(moment[..., 0], -float(self._start.shape[1]))
        even = torch.log_softmax(even, -1)
        known = trace.known_TB.unsqueeze(2)
        if self.spec.regression:
            middle, _ = self._ring(state)
            mean = (moment[..., 0] + middle.unsqueeze(2)) * known
            return Numbers(even, mean, torch.where(known, self._spread(moment, state), 1.0))
        classes = moment.shape[-1]
        heard = known.unsqueeze(3).float()
        share = (moment * heard + EPSILON / classes) / (heard + EPSILON)
        return Classes(even, share.log())

    def own_gradient(self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Gradient of the voices' own mean log loss by their moments, shape TVBZ."""
        moment = trace.moment_TVBZ
        busy = (seen_TB & trace.known_TB).float()
        share = (busy / busy.sum(1, keepdim=True).clamp(min=1)).view(y_TB.shape[0], 1, -1, 1)
        if self.spec.regression:
            scale = self._spread(moment, state)
            middle, _ = self._ring(state)
            miss = ((y_TB - middle).unsqueeze(1) - moment[..., 0]) / scale
            by_variance = 0.5 * (1 - miss * miss) / scale**2
            by_mean = -miss / scale - 2 * moment[..., 0] * by_variance
            return torch.stack([by_mean, by_variance], 3) * share
        label = hot(y_TB, moment.shape[-1]).unsqueeze(1)
        return -share * label / (moment + EPSILON / moment.shape[-1])

    def settle(
        self,
        state: State,
        trace: Trace,
        upstream_TVBZ: Tensor,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
    ) -> State:
        """Remember the seen rows and step against a gradient by the moments."""
        after = dict(state)
        if self._rate > 0:
            grad = self.pull(state, trace, upstream_TVBZ)
            after |= adam(state, "fast", grad, self._rate, seen_TB.any(1))
            after["fast"] = self._bounded(after["fast"])
        return after | self._remember(state, x_TBF, y_TB, seen_TB)

    def pull(self, state: State, trace: Trace, upstream_TVBZ: Tensor) -> Tensor:
        """Gradient by (log s, log h, log τ), shape TP, from one by the moments.

        With g the upstream gradient, the gradient by a logit is G = a (g·y_k - g·p). Its rows sum
        to zero, so only what differs between keys is left: G_v [k, |k|², -age] has it all.
        """
        fast = self._layout.split(state["fast"])
        rest = -(upstream_TVBZ * trace.moment_TVBZ).sum(3, keepdim=True)
        sides = torch.cat([upstream_TVBZ, rest], 3).flatten(1, 2)
        payload = torch.nn.functional.pad(trace.payload_TKZ, (0, 1), value=1.0)
        by_logit = torch.bmm(sides, payload.mT).view_as(trace.weight_TVBK).mul_(trace.weight_TVBK)
        by_key = by_logit.sum(2)
        sharp = torch.exp(-2 * fast["h"])
        cross = torch.bmm(by_logit.flatten(1, 2), trace.key_TKF).unflatten(
            1, (-1, trace.query_TBF.shape[1])
        )
        cross = (cross * trace.query_TBF.unsqueeze(1)).sum(2)
        length, aged = torch.bmm(by_key, trace.beside_TK2.clamp(min=-1e6)).unbind(2)
        by_h = 2 * sharp * (length - 2 * cross.sum(2))
        apart = torch.bmm(by_key, trace.key_TKF.square()) - 2 * cross
        by_s = -2 * (sharp.unsqueeze(2) * apart).sum(1)
        return torch.cat([by_s, by_h, aged * fast["tau"].exp()], 1)

    def _remember(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Write the seen rows over the oldest slots (first in, first out)."""
        place = state["count"] + before(seen_TB).double()
        total = state["count"] + seen_TB.sum(1, keepdim=True)
        keep = seen_TB & (place >= total - self._slots)  # a run longer than the ring laps itself
        task, row = keep.nonzero(as_tuple=True)
        slot = (place[task, row] % self._slots).long()
        after: dict[str, Tensor] = {}
        for name, fresh in (("key", x_TBF), ("y", y_TB.float()), ("born", place)):
            after[name] = state[name].index_put((task, slot), fresh[task, row])
        after["count"] = total
        length = after["key"].square().sum((1, 2)).unsqueeze(1) / total.clamp(1, self._slots)
        after["norm"] = torch.where(total > 0, length.float().clamp(min=1e-3), state["norm"])
        return after

    def _payload(self, state: State, y_TK: Tensor) -> Tensor:
        """What is averaged: class indicators, or distances from the ring's middle, and squares.

        Distances, so that a large number with a small spread loses no digits.
        """
        if self.spec.regression:
            apart = y_TK - self._ring(state)[0]
            return torch.stack([apart, apart * apart], 2)
        return hot(y_TK, state["classes"].shape[1])

    def _ring(self, state: State) -> tuple[Tensor, Tensor]:
        """Mean and variance of the numbers in the ring, each of shape T1."""
        filled = (state["born"] >= 0).float()
        total = filled.sum(1, keepdim=True).clamp(min=1)
        mean = (state["y"] * filled).sum(1, keepdim=True) / total
        return mean, ((state["y"] - mean) ** 2 * filled).sum(1, keepdim=True) / total

    def _spread(self, moment: Tensor, state: State) -> Tensor:
        """Deviation around the mean, with a floor that grows with the ring's own spread."""
        whole = self._ring(state)[1].unsqueeze(2)
        own = (moment[..., 1] - moment[..., 0] ** 2).clamp(min=0)
        return (own + 1e-3 * whole + 1e-6).sqrt()

    @staticmethod
    def _bounded(fast_TP: Tensor) -> Tensor:
        """Keep logs where single precision is at home."""
        return fast_TP.clamp(-14.0, 4.0)


@register(
    "attention",
    family="stream",
    paper="Vinyals et al. 2016, Matching Networks, over a ring of labelled events",
    goals=SINGLE,
)
def _attention(spec: Spec, _: NoOptions) -> Attention:
    return Attention(spec)
