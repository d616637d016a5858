"""A classifier's head out of the means of its classes, the same way for each class.

    w_c = s_c 2 m_c / sqrt(E) + d_c,   b_c = -s_c |m_c|^2 / sqrt(E) + e_c

Without s, d and e it is the nearest mean (Snell et al. 2017, equation 8). They are said by an mlp
that reads the mean and 1 / (1 + examples), so that sureness can grow with the examples; it starts
at 0, and log s at a learned number.

Shapes: T tasks, E embedding, C classes, R what is read of a class, X further numbers a class.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.nets.sets import Readout

SHARPER = 3.0  # the most that examples may change log s


class ClassHead(nn.Module):
    """Weights and bias of a class from its mean; build it under `seeded`.

    Args:
        size: E, width of the embedding.
        hidden: widths of the mlp.
        extra: X, how many more numbers it says of a class (0 until trained).
        inputs: R, width of what the mlp reads of a class, where that is not the mean alone.
    """

    def __init__(
        self, size: int, hidden: tuple[int, ...], extra: int = 0, inputs: int | None = None
    ) -> None:
        super().__init__()
        self._parts = [size, 1, 1, extra]
        self.correct = Readout((inputs or size) + 1, hidden, sum(self._parts), quiet=True)
        self.sharpness = nn.Parameter(torch.zeros(()))

    @override
    def forward(
        self, mean_TEC: Tensor, mass_TC: Tensor, read_TRC: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give weights TEC, biases T1C and the further numbers TXC."""
        read = mean_TEC if read_TRC is None else read_TRC
        read = torch.cat([read, 1 / (1 + mass_TC.unsqueeze(1))], 1)
        weight, bias, sharper, extra = self.correct(read.mT).mT.split(self._parts, 1)
        log_sharp = self.sharpness + sharper.clamp(-SHARPER, SHARPER)
        sharp = log_sharp.exp() * mean_TEC.shape[1] ** -0.5
        nearest = -(mean_TEC**2).sum(1, keepdim=True)
        return weight + 2 * sharp * mean_TEC, bias + sharp * nearest, extra
