"""A neuromodulated meta-learner (Beaulieu et al. 2020, Learning to Continually Learn).

    h = f(x) * sigmoid(m(x))         the neuromodulatory network m gates the activations (figure 1)
    out = h head + bias              the head's gradient is h^T delta: what is gated off stays put

A gate near 0 both hides a feature and keeps the weights behind it from moving (selective
activation, selective plasticity). f, m and the start are moved by meta-training; in a stream only
the head moves, as when the paper tests.

Not as in the paper: f stands still in meta-training's inner loop too; the head's columns start
alike, so that any number of classes is served; the head's step is divided by its inputs.

Shapes: T tasks, B examples, F features, E embedding.
"""

from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec
from agent.learners.online import Online, OnlineOptions
from agent.learners.registry import register
from agent.nets.body import make_body


class Anml(Online):
    """A head that moves with every row, on activations that a second network gates.

    >>> import torch
    >>> learner = Anml(Spec(features=2, classes=2), OnlineOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(30):
    ...     state = learner.learn(state, x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    @override
    def draw(self, size: int) -> None:
        """Build the neuromodulatory network: a body of its own, and a gate an activation."""
        self.modulator = make_body(self.spec.features, self.options.body)
        self.gate = nn.Linear(self.modulator.size, size)

    def gates(self, x_TBF: Tensor) -> Tensor:
        """How far each activation is let through, shape TBE, from 0 to 1."""
        open_: Tensor = self.gate(self.modulator(x_TBF)).sigmoid()
        return open_

    @override
    def represent(self, x_TBF: Tensor) -> Tensor:
        """Gated activations, shape TBE."""
        return super().represent(x_TBF) * self.gates(x_TBF)


@register(
    "anml", OnlineOptions, family="continual", outer="sequences",
    paper="Beaulieu et al. 2020, Learning to Continually Learn",
)  # fmt: skip
def _anml(spec: Spec, options: OnlineOptions) -> Learner:
    return Anml(spec, options)
