"""Sets of examples as running means, which no order and no cut of the examples can change.

Shapes: T tasks, B examples, F features, O outputs, R encoding, C classes (or one, for a whole set).
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.nets.body import BodySettings, Mlp

REACH = 10.0  # up to which inputs are taken as they are
MOST = 1e6  # examples that a mean remembers, so that it never stands still


def bounded(x: Tensor) -> Tensor:
    """Inputs as they are up to `REACH`, and no larger."""
    return x.clamp(-REACH, REACH)


def pairs(x_TBF: Tensor, y_TBO: Tensor) -> Tensor:
    """Examples as an encoder reads them, shape TB(F + 2O): y as it is and on a log scale."""
    return torch.cat([bounded(x_TBF), bounded(y_TBO), torch.asinh(y_TBO)], 2)


def running_mean(
    mean_TRC: Tensor,
    mass_TC: Tensor,
    rows_TBR: Tensor,
    label_TBC: Tensor,
    strength: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Means and counts after more rows.

    Args:
        mean_TRC: means so far.
        mass_TC: rows so far.
        rows_TBR: what is averaged.
        label_TBC: 1 where a row belongs to a class; rows of none change nothing, to the bit.
        strength: rows that the start of the mean counts for.
    """
    rows_TBR = torch.where(label_TBC.any(2, keepdim=True), rows_TBR, 0.0)
    new_TC = label_TBC.sum(1)
    after_TC = (mass_TC + new_TC).clamp(max=MOST)
    excess = rows_TBR.mT @ label_TBC - new_TC.unsqueeze(1) * mean_TRC
    return mean_TRC + excess / (strength + after_TC).clamp(min=1.0).unsqueeze(1), after_TC


class Readout(nn.Module):
    """An mlp, then a linear layer; `quiet` ones say 0 until they are trained.

    Args:
        inputs: width of what comes in.
        hidden: widths between.
        outputs: width of what goes out.
        quiet: begin at 0.
    """

    def __init__(
        self, inputs: int, hidden: tuple[int, ...], outputs: int, *, quiet: bool = False
    ) -> None:
        super().__init__()
        self.layers = Mlp(inputs, BodySettings(hidden=hidden))
        self.last = nn.Linear(self.layers.size, outputs)
        if quiet:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    @override
    def forward(self, rows: Tensor) -> Tensor:
        """Map the last axis."""
        out: Tensor = self.last(self.layers(rows))
        return out
