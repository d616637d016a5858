"""The mixer: which voice to trust, on this row, by how each has fared lately.

One small network looks at each voice alike (its recent losses over three horizons, how sure it is
now, and a learned embedding of which voice it is) and gives it a weight and a temperature; the
classes' logits are the weighed log-probabilities plus what a second small network, the same for
every class, adds from all voices' words on that class:

    f_v = (losses_v, sureness_v, id_v, about),  (a_v, b_v) = MLP(f_v),
    w = softmax_v(a),  t_v = softplus(b_v + 1/2),
    o_c = Σ_v w_v t_v l_vc + r(5 w_v l_vc, l_vc for all v)

Nothing depends on how many classes there are, nor their order. For numbers the mean is Σ_v w_v m_v
and no more. Meta-trained on generated streams (`agent.training.mixing`), it goes on learning on
each stream by the gradients written out in `pull`.

A voice that it was not trained with (a seated learner, a River model) is a guest: it has the
guests' embedding, and no part in r.

The first layer is linear in its parts, so what is the same for all voices of a row, or for all
rows of a voice, goes through it once. Rows with few columns lie along the last axis (T2N), where
products and the elementwise functions are several times as fast as along the first.

Shapes: T tasks, B rows, V voices, N = B V of both, C classes, Z numbers seen of a voice, A of all,
E its embedding, H hidden, S voices known, P parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets import Layout
from agent.nets.exact import product, sigmoid, softplus

HORIZONS = (8.0, 60.0, 500.0)
LOSSES = 2 * len(HORIZONS)
SURE = 2
ABOUT = 2
EMBEDDING = 8
HIDDEN = 32
LEAST = -8.0  # of a log-probability that is looked at
_PARTS = [LOSSES + SURE, ABOUT, EMBEDDING, 1]  # rows of the first layer, the bias last


@dataclass(frozen=True, slots=True)
class Looked:
    """What `pull` needs of `look`."""

    seen_TNZ: Tensor
    about_TBA: Tensor
    which_TVE: Tensor
    first_TNH: Tensor
    second_TNH: Tensor
    weight_TBV: Tensor
    heat_TBV: Tensor
    warm_TBV: Tensor


@dataclass(frozen=True, slots=True)
class Mixed:
    """What `pull` needs of `mix`; the voices' words are divided by three, N = B C rows."""

    logp_TBCV: Tensor
    words_TNZ: Tensor
    hidden_TNH: Tensor
    out_TBC: Tensor


