"""Look-ahead MAML: weights and their step sizes both move while streaming, the step sizes first.

Gupta, Yadav & Paull 2020, La-MAML: Look-ahead Meta Learning for Continual Learning.

    w_(j+1) = w_j - max(0, a) grad l(w_j; x_j)          look-ahead over the rows of a small batch
    g = grad L(w_k; batch and memory)                   the meta-loss, where the look-ahead ended
    a <- a - eta dL/da,   dL/da = -g * sum_j grad l(w_j; x_j)        equation 5, first order
    w <- w - max(0, a) g                                equation 6, with the new a (asynchronous)

A step size is pulled up where the new rows' gradients agree with those of old and new rows
together, and down where they disagree; below 0 the weight is frozen. Here meta-training also finds
the start of w and a, and the representation under them.

Not as in the paper: a representation stands still beneath the network, so that the memory holds
embeddings, not rows; the whole memory, a reservoir, is half of the meta-loss in place of a sample
of it; `a` counts in units of `rate` over a layer's inputs and stays in -1..10; a head's columns,
and their step sizes, start alike.

Shapes: T tasks, B examples, E embedding, R room in memory, O outputs (classes or numbers).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.online import Online, OnlineOptions
from agent.learners.registry import register
from agent.nets import all_seen, part, prefixed
from agent.nets.body import seeded
from agent.nets.inner import clipped, sound
from agent.nets.reservoir import kept_rows, take_rows

LEAST, MOST = -1.0, 10.0  # bounds of a step size, in units of `rate`


@dataclass(frozen=True, slots=True)
class LaMamlOptions(OnlineOptions):
    """As all of them; and the look-ahead, the memory and the step sizes' own step size.

    Args:
        predictor: widths of the hidden layers of fast weights.
        rate: unit of the step sizes.
        batch: rows of a look-ahead.
        room: rows that the memory holds.
        hyper: eta, the step size of the step sizes.
    """

    predictor: tuple[int, ...] = (40,)
    rate: float = 0.2
    batch: int = 8
    room: int = 64
    hyper: float = 0.1

    @override
    def __post_init__(self) -> None:
        OnlineOptions.__post_init__(self)
        if self.batch < 1 or self.room < 1 or self.hyper < 0:
            raise ValueError("batch and room must be 1 or more, hyper 0 or more")


class LaMaml(Online):
    """A predictor whose weights and step sizes learn together from batch and memory.

    >>> import torch
    >>> learner = LaMaml(Spec(features=2, classes=2), LaMamlOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(30):
    ...     state = learner.learn(state, x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: LaMamlOptions) -> None:
        super().__init__(spec, options)
        self._set = options
        with seeded(options.seed):
            self.sizes = nn.ParameterDict(
                {name: nn.Parameter(torch.ones_like(leaf)) for name, leaf in self.start.items()}
            )

    def sized(self, name: str, tasks: int) -> Tensor:
        """Give the learned start of a part's step sizes, once a task."""
        wide = not self.spec.regression and name in {"head", "bias"}
        leaf: Tensor = self.sizes[name]
        return leaf.expand(tasks, -1, self.spec.classes if wide else -1)

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the learned weights and step sizes, and an empty memory."""
        zero, room = self.start["bias"].new_zeros, self._set.room
        several = (self.spec.outputs,) if self.spec.outputs > 1 else ()
        labels = zero(tasks, room, *several)
        return {
            **super().begin(tasks),
            **prefixed("size", {name: self.sized(name, tasks) for name in self.sizes}),
            "memory.x": zero(tasks, room, self.predictor.widths[0]),
            "memory.y": labels if self.spec.regression else labels.long(),
        }

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer with the weights as they stand, then learn the rows batch by batch."""
        said = self.predict(state, x_TBF)
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        h_TBE = torch.where(seen_TB.unsqueeze(2), self.represent(x_TBF), 0.0)
        for first in range(0, x_TBF.shape[1], self._set.batch):
            rows = slice(first, first + self._set.batch)
            state = self._learn_batch(state, h_TBE[:, rows], y_TB[:, rows], seen_TB[:, rows])
        return said, state

    def _learn_batch(
        self, state: State, h_TBE: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        after = {**state, **self.noted(state, y_TB, seen_TB)}
        size, fast = part("size", state), part("fast", state)
        ahead, total = self._look_ahead(after, h_TBE, y_TB, seen_TB)
        there = torch.arange(self._set.room, device=seen_TB.device) < state["count"]
        x, y = torch.cat([state["memory.x"], h_TBE], 1), torch.cat([state["memory.y"], y_TB], 1)
        halves = torch.cat([_even(there), _even(seen_TB)], 1) / (1 + there.any(1, keepdim=True))
        meta = self._gradient(ahead, after, x, y, halves)
        rate = {name: self.options.rate * self.predictor.rate(name) for name in fast}
        new = {
            name: (leaf + self._set.hyper * rate[name] * meta[name] * total[name]).clamp(
                LEAST, MOST
            )
            for name, leaf in size.items()
        }
        moved = {
            name: leaf - rate[name] * new[name].clamp(min=0) * meta[name]
            for name, leaf in fast.items()
        }
        whole = {**prefixed("fast", moved), **prefixed("size", new)}
        keep = kept_rows(state["count"], seen_TB, self._set.room)
        return {
            **after,
            **sound(whole, {name: state[name] for name in whole}, seen_TB.any(1)),
            "memory.x": take_rows(state["memory.x"], h_TBE, keep),
            "memory.y": take_rows(state["memory.y"], y_TB, keep),
        }

    def _look_ahead(
        self, after: State, h_TBE: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Where steps on the rows one by one lead, and the sum of their gradients."""
        size, fast = part("size", after), part("fast", after)
        total = {name: torch.zeros_like(leaf) for name, leaf in fast.items()}
        for row in range(h_TBE.shape[1]):
            one = slice(row, row + 1)
            weight = seen_TB[:, one].to(h_TBE.dtype)
            grads = self._gradient(fast, after, h_TBE[:, one], y_TB[:, one], weight)
            for name, grad in grads.items():
                rate = self.options.rate * self.predictor.rate(name)
                fast[name] = fast[name] - rate * size[name].clamp(min=0) * grad
                total[name] = total[name] + grad
        return fast, total

    def _gradient(
        self,
        fast: Mapping[str, Tensor],
        after: State,
        h_TBE: Tensor,
        y_TB: Tensor,
        weight_TB: Tensor,
    ) -> dict[str, Tensor]:
        """Gradient of the rows' loss by their weights, clipped."""
        layers = self.predictor.layers(fast, h_TBE)
        known = after.get("known", after["count"]).unsqueeze(1)
        weight = weight_TB.unsqueeze(2) * weight_TB.shape[1]
        delta = torch.where(weight > 0, self.delta(layers, y_TB, known) * weight, 0.0)
        return clipped(self.predictor.pull(fast, layers, delta), self.options.clip)

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class gets the weights and step sizes that the others had at first."""
        after = dict(super().widen(state, classes))
        for name in ("head", "bias"):
            leaf = state[f"size.{name}"]
            room = classes - leaf.shape[2]
            new = self.sizes[name].detach().expand(leaf.shape[0], -1, room)
            after[f"size.{name}"] = torch.cat([leaf, new], 2)
        return after


def _even(there_TB: Tensor) -> Tensor:
    """Weights of rows that are there, adding up to 1 if any is."""
    return there_TB / there_TB.sum(1, keepdim=True).clamp(min=1)


@register(
    "la-maml", LaMamlOptions, family="continual", outer="sequences",
    paper="Gupta, Yadav & Paull 2020, La-MAML: Look-ahead Meta Learning for Continual Learning",
)  # fmt: skip
def _lamaml(spec: Spec, options: LaMamlOptions) -> Learner:
    return LaMaml(spec, options)
