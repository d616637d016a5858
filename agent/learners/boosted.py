"""Boosted trees, grown in the stream: splits are chosen greedily, on a memory of rows.

Gradient boosting (Friedman 2001, algorithm 1) of oblivious trees (Prokhorenkova et al. 2018) by
second-order gains (Chen & Guestrin 2016, eq. 5 and 7). Every so many labels a new tree takes the
place of the oldest: it is fitted to the gradient of the whole ensemble on a memory, and its leaves
are l = -ε Σg / (Σh + λ). So the trees follow a stream as it drifts. Between two fits the leaves go
on being learned by gradient. What differs from boosting on a table:

- the memory holds the latest rows and, of classes below a tenth, those before;
- candidate thresholds are values of rows, half of them drawn balanced by class, so that a rare
  class behind a threshold finds it;
- the memory has other shares of the classes than the stream (case-control sampling, Prentice &
  Pyke 1979): trees are fitted beside the log shares of the memory, and answer beside the stream's.

With many classes splits are chosen by random projections of the gradient (`sketched`). Numbers are
boosted in units of their spread. Draws are a function of the seed and of how many trees there were.
Rows of a block are answered by the state before it.

Shapes: T tasks, B rows, F columns, M rows of memory, E trees, D levels, X leaves of all trees
(E 2^D), O outputs (C classes, or 1), N rows that a tree is grown on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, register
from agent.nets import all_seen, hot, pad_last
from agent.nets.exact import power
from agent.nets.hoard import Hoard
from agent.nets.numbers import middle_and_spread, numbers_merged
from agent.nets.oblivious import Tree, added, gathered, grow, leaves_of, sketched

ROOM = 2**18  # floats of the memory at most
FAR = 3e38  # threshold of a tree that is not grown yet: all rows are in one leaf
FAINT = 1e-2  # labels that each class has beside its own, so that none is ever ruled out
KEEP = 0.9995  # of the shares of classes, a label
TARGETS = 3  # that splits are chosen by
LEAST = 1e-4  # curvature of a row
MOST = 4.0  # of a leaf, in logits or spreads, before ε


@dataclass(frozen=True, slots=True)
class BoostedOptions:
    """How many trees, how they are grown, how they learn.

    Args:
        trees: that stand at a time.
        depth: questions of each.
        rows: of memory, at most; wide rows have fewer.
        every: labels between two new trees; while there are few labels, down to a quarter of that.
        sample: rows that a tree is grown on, at most; of few, seven in ten.
        columns: that a tree may ask about, at most, drawn anew for each.
        questions: candidates of a level, over all columns.
        shrink: ε, how much of its fit a new tree says.
        doubt: λ, curvature that every leaf has beside its own.
        rate: of the same fit to a block, that all trees together take between fits; 0 takes none.
        seed: of all draws.
    """

    trees: int = 64
    depth: int = 3
    rows: int = 1536
    every: int = 128
    sample: int = 1024
    columns: int = 32
    questions: int = 576
    shrink: float = 0.3
    doubt: float = 1.0
    rate: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("trees", 1, 4096), ("depth", 1, 8), ("rows", 64, 65_536), ("every", 4, 65_536),
            ("sample", 16, 65_536), ("columns", 1, 4096), ("questions", 1, 65_536),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}; give {least} to {most}")
        if not 0 < self.shrink <= 1 or self.doubt <= 0 or self.rate < 0:
            raise ValueError("shrink must be in (0, 1], doubt above 0, rate 0 or more")


class Boosted(Exact):
    """One voice: a sum of trees.

    Args:
        spec: what is asked for; its quantities are looked at.
        options: trees and memory.
    """

    voices = ("boosted",)

    def __init__(self, spec: Spec, options: BoostedOptions | None = None) -> None:
        self.spec, self.options = spec, options or BoostedOptions()
        self._width = max(spec.quantities, 1)
        rows = min(max(ROOM // self._width, 256), self.options.rows)
        old = 0 if spec.regression else rows // 3
        self._hoard = Hoard(rows - old, old)

    def begin(self, tasks: int) -> State:
        """No rows, and trees that say nothing."""
        one, outputs = self.options, self.spec.width
        kind = torch.float32 if self.spec.regression else torch.int64
        state = {
            **self._hoard.begin(tasks, self._width, kind),
            "grown": torch.zeros(tasks, dtype=torch.int64),
            "due": torch.full((tasks,), one.every // 4),
            "column": torch.zeros(tasks, one.trees, one.depth, dtype=torch.int64),
            "threshold": torch.full((tasks, one.trees, one.depth), FAR),
            "leaf": torch.zeros(tasks, one.trees << one.depth, outputs),
        }
        if self.spec.regression:
            return {**state, "target": torch.zeros(tasks, 3), "error": torch.ones(tasks, 1)}
        return {**state, "all": torch.zeros(tasks, outputs)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer every row from the trees as they stand."""
        return self._say(state, self._ask(state, self._shown(x_TBF))[0])

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer every row from the trees as they stand."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer every row, step the leaves, keep the rows; at times, grow a tree."""
        seen_TB, x_TBF = all_seen(y_TB, seen_TB), self._shown(x_TBF)
        out_TBO, index_TBE = self._ask(state, x_TBF)
        said = self._say(state, out_TBO)
        if not bool(seen_TB.any()):
            return said, state
        after = {**state, **self._step(state, out_TBO, index_TBE, y_TB, seen_TB)}
        each = [
            self._kept({name: leaf[task] for name, leaf in after.items()}, x[seen], y[seen])
            for task, (x, y, seen) in enumerate(zip(x_TBF, y_TB, seen_TB, strict=True))
        ]
        if len(each) == 1:
            return said, {name: leaf.unsqueeze(0) for name, leaf in each[0].items()}
        return said, {name: torch.stack([one[name] for one in each]) for name in each[0]}

    def widen(self, state: State, classes: int) -> State:
        """New classes have no row and nothing in any leaf."""
        return {
            **state,
            "all": pad_last(state["all"], classes),
            "leaf": pad_last(state["leaf"], classes),
        }

    def _shown(self, x_TBF: Tensor) -> Tensor:
        """Give the quantities; one column of zeros where there is none."""
        x_TBF = x_TBF[..., : self.spec.quantities]
        return x_TBF if x_TBF.shape[2] else x_TBF.new_zeros(*x_TBF.shape[:2], 1)

    def _ask(self, state: State, x_TBF: Tensor) -> tuple[Tensor, Tensor]:
        """Give the trees' sum for each row, shape TBO, and where it lies in each, shape TBE."""
        index = leaves_of(x_TBF, state["column"], state["threshold"])
        out = added(state["leaf"], index)
        if self.spec.regression:
            return out, index
        return out + shares(state["all"]).unsqueeze(1), index

    def _say(self, state: State, out_TBO: Tensor) -> Said:
        even = torch.zeros_like(out_TBO[..., :1])
        if not self.spec.regression:
            return Classes(even, torch.log_softmax(out_TBO, 2).unsqueeze(2))
        middle, spread = (leaf.unsqueeze(2) for leaf in middle_and_spread(state["target"]))
        scale = (state["error"].sqrt().unsqueeze(1) * spread).expand_as(out_TBO)
        return Numbers(even, out_TBO * spread + middle, scale)

    def _step(
        self, state: State, out_TBO: Tensor, index_TBE: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Step the leaves that the rows lie in by the gradient, and note the labels."""
        heard = seen_TB.unsqueeze(2).float()
        if self.spec.regression:
            middle, spread = middle_and_spread(state["target"])
            miss = out_TBO.squeeze(2) - ((y_TB - middle) / spread).clamp(-10, 10)
            after = self._noted(state, miss, y_TB, seen_TB)
            wrong, bend = miss.clamp(-2, 2).unsqueeze(2), torch.ones_like(out_TBO)
        else:
            label, share = hot(y_TB, out_TBO.shape[2]), torch.softmax(out_TBO, 2)
            after = {"all": state["all"] * power(KEEP, heard.sum(1)) + (label * heard).sum(1)}
            wrong, bend = share - label, share * (1 - share)
        both = torch.cat([wrong, bend], 2) * heard
        leaf = state["leaf"]
        slope, curve = gathered(both, index_TBE, leaf.shape[1]).chunk(2, 2)
        step = slope / (curve + self.options.doubt) * (-self.options.rate / self.options.trees)
        return {**after, "leaf": leaf + step}

    def _noted(
        self, state: State, miss_TB: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Merge the block into the targets' mean and spread, and the error."""
        busy, new = seen_TB.any(1, keepdim=True), seen_TB.sum(1, keepdim=True).clamp(min=1)
        recent = (miss_TB.clamp(-10, 10).square() * seen_TB).sum(1, keepdim=True) / new
        error = torch.lerp(state["error"], recent.clamp(min=1e-6), (new / 200).clamp(max=1))
        merged = numbers_merged(state["target"], y_TB, seen_TB)
        return {
            "target": torch.where(busy, merged, state["target"]),
            "error": torch.where(busy, error, state["error"]),
        }

    def _kept(self, one: Mapping[str, Tensor], x_BF: Tensor, y_B: Tensor) -> dict[str, Tensor]:
        """One task's state with these rows in memory, and with a new tree where one is due."""
        if not len(y_B):
            return dict(one)
        share = None if self.spec.regression else one["all"] / one["all"].sum()
        after = {**one, **self._hoard.kept(one, x_BF, y_B, share)}
        total, due = int(after["count"]), int(one["due"])
        if total < due:
            return after
        most = self.options.every
        wait = min(most, max(most // 4, total // 8))
        return {**after, **self._grown(after), "due": one["due"] + (total - due + wait)}

    def _grown(self, one: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put a new tree in the place of the oldest."""
        number, options = int(one["grown"]), self.options
        draw = torch.Generator().manual_seed(options.seed + 7919 * number)
        place = number % options.trees
        leaf = one["leaf"].clone()
        mine = leaf.unflatten(0, (options.trees, -1))[place]
        mine.zero_()
        most = max(ROOM // leaf.shape[1], 128)  # of many classes fewer rows
        x_NF, y_N = self._hoard.sampled(one, min(options.sample, most), draw)
        index = leaves_of(x_NF[None], one["column"][None], one["threshold"][None])
        said = added(leaf[None], index)[0]
        gradient, curve = self._slopes(one, said, y_N)
        tree = self._tree(x_NF, y_N, gradient, curve, draw)
        sums = torch.cat([gradient, curve], 1)
        slope, bend = (
            sums.new_zeros(len(mine), sums.shape[1]).index_add_(0, tree.leaf_N, sums).chunk(2, 1)
        )
        mine.copy_((slope / (bend + options.doubt)).clamp(-MOST, MOST) * -options.shrink)
        column, threshold = one["column"].clone(), one["threshold"].clone()
        column[place], threshold[place] = tree.column_D, tree.threshold_D
        done = {"column": column, "threshold": threshold, "leaf": leaf}
        return {**done, "grown": one["grown"] + 1}

    def _slopes(
        self, one: Mapping[str, Tensor], said_NO: Tensor, y_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """First and second derivative of the loss by what the trees say, each of shape NO."""
        if self.spec.regression:
            middle, spread = middle_and_spread(one["target"][None])
            miss = said_NO - ((y_N - middle[0]) / spread[0]).clamp(-10, 10).unsqueeze(1)
            return miss.clamp(-2, 2), torch.ones_like(miss)
        label = hot(y_N, said_NO.shape[1])
        share = torch.softmax(said_NO + shares(label.sum(0, keepdim=True)), 1)
        return share - label, (share * (1 - share)).clamp(min=LEAST)

    def _tree(
        self, x_NF: Tensor, y_N: Tensor, gradient: Tensor, curve: Tensor, draw: torch.Generator
    ) -> Tree:
        """Grow a tree on some columns, with thresholds at values of rows."""
        column = torch.randperm(self._width, generator=draw)[: self.options.columns]
        column = column.to(x_NF.device)
        x_NK = x_NF.index_select(1, column)
        many = max(self.options.questions // len(column), 1)
        row = torch.randint(len(y_N), (many,), generator=draw)
        if not self.spec.regression:
            weight = 1 / y_N.bincount()[y_N].float()
            row[: many // 2] = weight.cpu().multinomial(many // 2, replacement=True, generator=draw)
        split = sketched(gradient, curve, TARGETS, draw)
        levels, doubt = self.options.depth, self.options.doubt
        tree = grow(x_NK, x_NK[row.to(x_NK.device)], *split, levels, doubt)
        return Tree(column[tree.column_D], tree.threshold_D, tree.leaf_N)


def shares(count_TC: Tensor) -> Tensor:
    """Log shares of the classes by counts."""
    count_TC = count_TC + FAINT
    return (count_TC / count_TC.sum(1, keepdim=True)).log()


@register(
    "boosted",
    BoostedOptions,
    family="stream",
    paper="Friedman 2001, gradient boosting; Prokhorenkova et al. 2018, oblivious trees",
    goals=SINGLE,
)
def _boosted(spec: Spec, options: BoostedOptions) -> Boosted:
    return Boosted(spec, options)
