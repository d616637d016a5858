"""Recurrent cells over slots, whose input products are taken for a whole run at once.

    i, f, o, g = W [x, label] + U h + b
    c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)  (Gers et al. 2000)

    r, u, g = W [x, label] + b, with U h
    h = (1 - u) tanh(g + r U h) + u h                               (Cho et al. 2014)

Shapes: T tasks, B rows, E embedding, S slots, L label, H hidden units, G gates of H each.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override


class Cell(nn.Module):
    """A cell of `hidden` units that reads `features` values. Build it under `seeded`."""

    gates: ClassVar[int]
    leaves: ClassVar[tuple[str, ...]]

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.reads = nn.Linear(features, self.gates * hidden)
        self.recurs = nn.Linear(hidden, self.gates * hidden, bias=False)

    def drive(self, e_TBE: Tensor, label_TBSL: Tensor) -> Tensor:
        """What the examples push the gates by, shape TBSG."""
        row, label = self.reads.weight.split([e_TBE.shape[2], label_TBSL.shape[3]], 1)
        pushed = nn.functional.linear(e_TBE, row, self.reads.bias).unsqueeze(2)
        return pushed + nn.functional.linear(label_TBSL.to(e_TBE.dtype), label)

    def drive_of(self, e_TBE: Tensor, own_TBS2: Tensor) -> Tensor:
        """The same where a label says which of two weights read the row: its own, or another's."""
        size = e_TBE.shape[2]
        either = [nn.functional.linear(e_TBE, one) for one in self.reads.weight.split(size, 1)]
        return own_TBS2.to(e_TBE.dtype) @ torch.stack(either, 2) + self.reads.bias

    @abstractmethod
    def step(self, drive: Tensor, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read one example, whose push is TSG: the leaves after, each TSH."""


class LongShort(Cell):
    """Long short-term memory; its forget gates start open."""

    gates, leaves = 4, ("hidden", "cell")

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden)
        with torch.no_grad():
            self.reads.bias[hidden : 2 * hidden] += 1.0

    @override
    def step(self, drive: Tensor, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gers et al. 2000."""
        write, keep, show, new = (drive + self.recurs(parts["hidden"])).chunk(4, -1)
        cell = keep.sigmoid() * parts["cell"] + write.sigmoid() * new.tanh()
        return {"hidden": show.sigmoid() * cell.tanh(), "cell": cell}


class Gated(Cell):
    """Gated recurrent units."""

    gates, leaves = 3, ("hidden",)

    @override
    def step(self, drive: Tensor, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Cho et al. 2014, the reset gate after the product."""
        hidden = parts["hidden"]
        past = self.recurs(hidden).chunk(3, -1)
        reset, keep, new = drive.chunk(3, -1)
        fresh = torch.tanh(new + (reset + past[0]).sigmoid() * past[2])
        return {"hidden": torch.lerp(fresh, hidden, (keep + past[1]).sigmoid())}


CELLS: dict[str, type[Cell]] = {"lstm": LongShort, "gru": Gated}
