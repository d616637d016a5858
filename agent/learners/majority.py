"""Frequencies of the labels, or their running mean and deviation, whatever the features say.

What a learner must beat to have learned anything from the rows. Exact at every row of a run, by
cumulative sums.

Shapes: T tasks, B examples, F features, C classes, O outputs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.meta import Meta, numbers, one_voice, targets
from agent.learners.registry import NoOptions, register
from agent.nets import all_seen, hot

LEAST = 1e-9  # of a deviation, relative to the size of the numbers


class Majority(Meta):
    """Class frequencies so far; or mean and deviation so far.

    >>> import torch
    >>> learner = Majority(Spec(features=1, classes=3))
    >>> y = torch.tensor([[2, 2, 0, 2]])
    >>> state = learner.learn(learner.begin(tasks=1), torch.zeros(1, 4, 1), y)
    >>> learner.predict(state, torch.zeros(1, 1, 1)).marginal().exp()[0, 0, 2] > 0.7
    tensor(True)
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.prior = nn.Parameter(torch.tensor(0.05))  # examples that each class met had at first

    @override
    def begin(self, tasks: int) -> State:
        """Nothing has come."""
        zero, outputs = self.prior.new_zeros, self.spec.outputs
        if not self.spec.regression:
            return {**self.fresh(tasks), "votes": zero(tasks, self.spec.classes)}
        return {
            **self.fresh(tasks),
            "n": zero(tasks, 1),
            "mean": zero(tasks, outputs),
            "square": zero(tasks, outputs),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """The same for every row."""
        rows = x_TBF.shape[1]
        if not self.spec.regression:
            return self._classes(state["votes"].unsqueeze(1).expand(-1, rows, -1))
        leaves = (state[name].unsqueeze(1).expand(-1, rows, -1) for name in _MOMENTS)
        return self._numbers(*leaves)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Count them in."""
        return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[1]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact at every row."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        noted = self.noted(state, y_TB, seen_TB)
        if not self.spec.regression:
            votes = hot(y_TB, state["votes"].shape[1]) * seen_TB.unsqueeze(2)
            run = _run(state["votes"], votes)
            return self._classes(run[:, :-1]), {**noted, "votes": run[:, -1]}
        moments = self._moments(state, targets(self.spec, y_TB, 0), seen_TB)
        after = {name: leaf[:, -1] for name, leaf in zip(_MOMENTS, moments, strict=True)}
        return self._numbers(*(leaf[:, :-1] for leaf in moments)), {**noted, **after}

    def _moments(
        self, state: State, y_TBO: Tensor, seen_TB: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Count, mean and sum of squared deviations before each row and after the last.

        Sums are taken about the mean so far (about the first row, where there is none), so that
        numbers far from 0 lose no digits.
        """
        n = state["n"]
        centre = torch.where(n > 0, state["mean"], _first_seen(y_TBO, seen_TB)).unsqueeze(1)
        away = torch.where(seen_TB.unsqueeze(2), y_TBO - centre, 0.0)
        count = _run(n, seen_TB.unsqueeze(2).to(n.dtype))
        total = _run(torch.zeros_like(state["mean"]), away)
        shift = total / count.clamp(min=1)
        square = _run(state["square"], away**2) - total * shift
        return count, torch.where(count > 0, centre + shift, 0.0), square.clamp(min=0)

    def _classes(self, votes_TBC: Tensor) -> Said:
        return one_voice(torch.log_softmax((votes_TBC + self.prior * 1e-3).log(), 2))

    def _numbers(self, n_TB1: Tensor, mean_TBO: Tensor, square_TBO: Tensor) -> Said:
        """Before two have come the size of the mean stands in for the deviation."""
        size = mean_TBO.abs() + 1
        variance = torch.where(n_TB1 > 1, square_TBO / (n_TB1 - 1).clamp(min=1), size**2)
        return numbers(self.spec, mean_TBO, (variance + (LEAST * size) ** 2).sqrt())

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has come never."""
        return {"votes": 0.0}


_MOMENTS = ("n", "mean", "square")


def _run(stood_TZ: Tensor, come_TBZ: Tensor) -> Tensor:
    """What had come before each row and after the last, shape T (B+1) Z."""
    return torch.cat([torch.zeros_like(come_TBZ[:, :1]), come_TBZ.cumsum(1)], 1) + stood_TZ[:, None]


def _first_seen(y_TBO: Tensor, seen_TB: Tensor) -> Tensor:
    """The first seen row's numbers (any row's where none is seen), shape TO."""
    first = seen_TB.int().argmax(1).view(-1, 1, 1).expand(-1, 1, y_TBO.shape[2])
    return y_TBO.gather(1, first).squeeze(1)


@register(
    "majority", family="baseline",
    paper="the most frequent label so far, or the running mean: no features read",
)  # fmt: skip
def _majority(spec: Spec, _: NoOptions) -> Learner:
    return Majority(spec)
