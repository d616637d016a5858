"""Cells: a row falls into one cell of each of many tables, and every cell has learned something.

Piecewise functions of one column, of pairs and of conjunctions, without a tree to grow: a table
divides the space by one, two or up to four columns (words by their codes), its cells are hashed
into one array (tile coding, Sutton & Barto 2018, §9.5.4; feature hashing, Weinberger et al. 2009;
random ferns, Özuysal et al. 2010). A column of quantities alone is divided softly: a row lies
between two knots and takes from both, which makes the sum over such tables a piecewise linear
additive model. Two voices read the cells:

- `cells linear`: logits o = Σ_m v_m w[cell_m] over all but fine tables, learned by gradient with a
  step size of its own per weight (AdaGrad, Duchi et al. 2011, with forgetting);
- `cells evidence`: forgetful counts per cell say by which factor r_m(c) a class is likelier there
  (`agent.nets.evidence`), and o = log p + Σ_m β_m log r_m, a naive Bayes over tables whose trust
  β_m is learned by gradient; one memory is long, one is short: "how have labels been lately, at
  this terminal".

For numbers the first is a regression in units of the targets' spread, and the second adds up what
each cell's mean differs from the mean of all. Within a block both stand still.

Shapes: T tasks, B rows, F quantities, K codes, M cells that a row is in, E tables, N conjunctions
of at most L columns, R rows of the hashed array, O outputs (C classes, or 1), H memories.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, register
from agent.nets import adam, adam_begin, all_seen, hot, pad_last
from agent.nets.evidence import lift, log_share, mean_apart, refreshed, table_counts
from agent.nets.exact import power
from agent.nets.numbers import middle_and_spread, numbers_merged
from agent.nets.tiles import Tiles, fold

UNSEEN = -30.0
EVEN = -0.6931471805599453  # two voices, half each
ROOM = 2**20  # floats of the hashed array at most
ROWS = 2**14  # of it at most


@dataclass(frozen=True, slots=True)
class CellsOptions:
    """How space is divided, and how cells learn.

    Args:
        singles: columns that have a table of their own, at most.
        conjunctions: tables of two to four columns.
        rate: step size of the linear voice's weights.
        trust: step size of the tables' trust.
        keep: how much of a count a cell keeps from label to label, one a memory.
        doubt: pseudo-counts that stand beside a cell's own.
        shyness: those of each class alone, however rare it is (see `agent.nets.evidence`).
        fine: quantities, at most, that have a table of narrow bins too; of classes only.
        seed: of the choice of conjunctions.
    """

    singles: int = 128
    conjunctions: int = 96
    rate: float = 0.012
    trust: float = 0.01
    keep: tuple[float, ...] = (0.9999, 0.99)
    doubt: float = 2.0
    shyness: float = 1.0
    fine: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.singles < 1 or self.conjunctions < 1:
            raise ValueError("singles and conjunctions must be 1 or more")
        if not self.keep or not all(0 < one < 1 for one in self.keep):
            raise ValueError(f"keep is {self.keep}: give numbers between 0 and 1")
        if min(self.rate, self.trust, self.doubt) <= 0:
            raise ValueError("rate, trust and doubt must be above 0")
        if min(self.shyness, self.fine) < 0:
            raise ValueError("shyness and fine must be 0 or more")


@dataclass(frozen=True, slots=True)
class Trace:
    """What learning needs of what was answered; `cell` indexes the arrays of all tasks in a row."""

    cell_N: Tensor
    share_TBM: Tensor
    evidence_TBOHE: Tensor
    linear_TBO: Tensor
    weighed_TBO: Tensor


class Cells(Exact):
    """Two voices over hashed cells.

    One array holds all that a cell knows, side by side: weights (O), squared gradients (O), and one
    block of counts a memory (C; for numbers how many and their sum). Counts fade by a common
    factor that stands beside the array, so that only cells that are met are written.

    Args:
        spec: what is asked for; its codes are words.
        options: tables and steps.
    """

    voices = ("cells linear", "cells evidence")

    def __init__(self, spec: Spec, options: CellsOptions | None = None) -> None:
        self.spec, self.options = spec, options or CellsOptions()
        one = self.options
        fine = 0 if spec.regression else one.fine
        self.tiles = Tiles(
            spec.quantities, spec.codes, one.singles, one.conjunctions, one.seed, fine
        )
        self._coarse = self.tiles.cells - self.tiles.fine
        self._memories = len(one.keep)
        self._keep_H = torch.tensor(one.keep, dtype=torch.float64)

    def begin(self, tasks: int) -> State:
        """Empty cells, and a little trust in each table."""
        outputs, tables = self.spec.width, self.tiles.tables
        payload = self._payload(outputs)
        trust = torch.full((tasks, self._memories * tables), 0.5 / tables**0.5)
        return {
            "cell": torch.zeros(tasks, self._rows(outputs), 2 * outputs + self._memories * payload),
            "fade": torch.ones(tasks, self._memories, dtype=torch.float64),
            "all": torch.zeros(tasks, self._memories, payload),
            "known": torch.full((tasks, outputs), 0.0 if self.spec.regression else UNSEEN),
            "target": torch.zeros(tasks, 3),  # how many, their mean, their sum of squares
            "error": torch.ones(tasks, 2),
            **adam_begin("trust", trust),
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer every row from the cells as they stand."""
        return self._say(state, self._ask(state, x_TBF))

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer every row from the cells as they stand."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer every row, then learn all of them."""
        seen_TB = all_seen(y_TB, seen_TB)
        trace = self._ask(state, x_TBF)
        said = self._say(state, trace)
        if not bool(seen_TB.any()):
            return said, state
        return said, self._settle(state, trace, y_TB, seen_TB)

    def widen(self, state: State, classes: int) -> State:
        """New classes have no weight and no count; the array is folded where it would grow."""
        old = state["known"].shape[1]
        split: Tensor = state["cell"].unflatten(-1, (2 + self._memories, old))
        wide = pad_last(split, classes).flatten(-2)
        return {
            **state,
            "known": pad_last(state["known"], classes, UNSEEN),
            "all": pad_last(state["all"], classes),
            "cell": fold(wide, self._rows(classes), classes),
        }

    def _rows(self, outputs: int) -> int:
        most = max(ROOM // (outputs * (2 + self._memories)), 1024)
        return min(1 << int(math.log2(most)), ROWS)

    def _payload(self, outputs: int) -> int:
        return 2 if self.spec.regression else outputs

    def _ask(self, state: State, x_TBF: Tensor) -> Trace:
        """Look the cells up and add them."""
        tasks, rows, width = state["cell"].shape
        outputs = state["known"].shape[1]
        cell_TBM, share_TBM = self.tiles.find(x_TBF, rows)
        base = torch.arange(tasks, device=x_TBF.device).view(-1, 1, 1) * rows
        cell_N = (cell_TBM + base).flatten()
        held = state["cell"].view(-1, width).index_select(0, cell_N).view(*cell_TBM.shape, width)
        coarse_M = slice(self._coarse)
        linear = share_TBM[..., None, coarse_M] @ held[..., coarse_M, :outputs]
        linear = linear.squeeze(2)
        evidence = self._evidence(state, held[..., 2 * outputs :], share_TBM)
        trust = state["trust"].view(tasks, 1, -1, 1)
        weighed = (evidence.flatten(3) @ trust).squeeze(3)
        if not self.spec.regression:
            weighed = weighed + log_share(state["all"], state["known"])[:, :1]
        known = state["known"].unsqueeze(1)
        linear, weighed = linear + known, weighed + known
        return Trace(cell_N, share_TBM, evidence, linear, weighed)

    def _evidence(self, state: State, held_TBMZ: Tensor, share_TBM: Tensor) -> Tensor:
        """What each table says beyond what is known without it, shape T B O H E."""
        count = table_counts(held_TBMZ, share_TBM, self.tiles.singles, self._memories)
        fade = state["fade"].to(count.dtype).view(-1, 1, self._memories, 1, 1)
        count, one = count * fade, self.options
        if self.spec.regression:
            return mean_apart(count, state["all"], one.doubt).transpose(2, 3)
        share = log_share(state["all"], state["known"])
        return lift(count, share, one.doubt, one.shyness).transpose(2, 3)

    def _say(self, state: State, trace: Trace) -> Said:
        out = torch.stack([trace.linear_TBO, trace.weighed_TBO], 2)
        if not self.spec.regression:
            logp = torch.log_softmax(out, 3)
            return Classes(torch.full_like(logp[..., 0], EVEN), logp)
        middle, spread = (leaf.unsqueeze(2) for leaf in middle_and_spread(state["target"]))
        mean = out[..., 0] * spread + middle
        scale = (state["error"].sqrt().unsqueeze(1) * spread).expand_as(mean)
        return Numbers(torch.full_like(mean, EVEN), mean, scale)

    def _wrong(self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Gradient of each voice's loss by its outputs, each row for itself, shape T B 2 O."""
        out = torch.stack([trace.linear_TBO, trace.weighed_TBO], 2)
        if self.spec.regression:
            middle, spread = middle_and_spread(state["target"])
            miss = out - ((y_TB - middle) / spread).clamp(-10, 10)[..., None, None]
            wrong = miss.clamp(-2, 2)
        else:
            wrong = torch.softmax(out, 3) - hot(y_TB, out.shape[3]).unsqueeze(2)
        return torch.where(seen_TB[..., None, None], wrong, 0.0)

    def _settle(self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor) -> State:
        linear, weighed = self._wrong(state, trace, y_TB, seen_TB).unbind(2)
        found = trace.evidence_TBOHE.flatten(3).flatten(1, 2)
        by_trust = torch.bmm(weighed.flatten(1).unsqueeze(1), found).squeeze(1)
        by_trust = by_trust / seen_TB.sum(1, keepdim=True).clamp(min=1)
        after = {**state, **self._note(state, trace, linear, y_TB, seen_TB)}
        after |= adam(state, "trust", by_trust, self.options.trust, seen_TB.any(1))
        return after

    def _note(
        self, state: State, trace: Trace, wrong_TBO: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Write what the rows teach into their cells: counts, squares, then steps (AdaGrad)."""
        seen, outputs = seen_TB.to(trace.share_TBM.dtype), wrong_TBO.shape[2]
        after: dict[str, Tensor] = {}
        if self.spec.regression:
            middle, spread = middle_and_spread(state["target"])
            z_TB = ((y_TB - middle) / spread).clamp(-10, 10)
            label = torch.stack([torch.ones_like(z_TB), z_TB], 2) * seen.unsqueeze(2)
            after = self._note_numbers(state, trace, y_TB, seen)
        else:
            label = hot(y_TB, outputs) * seen.unsqueeze(2)
            after["known"] = torch.where(label.amax(1) > 0, 0.0, state["known"])
        passed = seen.double().sum(1, keepdim=True)
        fade = state["fade"] * power(self._keep_H.to(seen.device), passed)
        loud = torch.einsum("th,tbz->tbhz", (1 / fade).to(seen.dtype), label).flatten(2)
        after["all"] = state["all"] * (fade / state["fade"]).to(seen.dtype).unsqueeze(2)
        after["all"] = after["all"] + label.sum(1).unsqueeze(1)
        share = trace.share_TBM.unsqueeze(3)
        row = torch.cat([torch.zeros_like(wrong_TBO), wrong_TBO.square(), loud], 2)
        put = share * row.unsqueeze(2)
        put[:, :, self._coarse :, : 2 * outputs] = 0
        cell = state["cell"].clone()
        flat = cell.view(-1, cell.shape[2])
        flat.index_add_(0, trace.cell_N, put.flatten(0, 2))
        square = flat[:, outputs : 2 * outputs].index_select(0, trace.cell_N)
        grad = share * (wrong_TBO.unsqueeze(2) * -self.options.rate)
        grad[:, :, self._coarse :] = 0
        step = grad.flatten(0, 2) * (square + 1e-2).rsqrt_()
        flat[:, :outputs].index_add_(0, trace.cell_N, step)
        after["cell"], after["fade"] = refreshed(cell, fade, outputs)
        return after

    def _note_numbers(
        self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Merge the block into the targets' mean and spread, and the errors."""
        new = seen_TB.sum(1).clamp(min=1e-9)
        merged = numbers_merged(state["target"], y_TB, seen_TB)
        at, spread = middle_and_spread(state["target"])
        out = torch.cat([trace.linear_TBO, trace.weighed_TBO], 2)
        miss = (out - ((y_TB - at) / spread).unsqueeze(2)).clamp(-10, 10) ** 2
        recent = (miss * seen_TB.unsqueeze(2)).sum(1) / new.unsqueeze(1)
        pace = (new / 200).clamp(max=1).unsqueeze(1)
        error = torch.lerp(state["error"], recent.clamp(min=1e-6), pace)
        busy = seen_TB.sum(1, keepdim=True) > 0
        return {
            "target": torch.where(busy, merged, state["target"]),
            "error": torch.where(busy, error, state["error"]),
        }


@register(
    "cells",
    CellsOptions,
    family="stream",
    paper="Sutton & Barto 2018, tile coding; Özuysal et al. 2010, random ferns",
    goals=SINGLE,
)
def _cells(spec: Spec, options: CellsOptions) -> Cells:
    return Cells(spec, options)