class Mixer:
    """The shape of the mixer for these voices; its parameters are handed in, flat.

    Args:
        voices: names of the voices at the table, in their order.
        known: names of those that it is, or was, trained with.
        words: whether it has the second network (classes) or not (numbers).
    """

    def __init__(self, voices: Sequence[str], known: Sequence[str], *, words: bool) -> None:
        slots = {name: at for at, name in enumerate(known)}
        self._slot_V = torch.tensor([slots.get(name, len(known)) for name in voices])
        self._plain = tuple(voices) == tuple(known)
        self._known = len(known)
        places = {name: at for at, name in enumerate(voices)}
        self._voice_S = torch.tensor([places.get(name, len(places)) for name in known])
        parts: list[tuple[str, tuple[int, ...]]] = [
            ("id", (len(known) + 1, EMBEDDING)),
            ("W1", (sum(_PARTS), HIDDEN)),
            ("W2", (HIDDEN + 1, HIDDEN)),
            ("W3", (HIDDEN + 1, 2)),
        ]
        if words:
            parts += [("R1", (2 * len(known) + 1, 2 * HIDDEN)), ("R2", (2 * HIDDEN, 1))]
        self.layout = Layout(tuple(parts))
        self.words = words

    def draw(self, generator: torch.Generator) -> Tensor:
        """First parameters, shape 1P: every voice alike, nothing added."""
        parts = {}
        for name, shape in self.layout.parts:
            bound = (3.0 / shape[0]) ** 0.5 if name != "id" else 0.3
            parts[name] = torch.empty(1, *shape).uniform_(-bound, bound, generator=generator)
            if name in {"W3", "R2"}:
                parts[name] = parts[name] * 0.1
        return self.layout.join(parts)

    def look(self, fast: dict[str, Tensor], seen_TBVZ: Tensor, about_TBA: Tensor) -> Looked:
        """Weigh the voices by what is seen of each."""
        tasks, rows, voices, seen = seen_TBVZ.shape
        seen_TNZ = seen_TBVZ.reshape(tasks, rows * voices, seen)
        which = fast["id"].index_select(1, self._slot_V.to(seen_TBVZ.device))
        by_seen, by_about, by_which, bias = fast["W1"].split(_PARTS, 1)
        first = torch.bmm(seen_TNZ, by_seen).view(tasks, rows, voices, -1)
        first += torch.baddbmm(bias, which, by_which).unsqueeze(1)
        first += torch.bmm(about_TBA, by_about).unsqueeze(2)
        first_TNH = first.relu_().view(tasks, rows * voices, -1)
        second = _layer(first_TNH, fast["W2"]).relu_()
        last = fast["W3"].mT.contiguous()
        out = torch.bmm(last[..., :-1], second.mT) + last[..., -1:]
        out_T2BV = out.view(tasks, 2, rows, voices)
        warm = out_T2BV[:, 1] + 0.5
        weight, heat = torch.softmax(out_T2BV[:, 0], 2), softplus(warm)
        return Looked(seen_TNZ, about_TBA, which, first_TNH, second, weight, heat, warm)

    def mix(self, fast: dict[str, Tensor], looked: Looked, logp_TBVC: Tensor) -> Mixed:
        """Logits of the classes."""
        tasks, rows, _, classes = logp_TBVC.shape
        logp = logp_TBVC.mT.contiguous() / 3
        loud = logp * (looked.weight_TBV * 5).unsqueeze(2)
        base = (loud * (looked.heat_TBV * (3 / 5)).unsqueeze(2)).sum(3)
        words = torch.cat([self._slotted(loud), self._slotted(logp)], 3)
        words = words.view(tasks, rows * classes, -1)
        hidden = _layer(words, fast["R1"]).relu_()
        added = product(hidden, fast["R2"]).view(tasks, rows, classes)
        return Mixed(logp, words, hidden, base + added)

    def pull(
        self, fast: dict[str, Tensor], looked: Looked, mixed: Mixed, grad_TBC: Tensor
    ) -> Tensor:
        """Gradient by the parameters, shape TP, from one by the logits."""
        tasks, rows, classes = grad_TBC.shape
        whole, parts = self._room(fast)
        grad = grad_TBC.reshape(tasks, rows * classes, 1)
        torch.bmm(mixed.hidden_TNH.mT, grad, out=parts["R2"])
        by_hidden = _where_open(torch.bmm(grad, fast["R2"].mT), mixed.hidden_TNH)
        _outer(mixed.words_TNZ, by_hidden, parts["R1"])
        loud_rows = fast["R1"][:, : self._known]  # those that read 5 w_v l_vc
        by_loud = torch.bmm(by_hidden, loud_rows.mT).view(tasks, rows, classes, -1)
        by_voice = (mixed.logp_TBCV * (grad_TBC * 3).unsqueeze(3)).sum(2)
        by_weight = (mixed.logp_TBCV * self._unslotted(by_loud)).sum(2) * 5
        by_weight = torch.addcmul(by_weight, looked.heat_TBV, by_voice)
        self._pull_look(fast, looked, by_weight, by_voice, parts)
        return whole

    def pull_weights(self, fast: dict[str, Tensor], looked: Looked, by_weight: Tensor) -> Tensor:
        """Gradient by the parameters, shape TP, from one by the weights alone (numbers)."""
        whole, parts = self._room(fast)
        self._pull_look(fast, looked, by_weight, torch.zeros_like(by_weight), parts)
        return whole

    def _room(self, fast: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """An empty gradient, and its parts, to be written."""
        whole = fast["W1"].new_empty(fast["W1"].shape[0], self.layout.size)
        return whole, self.layout.split(whole)

    def _pull_look(
        self,
        fast: dict[str, Tensor],
        looked: Looked,
        by_weight_TBV: Tensor,
        by_voice_TBV: Tensor,
        parts: dict[str, Tensor],
    ) -> None:
        """Write the gradient by the parameters of `look`."""
        weight = looked.weight_TBV
        tasks, rows, voices = weight.shape
        pulled = weight * by_weight_TBV
        by_a = torch.addcmul(pulled, weight, pulled.sum(2, keepdim=True), value=-1)
        by_b = weight * by_voice_TBV * sigmoid(looked.warm_TBV)
        out = torch.stack([by_a, by_b], 1).view(tasks, 2, rows * voices)
        parts["W3"][:, :-1] = torch.bmm(out, looked.second_TNH).mT
        parts["W3"][:, -1] = out.sum(2)
        back = _where_open(torch.bmm(out.mT, fast["W3"][:, :-1].mT), looked.second_TNH)
        _outer(looked.first_TNH, back, parts["W2"])
        back = _where_open(torch.bmm(back, fast["W2"][:, :-1].mT), looked.first_TNH)
        by_seen, by_about, by_which, bias = parts["W1"].split(_PARTS, 1)
        torch.bmm(looked.seen_TNZ.mT, back, out=by_seen)
        back = back.view(tasks, rows, voices, -1)
        by_row, by_slot = back.sum(2), back.sum(1)
        torch.bmm(looked.about_TBA.mT, by_row, out=by_about)
        torch.bmm(looked.which_TVE.mT, by_slot, out=by_which)
        torch.sum(by_slot, 1, keepdim=True, out=bias)
        by_id = torch.bmm(by_slot, fast["W1"][:, -EMBEDDING - 1 : -1].mT)
        parts["id"].zero_().index_add_(1, self._slot_V.to(back.device), by_id)

    def _slotted(self, leaf_TBCV: Tensor) -> Tensor:
        """Voices in the order of those known; zeros where one is not here, guests left out."""
        if self._plain:
            return leaf_TBCV
        wide = torch.nn.functional.pad(leaf_TBCV, (0, 1))
        return wide[..., self._voice_S.to(leaf_TBCV.device)]

    def _unslotted(self, leaf_TBCS: Tensor) -> Tensor:
        if self._plain:
            return leaf_TBCS
        wide = torch.nn.functional.pad(leaf_TBCS, (0, 1))
        return wide[..., self._slot_V.to(leaf_TBCS.device)]


def _layer(rows_TNZ: Tensor, weight_TZH: Tensor) -> Tensor:
    """Affine; the last row of the weights is the bias."""
    return torch.baddbmm(weight_TZH[:, -1:], rows_TNZ, weight_TZH[:, :-1])


def _outer(rows_TNZ: Tensor, grad_TNH: Tensor, into_TZH: Tensor) -> None:
    """Write the gradient by the weights of such a layer."""
    torch.bmm(rows_TNZ.mT, grad_TNH, out=into_TZH[:, :-1])
    torch.sum(grad_TNH, 1, keepdim=True, out=into_TZH[:, -1:])


def _where_open(grad: Tensor, after: Tensor) -> Tensor:
    """Gradient before a rectifier, from that after it and what it gave: nought where it is shut."""
    found: Tensor = torch.ops.aten.threshold_backward(grad, after, 0)
    return found
