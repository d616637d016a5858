"""A classifier's head out of the means of its classes, the same way for each class.

    w_c = 2 m_c / sqrt(E) + d_w(m_c),   b_c = -|m_c|^2 / sqrt(E) + d_b(m_c)

The first terms are the nearest mean (Snell et al. 2017, equation 8); d is an mlp that starts at 0.

Shapes: T tasks, E embedding, C classes, X further numbers a class.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.nets.sets import Readout


class ClassHead(nn.Module):
    """Weights and bias of a class from its mean; build it under `seeded`.

    Args:
        size: E, width of the embedding.
        hidden: widths of the mlp.
        extra: X, how many more numbers it says of a class (0 until trained).
        inputs: width of what the mlp reads, where that is not the mean alone.
    """

    def __init__(
        self, size: int, hidden: tuple[int, ...], extra: int = 0, inputs: int | None = None
    ) -> None:
        super().__init__()
        self._parts = [size, 1, extra]
        self.correct = Readout(inputs or size, hidden, size + 1 + extra, quiet=True)
        self.sharpness = nn.Parameter(torch.zeros(()))

    @override
    def forward(
        self, mean_TEC: Tensor, read_TCR: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give weights TEC, biases T1C and the further numbers TXC."""
        correction = self.correct(mean_TEC.mT if read_TCR is None else read_TCR).mT
        weight, bias, extra = correction.split(self._parts, 1)
        sharp = self.sharpness.exp() * mean_TEC.shape[1] ** -0.5
        nearest = -(mean_TEC**2).sum(1, keepdim=True)
        return weight + 2 * sharp * mean_TEC, bias + sharp * nearest, extra
