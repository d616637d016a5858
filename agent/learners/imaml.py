"""Implicit MAML (Rajeswaran, Finn, Kakade & Levine 2019): the outer gradient without the path.

    w* = argmin L(w, support) + l/2 |w - w0|^2          equation 3, by proximal gradient steps
    d L(w*, query) / d w0 = (I + H / l)^-1 v            equation 6; H the Hessian of L at w*,
                                                        v the query's gradient at w*

The system is solved by conjugate gradient with Hessian-vector products (algorithm 2), each task on
its own; where a task's curvature along the way is too little, it stops. Memory and time of the
outer gradient do not grow with the inner steps. Calls of `learn` go on from where the last ended,
held to the same `w0`, the start: on a stream that is decay towards it.

Shapes: T tasks, P parameters of a task's network.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register
from agent.nets import all_seen, part, prefixed
from agent.nets.implicit import implicit


@dataclass(frozen=True, slots=True)
class ImamlOptions(GradientOptions):
    """As `GradientOptions`, with what holds to the start.

    Args:
        rate: inner step size; small, since an outer gradient that does not see the path cannot
            keep it stable.
        steps: inner steps a call of `learn`.
        strength: l of equation 3; the less, the further a task may go from the start.
        solve: steps of conjugate gradient.
    """

    rate: float = 0.002
    steps: int = 8
    strength: float = 2.0
    solve: int = 5

    @override
    def __post_init__(self) -> None:
        super(ImamlOptions, self).__post_init__()
        if self.strength <= 0 or self.solve < 1:
            raise ValueError("strength must be above 0, solve 1 or more")


class Imaml(Descent):
    """Fast weights held near the start; the outer gradient asks only where they ended.

    >>> from agent.learners.base import Spec
    >>> learner = Imaml(Spec(features=1, classes=0), ImamlOptions())
    >>> x, y = torch.ones(4, 8, 1), torch.ones(4, 8)
    >>> state = learner.learn(learner.begin(tasks=4), x, y)
    >>> learner.objective(learner.predict(state, x), y).mean().backward()
    >>> learner.start["w0"].grad.shape
    torch.Size([1, 40])
    """

    second_order = False

    def __init__(self, spec: Spec, options: ImamlOptions) -> None:
        super().__init__(spec, options)
        self._strength, self._solve = options.strength, options.solve

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take `steps` proximal steps; tie where they end to the start, if a graph is recorded."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        with torch.no_grad():
            after = dict(super().learn(state, x_TBF, y_TB, seen_TB))
        if not torch.is_grad_enabled():
            return after
        known = after.get("known", after["count"])

        def loss(fast: Mapping[str, Tensor]) -> Tensor:
            return self.loss(fast, x_TBF, y_TB, seen_TB, known)

        ends = part("fast", after)
        starts = part("fast", self.begin(x_TBF.shape[0]))
        starts = {name: _room(leaf, ends[name]) for name, leaf in starts.items()}
        tied = implicit(loss, starts, ends, self._strength, self._solve)
        return after | prefixed("fast", tied)

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step on the proximal objective."""
        rate, pull = self.options.rate, self._strength
        return {
            f"fast.{name}": leaf - rate * (grads[name] + pull * (leaf - self.start[name]))
            for name, leaf in part("fast", state).items()
        }


def _room(start: Tensor, end: Tensor) -> Tensor:
    """Give the start as many columns as a widened state has; they are all alike."""
    return start if start.shape == end.shape else start[..., :1].expand_as(end)


@register(
    "imaml", ImamlOptions, family="optimization", outer="episodes",
    paper="Rajeswaran, Finn, Kakade & Levine 2019, Meta-Learning with Implicit Gradients",
)  # fmt: skip
def _imaml(spec: Spec, options: ImamlOptions) -> Learner:
    return Imaml(spec, options)
