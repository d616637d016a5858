"""Model-agnostic meta-learning (Finn, Abbeel & Levine 2017): a start from which few steps suffice.

    w' = w - a grad L(w, support)          equation 1, the inner step
    w <- w - b grad L(w', query)           equation 2, by the trainer, through the inner step

`first-order MAML` takes the inner gradient as a constant (section 5.2 of the paper).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register


class Maml(Descent):
    """Fast weights moved by plain gradient steps from a learned start.

    >>> from agent.learners.base import Spec
    >>> import torch
    >>> learner = Maml(Spec(features=1, classes=0), GradientOptions(rate=0.05))
    >>> x, y = torch.linspace(-1, 1, 8).view(1, 8, 1), torch.linspace(-1, 1, 8).view(1, 8)
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(50):
    ...     state = learner.learn(state, x, y)
    >>> mean, _ = learner.predict(state, x).moments()
    >>> bool((mean - y).abs().max() < 0.2)
    True
    """

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Equation 1."""
        rate = self.options.rate
        return {
            f"fast.{name}": torch.add(state[f"fast.{name}"], grad, alpha=-rate)
            for name, grad in grads.items()
        }


class FirstOrderMaml(Maml):
    """The same, its inner gradient a constant to the outer one."""

    second_order = False


@register(
    "maml", GradientOptions, family="optimization", outer="episodes",
    paper="Finn, Abbeel & Levine 2017, Model-Agnostic Meta-Learning for Fast Adaptation",
)  # fmt: skip
def _maml(spec: Spec, options: GradientOptions) -> Learner:
    return Maml(spec, options)


@register(
    "fomaml", GradientOptions, family="optimization", outer="episodes",
    paper="Finn, Abbeel & Levine 2017, section 5.2: first-order MAML",
)  # fmt: skip
def _first_order(spec: Spec, options: GradientOptions) -> Learner:
    return FirstOrderMaml(spec, options)
