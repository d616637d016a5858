"""Meta-SGD (Li, Zhou, Chen & Li 2017): the start, and a step size for each parameter, are learned.

    w' = w - a * grad L(w, support)        equation 4; a has the shape of w, * is by element

A step size learned for one step diverges at five. Here each is `most` times a sigmoid, so it stays
positive (the paper's may change sign) and bounded; with support seen for a random number of steps
in meta-training it stays sound for many. The columns of a class head share their step sizes.

Shapes: as `gradient`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register


@dataclass(frozen=True, slots=True)
class MetaSgdOptions(GradientOptions):
    """As `GradientOptions`, with a bound.

    Args:
        most: no step size grows to more.
    """

    most: float = 0.5

    @override
    def __post_init__(self) -> None:
        super(MetaSgdOptions, self).__post_init__()
        if self.most <= self.rate:
            raise ValueError(f"most is {self.most}; it must be above the first rate, {self.rate}")


class MetaSgd(Descent):
    """Fast weights moved along gradients by learned step sizes.

    >>> from agent.learners.base import Spec
    >>> learner = MetaSgd(Spec(features=1, classes=3), MetaSgdOptions(rate=0.05))
    >>> {name: tuple(rate.shape) for name, rate in learner.rates().items()}["head"]
    (40, 1)
    """

    def __init__(self, spec: Spec, options: MetaSgdOptions) -> None:
        super().__init__(spec, options)
        self._most = options.most
        raw = math.log(options.rate / (options.most - options.rate))
        self.raw_rate = nn.ParameterDict(
            {name: nn.Parameter(torch.full_like(leaf, raw)) for name, leaf in self.start.items()}
        )

    def rates(self) -> dict[str, Tensor]:
        """Step sizes by part, in (0, most)."""
        return {name: self._most * raw.sigmoid() for name, raw in self.raw_rate.items()}

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Equation 4."""
        return {
            f"fast.{name}": state[f"fast.{name}"] - rate * grads[name]
            for name, rate in self.rates().items()
        }


@register(
    "metasgd", MetaSgdOptions, family="optimization", outer="episodes",
    paper="Li, Zhou, Chen & Li 2017, Meta-SGD: Learning to Learn Quickly for Few-Shot Learning",
)  # fmt: skip
def _metasgd(spec: Spec, options: MetaSgdOptions) -> Learner:
    return MetaSgd(spec, options)
