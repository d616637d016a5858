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

Shapes: T tasks, B rows, V voices, C classes, E features of a voice, H hidden, S voices known,
P parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets import Layout

HORIZONS = (8.0, 60.0, 500.0)
LOSSES = 2 * len(HORIZONS)
SURE = 2
ABOUT = 2
EMBEDDING = 8
HIDDEN = 32
LEAST = -8.0  # of a log-probability that is looked at


@dataclass(frozen=True, slots=True)
class Looked:
    """What `pull` needs of `look`."""

    seen_TBVE: Tensor
    first_TBVH: Tensor
    second_TBVH: Tensor
    weight_TBV: Tensor
    heat_TBV: Tensor
    warm_TBV: Tensor


@dataclass(frozen=True, slots=True)
class Mixed:
    """What `pull` needs of `mix`."""

    logp_TBVC: Tensor
    words_TBCZ: Tensor
    hidden_TBCH: Tensor
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
        size = LOSSES + SURE + EMBEDDING + ABOUT
        parts: list[tuple[str, tuple[int, ...]]] = [
            ("id", (len(known) + 1, EMBEDDING)),
            ("W1", (size + 1, HIDDEN)),
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
        tasks, rows, voices = seen_TBVZ.shape[:3]
        slot = self._slot_V.to(seen_TBVZ.device)
        which = fast["id"][:, slot].unsqueeze(1).expand(-1, rows, -1, -1)
        about = about_TBA.unsqueeze(2).expand(-1, -1, voices, -1)
        seen = torch.cat([seen_TBVZ, about, which], 3).view(tasks, rows * voices, -1)
        first = _layer(seen, fast["W1"]).relu()
        second = _layer(first, fast["W2"]).relu()
        out = _layer(second, fast["W3"]).view(tasks, rows, voices, 2)
        warm = out[..., 1] + 0.5
        weight = torch.softmax(out[..., 0], 2)
        heat = torch.nn.functional.softplus(warm)
        return Looked(seen, first, second, weight, heat, warm)

    def mix(self, fast: dict[str, Tensor], looked: Looked, logp_TBVC: Tensor) -> Mixed:
        """Logits of the classes."""
        weight = looked.weight_TBV
        base = torch.einsum("tbv,tbvc->tbc", weight * looked.heat_TBV, logp_TBVC)
        loud = logp_TBVC * (weight * 5).unsqueeze(3)
        words = torch.cat([self._slotted(loud), self._slotted(logp_TBVC)], 2).mT / 3
        tasks, rows, classes, _ = words.shape
        flat = words.reshape(tasks, rows * classes, -1)
        hidden = _layer(flat, fast["R1"]).relu()
        added = torch.bmm(hidden, fast["R2"]).view(tasks, rows, classes)
        return Mixed(logp_TBVC, flat, hidden, base + added)

    def pull(
        self, fast: dict[str, Tensor], looked: Looked, mixed: Mixed, grad_TBC: Tensor
    ) -> Tensor:
        """Gradient by the parameters, shape TP, from one by the logits."""
        tasks, rows, classes = grad_TBC.shape
        by_voice = torch.einsum("tbc,tbvc->tbv", grad_TBC, mixed.logp_TBVC)
        flat = grad_TBC.reshape(tasks, rows * classes, 1)
        by_hidden = (flat @ fast["R2"].mT) * (mixed.hidden_TBCH > 0)
        parts = {
            "R2": torch.bmm(mixed.hidden_TBCH.mT, flat),
            "R1": _outer(mixed.words_TBCZ, by_hidden),
        }
        loud_rows = fast["R1"][:, : self._known]  # those that read 5 w_v l_vc
        by_loud = torch.bmm(by_hidden, loud_rows.mT).view(tasks, rows, classes, -1)
        by_loud = self._unslotted(by_loud.mT)
        by_weight = looked.heat_TBV * by_voice
        by_weight = by_weight + (by_loud * mixed.logp_TBVC).sum(3) * (5 / 3)
        return self._pulled(fast, looked, by_weight, looked.weight_TBV * by_voice, parts)

    def pull_weights(self, fast: dict[str, Tensor], looked: Looked, by_weight: Tensor) -> Tensor:
        """Gradient by the parameters, shape TP, from one by the weights alone (numbers)."""
        return self._pulled(fast, looked, by_weight, torch.zeros_like(by_weight), {})

    def _pulled(
        self,
        fast: dict[str, Tensor],
        looked: Looked,
        by_weight_TBV: Tensor,
        by_heat_TBV: Tensor,
        parts: dict[str, Tensor],
    ) -> Tensor:
        weight = looked.weight_TBV
        inner = (weight * by_weight_TBV).sum(2, keepdim=True)
        by_a = weight * (by_weight_TBV - inner)
        by_b = by_heat_TBV * looked.warm_TBV.sigmoid()
        tasks, rows, voices = weight.shape
        out = torch.stack([by_a, by_b], 3).view(tasks, rows * voices, 2)
        parts["W3"] = _outer(looked.second_TBVH, out)
        back = (out @ fast["W3"][:, :-1].mT) * (looked.second_TBVH > 0)
        parts["W2"] = _outer(looked.first_TBVH, back)
        back = (back @ fast["W2"][:, :-1].mT) * (looked.first_TBVH > 0)
        parts["W1"] = _outer(looked.seen_TBVE, back)
        by_id = (back @ fast["W1"][:, -EMBEDDING - 1 : -1].mT).view(tasks, rows, voices, -1).sum(1)
        slot = self._slot_V.to(weight.device)
        parts["id"] = torch.zeros_like(fast["id"]).index_add(1, slot, by_id)
        return self.layout.join(parts)

    def _slotted(self, leaf_TBVC: Tensor) -> Tensor:
        """Voices in the order of those known; zeros where one is not here, guests left out."""
        if self._plain:
            return leaf_TBVC
        tasks, rows, _, classes = leaf_TBVC.shape
        room = leaf_TBVC.new_zeros(tasks, rows, self._known + 1, classes)
        return room.index_add(2, self._slot_V.to(leaf_TBVC.device), leaf_TBVC)[:, :, :-1]

    def _unslotted(self, leaf_TBSC: Tensor) -> Tensor:
        if self._plain:
            return leaf_TBSC
        wide = torch.nn.functional.pad(leaf_TBSC, (0, 0, 0, 1))
        return wide[:, :, self._slot_V.to(leaf_TBSC.device)]


def _layer(rows_TNZ: Tensor, weight_TZH: Tensor) -> Tensor:
    """Affine; the last row of the weights is the bias."""
    return torch.baddbmm(weight_TZH[:, -1:], rows_TNZ, weight_TZH[:, :-1])


def _outer(rows_TNZ: Tensor, grad_TNH: Tensor) -> Tensor:
    """Gradient by the weights of such a layer."""
    return torch.cat([torch.bmm(rows_TNZ.mT, grad_TNH), grad_TNH.sum(1, keepdim=True)], 1)
