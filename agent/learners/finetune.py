"""Plain training on all tasks at once, then gradient steps: the pre-trained baseline.

The start is found without looking ahead to the steps that will be taken from it (outer training
"joint"), so it shows what meta-learning adds to pre-training: on sinusoids the best single answer
is near 0 everywhere, and steps from there learn slowly (Finn et al. 2017, section 5.1). For classes
the body is trained to tell all meta-training classes apart, and a task gets a fresh head (Chen et
al. 2019, A Closer Look at Few-shot Classification).

    w <- w - rate grad L(w; examples)
"""

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register


class Finetune(Descent):
    """Fast weights moved by plain gradient steps from a pre-trained start.

    >>> import torch
    >>> learner = Finetune(Spec(features=1, classes=0), GradientOptions(rate=0.05))
    >>> x, y = torch.linspace(-1, 1, 8).view(1, 8, 1), torch.linspace(-1, 1, 8).view(1, 8)
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(50):
    ...     state = learner.learn(state, x, y)
    >>> mean, _ = learner.predict(state, x).moments()
    >>> bool((mean - y).abs().max() < 0.2)
    True
    """

    second_order = False

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights one step later."""
        return {
            f"fast.{name}": state[f"fast.{name}"] - self.options.rate * grad
            for name, grad in grads.items()
        }


@register(
    "finetune", GradientOptions, family="baseline", outer="joint",
    paper="pre-training on all tasks at once; Chen et al. 2019, A Closer Look at Few-shot"
    " Classification",
)  # fmt: skip
def _finetune(spec: Spec, options: GradientOptions) -> Learner:
    return Finetune(spec, options)
