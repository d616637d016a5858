"""Labels by the labels before them: the transitions of a stream, whatever the features say.

The shares of the labels that followed the same last k labels as stand before a row, each
counted by λ^age. Where a context is rare it leans on the next shorter one, as in Witten & Bell
1991, The zero-frequency problem, and in prediction by partial matching (Cleary & Witten 1984):

    p_0 = shares of all labels,   p_k(c) = (N_k(c) + s d_k p_(k-1)(c)) / (Σ_c N_k(c) + s d_k)

with d_k the number of different labels that followed: a context that the same label has always
followed is soon believed.

Nothing is tabled by context: the last W labels are kept with the labels before each, and rows
compare; so any order costs the same. What is compared are codes of contexts in 24 bits, as floats,
which are compared several times as fast as booleans are made: no two contexts of one or two labels
share a code with fewer than 4,000 classes, longer ones hardly ever do.

Dated rows: one that was asked d labels ago sees only the labels before those d, also what it will
teach is what followed the labels that stood there then.

Shapes: T tasks, B rows, W slots, K = W + B places, N = K + B of both, L lags, V voices, C classes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Said, Spec, State
from agent.learners.registry import register
from agent.nets import EPSILON, all_seen, pad_last
from agent.nets.lags import Line, lateness, line_of
from agent.nets.window import held_after, rows, slid

NONE, NOBODY = -1, -2  # a label that there is not: on the line, and before a row
BASE, CODES = 4099, 2**24  # of the codes of contexts: odd, and how many a float tells apart
MEMO = 8  # lengths of lines whose weights are kept at hand


@dataclass(frozen=True, slots=True)
class TransitionsOptions:
    """How far back.

    Args:
        orders: how many labels before a row each voice looks at.
        memory: 1 / (1 - λ), in labels.
        slots: W, the labels that are kept.
        strength: s, the labels' worth of the shorter context, for each kind of label that followed.
    """

    orders: tuple[int, ...] = (1, 2)
    memory: float = 300.0
    slots: int = 1024
    strength: float = 2.0

    def __post_init__(self) -> None:
        if not self.orders or min(self.orders) < 1:
            raise ValueError(f"orders is {self.orders}; give one order or more, each 1 or more")
        if self.slots < max(self.orders):
            raise ValueError(f"slots is {self.slots}; give the longest order or more")
        if self.memory < max(self.slots / 16, 2):
            raise ValueError(f"memory is {self.memory}; give a sixteenth of slots or more, 2 least")
        if self.strength <= 0:
            raise ValueError(f"strength is {self.strength}; give more than 0")


class Transitions(Exact):
    """One voice an order; exact at every row."""

    def __init__(self, spec: Spec, options: TransitionsOptions | None = None) -> None:
        self.spec, self.options = spec, options or TransitionsOptions()
        self._names = tuple(f"transitions {order}" for order in self.options.orders)
        self._lags = max(self.options.orders)
        self._log_keep = math.log1p(-1 / self.options.memory)
        self._power_L = torch.tensor([BASE**lag % CODES for lag in range(self._lags)])
        self._memo: dict[tuple[int, torch.device], Tensor] = {}  # of `_weights`; speed only

    @property
    def voices(self) -> tuple[str, ...]:
        """One an order."""
        return self._names

    def begin(self, tasks: int) -> State:
        """Nothing seen."""
        slots = self.options.slots
        return {
            "label": torch.zeros(tasks, slots, dtype=torch.int32),
            "context": torch.full((tasks, slots, self._lags), NONE, dtype=torch.int32),
            "held": torch.zeros(tasks, 1, dtype=torch.int64),
            "classes": torch.zeros(tasks, self.spec.classes),
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer from what is kept."""
        y_TB = torch.zeros(x_TBF.shape[:2], dtype=torch.int64, device=x_TBF.device)
        return self._answer(state, x_TBF, y_TB, torch.zeros_like(y_TB, dtype=torch.bool))[0]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact at every row: the seen rows before it are on the line."""
        seen_TB = all_seen(y_TB, seen_TB)
        said, line, context = self._answer(state, x_TBF, y_TB, seen_TB)
        slots = self.options.slots
        return said, {
            **state,
            "label": slid(state["label"], line.label_TK[:, slots:], line.run),
            "context": slid(state["context"], context[:, slots:], line.run),
            "held": held_after(state["held"], line.run, slots),
        }

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Exact at every row."""
        return self._answer(state, x_TBF, y_TB, all_seen(y_TB, seen_TB))[0]

    def widen(self, state: State, classes: int) -> State:
        """Indices are kept: only the count of classes grows."""
        return {**state, "classes": pad_last(state["classes"], classes)}

    def _answer(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, Line, Tensor]:
        """What is said, the line, and the labels before each place of it (TKL)."""
        late = lateness(self.spec.dated, x_TBF, self.options.slots)
        line = line_of(state["label"], state["held"], y_TB, seen_TB, late)
        label, there = line.before(self._lags)
        fresh = rows(torch.where(there, label, NONE), line.run.order_TB)
        context = torch.cat([state["context"], fresh], 1)
        own = torch.where(there, label, NOBODY)
        alike = self._alike(line, own, context, whole=late is not None)
        logp = self._shares(self._counts(line, alike, state["classes"]))
        even = torch.full_like(logp[..., 0], -math.log(len(self._names)))
        return Classes(even, logp), line, context

    def _alike(self, line: Line, own_TBL: Tensor, context_TKL: Tensor, *, whole: bool) -> Tensor:
        """One where a row sees a place that the same 1, ... L labels precede, else nought; TLBK.

        Without `whole` every row sees all of the window, and only the block's own places hide.
        """
        size, slots = context_TKL.shape[1], self.options.slots
        label = torch.cat([context_TKL, own_TBL], 1) - NOBODY
        code = (label * self._power_L.to(label.device)).cumsum(2) & (CODES - 1)
        code_TLN = code.to(torch.float32).mT.contiguous()
        own, there = code_TLN[..., size:], code_TLN[..., :size]
        alike = (own.unsqueeze(3) - there.unsqueeze(2)).abs_().neg_().add_(1).relu_()
        start = 0 if whole else slots
        place = torch.arange(start, size, device=label.device)
        alike[..., start:] *= (place < line.end_TB.unsqueeze(2)).unsqueeze(1)
        return alike

    def _counts(self, line: Line, alike_TLBK: Tensor, wide_TC: Tensor) -> Tensor:
        """Labels that followed the same 0, 1, ... L labels, by age; shape T C (L+1) B.

        The age of place j to a row is its end - 1 - j: the factor of the end stands outside.
        """
        tasks, lags, count, size = alike_TLBK.shape
        weight_TK = self._weights(size, wide_TC.device)
        weight_TK = weight_TK * (torch.arange(size, device=wide_TC.device) >= line.first_T1)
        kinds = torch.arange(wide_TC.shape[1], dtype=torch.int32, device=wide_TC.device)
        payload_TCK = (line.label_TK.unsqueeze(1) == kinds.unsqueeze(1)) * weight_TK.unsqueeze(1)
        before = torch.nn.functional.pad(payload_TCK.cumsum(2), (1, 0))
        every = before.gather(2, line.end_TB.unsqueeze(1).expand(-1, len(kinds), -1))
        alike = payload_TCK @ alike_TLBK.view(tasks, lags * count, size).mT  # few rows come first
        found = torch.cat([every, alike], 2).view(tasks, len(kinds), lags + 1, count)
        outside = ((line.end_TB - size) * self._log_keep).exp()
        aged: Tensor = found * outside[:, None, None]
        return aged

    def _weights(self, size: int, device: torch.device) -> Tensor:
        """λ^age of the places of a line, from its end; shape K."""
        found = self._memo.get((size, device))
        if found is None:
            age = torch.arange(size - 1, -1, -1, device=device)
            found = (age * self._log_keep).exp()
            if len(self._memo) < MEMO:
                self._memo[size, device] = found
        return found

    def _shares(self, count_TCLB: Tensor) -> Tensor:
        """Log-shares of every voice, each order leaning on the one below; shape TBVC.

        Where nothing followed, the shorter context is leaned on alone.
        """
        classes, lean = count_TCLB.shape[1], self.options.strength
        total = count_TCLB.sum(1, keepdim=True)
        escape = (count_TCLB.sign().sum(1, keepdim=True) * lean).clamp_(min=lean)
        whole = total + escape
        share = (count_TCLB[:, :, 0] + EPSILON / classes) / (total[:, :, 0] + EPSILON)
        said = [share]
        for order in range(1, self._lags + 1):
            leaned = torch.addcmul(count_TCLB[:, :, order], escape[:, :, order], share)
            share = leaned / whole[:, :, order]
            said.append(share)
        chosen = torch.stack([said[order] for order in self.options.orders], 3)
        smooth = ((chosen + EPSILON / classes) / (1 + EPSILON)).log()
        return smooth.permute(0, 2, 3, 1)


@register(
    "transitions",
    TransitionsOptions,
    family="stream",
    paper="Cleary & Witten 1984, Data compression: partial matching of contexts",
    goals=("classes",),
)
def _transitions(spec: Spec, options: TransitionsOptions) -> Transitions:
    return Transitions(spec, options)
