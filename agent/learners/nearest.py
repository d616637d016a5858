"""The k nearest neighbours among the last R rows (Fix & Hodges 1951; Dudani 1976 for the weights).

    weight of neighbour i = 1 / (d_i^2 + e),   e a thousandth of the neighbours' mean d^2

Classes: the neighbours' weighted votes. Numbers: their weighted mean and deviation. Distances are
Euclidean on the rows as they come, so features should be of like size. Exact at every row of a run:
a row is answered from the R seen rows right before it, wherever the run is cut.

Shapes: T tasks, B examples, F features, R room, M = R + B, K neighbours, C classes, O outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.meta import Meta, numbers, one_voice, targets
from agent.learners.registry import register
from agent.nets import all_seen, hot

NEVER = -1


@dataclass(frozen=True, slots=True)
class NearestOptions:
    """Neighbours and memory.

    Args:
        neighbours: K, how many are asked.
        room: R, how many rows are kept; the oldest goes first.
    """

    neighbours: int = 5
    room: int = 500

    def __post_init__(self) -> None:
        if not 1 <= self.neighbours <= self.room:
            raise ValueError("neighbours must be 1 or more, and room must hold them")


class Nearest(Meta):
    """Nearest neighbours in a ring of rows.

    >>> import torch
    >>> learner = Nearest(Spec(features=1, classes=2), NearestOptions(neighbours=1))
    >>> x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x + 0.1).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: NearestOptions) -> None:
        super().__init__(spec)
        self._set = options
        self.doubt = nn.Parameter(torch.tensor(0.01))  # share spread over the classes met

    @override
    def begin(self, tasks: int) -> State:
        """An empty ring."""
        zero, room = self.doubt.new_zeros, self._set.room
        labels = zero(tasks, room, self.spec.outputs)
        return {
            **self.fresh(tasks),
            "x": zero(tasks, room, self.spec.features),
            "y": labels if self.spec.regression else labels.squeeze(2).long(),
            "at": torch.full((tasks, room), NEVER, device=labels.device),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Ask the ring."""
        before = (state["at"].amax(1, keepdim=True) + 1).expand(-1, x_TBF.shape[1])
        return self._said(state, x_TBF, before, state)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Put the rows into the ring."""
        whole, _, noted = self._together(state, x_TBF, y_TB, seen_TB)
        return self._after(whole, noted)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact at every row: ring and run side by side, each row asking those before it."""
        whole, before, noted = self._together(state, x_TBF, y_TB, seen_TB)
        return self._said(state, x_TBF, before, whole), self._after(whole, noted)

    def _together(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None
    ) -> tuple[State, Tensor, State]:
        """Ring and run put together; how many were seen before each row; the shared leaves."""
        y = targets(self.spec, y_TB, 0) if self.spec.regression else y_TB
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        seen = seen_TB.long()
        before = state["at"].amax(1, keepdim=True) + 1 + seen.cumsum(1) - seen
        whole = {
            "x": torch.cat([state["x"], torch.where(seen_TB.unsqueeze(2), x_TBF, 0.0)], 1),
            "y": torch.cat([state["y"], y.to(state["y"].dtype)], 1),
            "at": torch.cat([state["at"], torch.where(seen_TB, before, NEVER)], 1),
        }
        return whole, before, self.noted(state, y_TB, seen_TB)

    def _after(self, whole: State, noted: State) -> State:
        """The last R rows seen."""
        at, keep = whole["at"].topk(self._set.room, dim=1)
        taken = {"at": at}
        for name in ("x", "y"):
            leaf = whole[name]
            index = keep.view(*keep.shape, *[1] * (leaf.ndim - 2))
            taken[name] = leaf.gather(1, index.expand(*keep.shape, *leaf.shape[2:]))
        return {**noted, **taken}

    def _said(self, state: State, x_TBF: Tensor, before_TB: Tensor, whole: State) -> Said:
        weight_TBK, index_TBK = self._neighbours(x_TBF, before_TB, whole)
        rows = torch.arange(x_TBF.shape[0], device=x_TBF.device).view(-1, 1, 1)
        y = whole["y"][rows, index_TBK]
        total = weight_TBK.sum(2, keepdim=True)
        share = weight_TBK / torch.where(total > 0, total, 1.0)
        if not self.spec.regression:
            return self._classes(state, share, y)
        mean = (share.unsqueeze(3) * y).sum(2)
        variance = (share.unsqueeze(3) * (y - mean.unsqueeze(2)) ** 2).sum(2)
        few = (total <= 0).to(mean.dtype)
        floor = 1e-3 * (mean.abs() + 1)
        return numbers(self.spec, mean, (variance + floor**2 + few).sqrt())

    def _neighbours(self, x_TBF: Tensor, before_TB: Tensor, whole: State) -> tuple[Tensor, Tensor]:
        """Weights (0 where there are fewer) and places of the nearest, each of shape TBK."""
        at, before = whole["at"].unsqueeze(1), before_TB.unsqueeze(2)
        may = (at != NEVER) & (at < before) & (at >= before - self._set.room)
        mode = "donot_use_mm_for_euclid_dist"
        far = torch.cdist(x_TBF, whole["x"].to(x_TBF.dtype), compute_mode=mode)
        near, index = torch.where(may, far, torch.inf).topk(self._set.neighbours, 2, largest=False)
        there = near.isfinite()
        square = torch.where(there, near, 0.0) ** 2
        typical = square.sum(2, keepdim=True) / there.sum(2, keepdim=True).clamp(min=1)
        return there / (square + 1e-3 * typical + 1e-12), index

    def _classes(self, state: State, share_TBK: Tensor, y_TBK: Tensor) -> Said:
        votes = (hot(y_TBK, state["known"].shape[1]) * share_TBK.unsqueeze(3)).sum(2)
        met = (state["known"] > -1).unsqueeze(1)
        spread = torch.where(met, self.doubt, self.doubt * 1e-6)
        share = votes + spread / spread.sum(2, keepdim=True) * self.doubt
        return one_voice((share / share.sum(2, keepdim=True)).log())


@register(
    "nearest", NearestOptions, family="baseline",
    paper="Fix & Hodges 1951, Discriminatory Analysis: Nonparametric Discrimination; in a ring",
)  # fmt: skip
def _nearest(spec: Spec, options: NearestOptions) -> Learner:
    return Nearest(spec, options)
