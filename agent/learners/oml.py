"""Online-aware meta-learning: features so found that learning row by row forgets little.

Javed & White 2019, Meta-Learning Representations for Continual Learning.

    W_(j+1) = W_j - a grad_W l(g_W(f_theta(x_j)), y_j)     section 3: only W, the prediction network
    min over theta and W_0 of  E[ l(W_k; all of the sequence) ]          equation 2, by the trainer

`theta` is the representation: it stands still in a stream. `W` is the prediction network, one
hidden layer under a head by default, the state.

Not as in the paper: the head's columns start alike, so that any number of classes is served; a
layer's step is divided by its inputs; the outer loss is on held-out rows of the sequence's classes,
where the paper's also has rows of other classes.
"""

from dataclasses import dataclass

from agent.learners.base import Learner, Spec
from agent.learners.online import Online, OnlineOptions
from agent.learners.registry import register


@dataclass(frozen=True, slots=True)
class OmlOptions(OnlineOptions):
    """As all of them, with one hidden layer of fast weights under the head.

    Args:
        predictor: widths of the prediction network's hidden layers.
    """

    predictor: tuple[int, ...] = (40,)


class Oml(Online):
    """A prediction network that moves with every row, on a representation that does not.

    >>> import torch
    >>> learner = Oml(Spec(features=2, classes=2), OmlOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(30):
    ...     state = learner.learn(state, x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """


@register(
    "oml", OmlOptions, family="continual", outer="sequences",
    paper="Javed & White 2019, Meta-Learning Representations for Continual Learning",
)  # fmt: skip
def _oml(spec: Spec, options: OmlOptions) -> Learner:
    return Oml(spec, options)
