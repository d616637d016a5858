"""Attention over recent labelled events and a long bank, exact test-then-train in a batched call.

Each voice v answers with a kernel-weighted vote over the labels it holds (Nadaraya 1964; the
attention of Matching networks, Vinyals et al. 2016, eq. 1), by distance, age and mass:

    a_vik ∝ mass_k^μ_v exp(-d_ik / h_v² - τ_v age_ik),  d_ik = Σ_f s_f² (x_if - x_kf)² / m,
    p_vi = Σ_k a_vik y_k

Row i attends to the bank, to the ring of the last W events and to the seen rows before it, no
others, so a whole block is answered in one call just as if its rows had come one by one. What
leaves the ring may enter the bank (`agent.nets.bank`), where a key stands for several events: its
mass. The feature scales s, bandwidths h, recencies τ and powers μ are fast weights: one Adam step a
call, by the gradients of `agent.nets.kernel`; inside a call they, the norm m (the mean squared
length of a key in the ring), the bank and what falls out of the ring stand still. The voices start
decades apart, which keeps them different experts; τ = 0 stays 0.

Where rows are dated, one of lateness d is answered as when it was asked: it attends to no event
that was learned less than d labels ago. Codes of words are not looked at.

Shapes: T tasks, B rows, W ring slots, M bank slots, K = M + W + B keys, F quantities, V voices,
Z payload (C classes, or 2 moments of a number).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, register
from agent.nets import EPSILON, Layout, adam, adam_begin, all_seen, kernel, pad_last, votes
from agent.nets.events import aged, events_begin, hide, kept, masses, remember, ring_moments
from agent.nets.exact import product
from agent.nets.starts import AttentionStart


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """How much is remembered, and how fast the weights move.

    Args:
        slots: recent labelled events.
        bank: slots for older ones; 0 for none.
        rate: step size of scales, bandwidths, recencies and powers; 0 leaves them.
    """

    slots: int = 1024
    bank: int = 1024
    rate: float = 0.02

    def __post_init__(self) -> None:
        for name, least, most in (("slots", 1, 1_000_000), ("bank", 0, 1_000_000), ("rate", 0, 1)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} to {most}")


@dataclass(frozen=True, slots=True)
class Trace:
    """What `pull` needs of what `attend` did."""

    weight_TVBK: Tensor
    query_TBF: Tensor
    apart_TBK: Tensor
    moment_TVBZ: Tensor
    known_TB: Tensor
    knobs: kernel.Knobs
    keys: kernel.Keys


class Attention(Exact):
    """Voices that remember the last W labelled events, and a bank of those before.

    Args:
        spec: what is asked for.
        slots: W, how many labelled events are remembered as they came.
        bank: M, slots of the long bank; 0 for none.
        start: where the voices begin.
        bandwidths, recencies: in place of those of `start`; powers μ are then 0.3.
        rate: step size of Adam on log s, log h, log τ and μ, times those of `start`; 0 leaves them.
    """

    def __init__(
        self,
        spec: Spec,
        slots: int = 1024,
        bandwidths: Sequence[float] = (),
        recencies: Sequence[float] = (),
        rate: float = 0.02,
        bank: int = 1024,
        start: AttentionStart | None = None,
    ) -> None:
        self.spec = spec
        self._slots, self._bank, self._rate = slots, bank, rate
        if bandwidths or recencies:
            powers = (0.3,) * len(bandwidths)
            start = AttentionStart(tuple(bandwidths), tuple(recencies), powers)
        start = start or AttentionStart()
        logs = torch.tensor([start.bandwidths, start.recencies]).log().clamp(*kernel.LOGS)
        self._start = torch.cat([logs, torch.tensor([start.masses])])
        pairs = zip(start.bandwidths, start.recencies, strict=True)
        self._names = tuple(f"attention {h:.3g} {t:.3g}" for h, t in pairs)
        self._bounds = kernel.Bounds(spec.quantities, len(self._names))
        shape, width = (len(self._names),), spec.quantities
        layout = Layout((("s", (width,)), ("h", shape), ("tau", shape), ("mu", shape)))
        self._step = start.steps(layout) * rate

    @property
    def voices(self) -> tuple[str, ...]:
        """One a bandwidth and recency."""
        return self._names

    def begin(self, tasks: int) -> State:
        """An empty ring, an empty bank, plain feature scales."""
        width = self.spec.quantities
        start = [torch.zeros(tasks, width), *(row.expand(tasks, -1) for row in self._start)]
        return {
            **events_begin(tasks, self._slots, self._bank, width),
            "norm": torch.full((tasks, 1), float(max(width, 1))),
            "classes": torch.zeros(tasks, self.spec.classes),
            **adam_begin("fast", torch.cat(start, 1)),
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Vote from what is remembered alone."""
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        return self.foresee(state, x_TBF, y_TB, torch.zeros_like(y_TB).bool())

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Vote from what is remembered and the seen rows before."""
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
        """Labels are held as indices: only the count of classes grows."""
        return {**state, "classes": pad_last(state["classes"], classes)}

    def grouped(self, state: State, group_T: Tensor) -> State:
        """Say to which group (a task, as whole number) the events from now on belong."""
        return {**state, "now": group_T.to(state["now"]).unsqueeze(1)}

    def attend(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Trace:
        """Weights and moments of every voice for every row."""
        query = x_TBF[..., : self.spec.quantities]
        now = self._bounds.knobs(state["fast"], state["norm"])
        late = x_TBF[..., -1:] if self.spec.dated and bool(x_TBF[..., -1].any()) else None
        key, born = kept(state, "key", query), kept(state, "born")
        age, square = aged(state, born, seen_TB), key.square()
        length = product(square, now.weight_TF.unsqueeze(2)).squeeze(2)
        length[:, : born.shape[1]].masked_fill_(born < 0, kernel.FAR)
        distance = kernel.apart(query, key, length, now.weight_TF)
        hide(distance, seen_TB, age, late)
        beside = torch.stack([age, masses(state, age.shape[1])], 1)
        payload = self._payload(state, kept(state, "y", y_TB.float()))
        keys = kernel.Keys(key, square, beside, payload, whole=not self.spec.regression)
        weight, moment = kernel.attention(now, keys, distance)
        known = self._known(state, age, late)
        return Trace(weight, query, distance, moment, known, now, keys)

    def said(self, state: State, trace: Trace) -> Said:
        """Turn moments into distributions."""
        moment = trace.moment_TVBZ.transpose(1, 2)
        even = torch.full_like(moment[..., 0], -math.log(len(self._names)))
        known = trace.known_TB.unsqueeze(2)
        if self.spec.regression:
            middle, whole = ring_moments(state)
            mean = (moment[..., 0] + middle.unsqueeze(2)) * known
            return Numbers(
                even, mean, torch.where(known, votes.spread(moment, whole.unsqueeze(2)), 1.0)
            )
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
            middle, whole = ring_moments(state)
            return share * votes.number_gradient(moment, (y_TB - middle).unsqueeze(1), whole)
        return share * votes.class_gradient(moment, y_TB)

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
        del x_TBF  # the trace has its quantities
        after = dict(state)
        if self._rate > 0:
            grad = self.pull(state, trace, upstream_TVBZ)
            after |= adam(state, "fast", grad, self._step.to(grad.device), seen_TB.any(1))
            after["fast"] = self._bounds.bounded(after["fast"])
        rows, classes = (trace.query_TBF, y_TB, seen_TB), state["classes"].shape[1]
        plain = trace.knobs.weight_TF * (state["norm"] / max(self.spec.quantities, 1))
        after |= remember(state, rows, plain, classes)
        total, ring = after["count"], after["key"]
        length = ring.square().sum((1, 2)).unsqueeze(1) / total.clamp(1, self._slots)
        after["norm"] = torch.where(total > 0, length.float().clamp(min=1e-3), state["norm"])
        return after

    def pull(self, state: State, trace: Trace, upstream_TVBZ: Tensor) -> Tensor:
        """Gradient by (log s, log h, log τ, μ), shape TP, from one by the moments."""
        del state  # the trace has what it said
        seen = (trace.query_TBF, trace.apart_TBK, trace.weight_TVBK)
        by_s, by_h, by_about = kernel.attention_gradient(
            trace.knobs, trace.keys, seen, trace.moment_TVBZ, upstream_TVBZ
        )
        by_tau, by_mu = by_about.unbind(2)
        return torch.cat([by_s, by_h, by_tau * trace.knobs.about_TV2[..., 0], by_mu], 1)

    def _known(self, state: State, age_TK: Tensor, late_TB1: Tensor | None) -> Tensor:
        """Say which rows have anything to attend to, shape TB."""
        passed = age_TK[:, kept(state, "y").shape[1] :]
        if late_TB1 is None:
            return (state["count"] + passed) > 0
        first = torch.where(kept(state, "born") < 0, 0.0, age_TK[:, : -passed.shape[1]]).amin(1)
        return first.unsqueeze(1) < passed - late_TB1.squeeze(2)

    def _payload(self, state: State, y_TK: Tensor) -> Tensor:
        """What is averaged, shape TZK; numbers as distances from the ring's middle."""
        if self.spec.regression:
            return votes.number_payload(y_TK - ring_moments(state)[0])
        return votes.class_payload(y_TK, state["classes"].shape[1])


def learned(state: State) -> dict[str, tuple[float, ...]]:
    """Read where the voices are now: what `AttentionStart` takes. Over tasks, the geometric mean.

    >>> learner = Attention(Spec(3, 2), start=AttentionStart((0.5,), (0.01,), (1.0,)))
    >>> {name: [round(v, 6) for v in values] for name, values in learned(learner.begin(1)).items()}
    {'bandwidths': [0.5], 'recencies': [0.01], 'masses': [1.0]}
    """
    fast = state["fast"].mean(0)
    h, tau, mu = fast[state["key"].shape[2] :].double().chunk(3)
    named = {
        "bandwidths": h.exp(),
        "recencies": kernel.recency(tau).clamp(max=1),
        "masses": mu.clamp(0, 1),
    }
    return {name: tuple(leaf.tolist()) for name, leaf in named.items()}


@register(
    "attention",
    AttentionOptions,
    family="stream",
    paper="Vinyals et al. 2016, Matching Networks, over a ring and a bank of labelled events",
    goals=SINGLE,
)
def _attention(spec: Spec, options: AttentionOptions) -> Attention:
    return Attention(spec, options.slots, rate=options.rate, bank=options.bank)
