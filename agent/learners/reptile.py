"""Reptile (Nichol, Achiam & Schulman 2018): the start moves towards where tasks' descents end.

    w' = SGD(L, w, k)                      algorithm 1: k plain steps on one task
    w <- w + e (mean of w' over tasks - w)     algorithm 2, by the trainer, with `average`

No gradient goes through the inner steps. For classes the columns of a head start alike and cross
entropy's gradients over them add up to zero, so their mean stays the start: the body is what moves.
The paper restarts Adam inside; plain descent here.

Shapes: T tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register


@dataclass(frozen=True, slots=True)
class ReptileOptions(GradientOptions):
    """As `GradientOptions`; the step is longer, since it has not to be differentiated.

    Args:
        rate: inner step size.
    """

    rate: float = 0.02


class Reptile(Descent):
    """Plain gradient steps from a start that is an average of ends.

    >>> from agent.learners.base import Spec
    >>> learner = Reptile(Spec(features=1, classes=0), ReptileOptions())
    >>> x, y = torch.ones(4, 8, 1), torch.ones(4, 8)
    >>> ends = learner.average(learner.learn(learner.begin(tasks=4), x, y))
    >>> with torch.no_grad():
    ...     for name, leaf in learner.start.items():
    ...         _ = leaf.lerp_(ends[name], 0.5)
    """

    second_order = False

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One plain step."""
        rate = self.options.rate
        return {
            f"fast.{name}": torch.add(state[f"fast.{name}"], grad, alpha=-rate)
            for name, grad in grads.items()
        }

    @torch.no_grad()
    def average(self, state: State) -> dict[str, Tensor]:
        """Mean over the tasks of where they ended, by the names and in the shapes of `start`.

        The columns of a class head are averaged over the classes as well.
        """
        ends = {name: state[f"fast.{name}"].mean(0) for name in self.start}
        if not self.spec.regression:
            for name in ("head", "bias"):
                ends[name] = ends[name].mean(1, keepdim=True)
        return ends


@register(
    "reptile", ReptileOptions, family="optimization", outer="reptile",
    paper="Nichol, Achiam & Schulman 2018, On First-Order Meta-Learning Algorithms",
)  # fmt: skip
def _reptile(spec: Spec, options: ReptileOptions) -> Learner:
    return Reptile(spec, options)
