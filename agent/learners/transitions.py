"""Labels by the labels before them: the transitions of a stream, whatever the features say.

The shares of the labels that followed the same last k labels as stand before a row, each
counted by λ^age. Where a context is rare it leans on the next shorter one, as in Witten & Bell
1991, The zero-frequency problem, and in prediction by partial matching (Cleary & Witten 1984):

    p_0 = shares of all labels,   p_k(c) = (N_k(c) + s d_k p_(k-1)(c)) / (Σ_c N_k(c) + s d_k)

with d_k the number of different labels that followed: a context that the same label has always
followed is soon believed.

Nothing is tabled by context: the last W labels are kept with the labels before each, and rows
compare; so any number of classes, and any order, costs the same.

Dated rows: one that was asked d labels ago sees only the labels before those d, also what it will
teach is what followed the labels that stood there then.

Shapes: T tasks, B rows, W slots, K = W + B places, L lags, V voices, C classes.
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
from agent.nets.window import front, held_after, slid

NONE, NOBODY = -1, -2  # a label that there is not: on the line, and before a row


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
        fresh = front(torch.where(there, label, NONE), line.run)
        context = torch.cat([state["context"], fresh], 1)
        count = self._counts(line, torch.where(there, label, NOBODY), context, state["classes"])
        logp = self._shares(count).transpose(1, 2)
        even = torch.full_like(logp[..., 0], -math.log(len(self._names)))
        return Classes(even, logp), line, context

    def _counts(self, line: Line, own_TBL: Tensor, context_TKL: Tensor, wide_TC: Tensor) -> Tensor:
        """Labels that followed the same 0, 1, ... L labels, by age; shape T (L+1) B C.

        The age of place j to a row is its end - 1 - j: the factor of the end stands outside.
        """
        alike = [line.visible()]
        for lag in range(self._lags):
            same = own_TBL[:, :, None, lag] == context_TKL[:, None, :, lag]
            alike.append(alike[-1] & same)
        size = line.label_TK.shape[1]
        place = torch.arange(size, device=wide_TC.device)
        kinds = torch.arange(wide_TC.shape[1], device=wide_TC.device).unsqueeze(1)
        payload_TCK = line.label_TK.unsqueeze(1) == kinds
        payload_TCK = payload_TCK * ((size - 1 - place) * self._log_keep).exp()
        count = payload_TCK @ torch.cat(alike, 1).to(payload_TCK.dtype).mT  # few rows come first
        outside = ((line.end_TB - size) * self._log_keep).exp()
        aged: Tensor = count.unflatten(2, (-1, own_TBL.shape[1])) * outside[:, None, None]
        return aged.permute(0, 2, 3, 1)

    def _shares(self, count_TLBC: Tensor) -> Tensor:
        """Log-shares of every voice, each order leaning on the one below; shape TVBC."""
        classes, lean = count_TLBC.shape[3], self.options.strength
        total = count_TLBC.sum(3, keepdim=True)
        share = (count_TLBC[:, 0] + EPSILON / classes) / (total[:, 0] + EPSILON)
        kinds = (count_TLBC > 0).sum(3, keepdim=True)
        said = [share]
        for order in range(1, self._lags + 1):
            count, escape = count_TLBC[:, order], lean * kinds[:, order]
            leaned = (count + escape * share) / (total[:, order] + escape)
            share = torch.where(escape > 0, leaned, share)
            said.append(share)
        chosen = torch.stack([said[order] for order in self.options.orders], 1)
        return ((chosen + EPSILON / classes) / (1 + EPSILON)).log()


@register(
    "transitions",
    TransitionsOptions,
    family="stream",
    paper="Cleary & Witten 1984, Data compression: partial matching of contexts",
    goals=("classes",),
)
def _transitions(spec: Spec, options: TransitionsOptions) -> Transitions:
    return Transitions(spec, options)
