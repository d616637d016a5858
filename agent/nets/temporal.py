"""The two blocks of SNAIL (Mishra et al. 2018): causal convolutions over time, and attention.

    dense: [x, tanh(f * x) sigmoid(g * x)], f and g of two taps, `dilation` apart      figure 2a
    attention: [x, softmax(q k' / sqrt(d)) v]                                          figure 2c

Each takes the examples, a line of N right-aligned ones, and queries that all stand after the last
of them and see one another not at all; and gives both with more channels.

Shapes: Z lines, N examples, B queries, D channels.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.nets.window import attend


class Block(nn.Module):
    """Adds `size - features` channels to examples and queries. Build it under `seeded`."""

    size: int

    @abstractmethod
    @override
    def forward(
        self, line_ZND: Tensor, query_ZBD: Tensor, filled_ZN: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give both with more channels; places that are not filled are zero, and stay so."""


class Dense(Block):
    """A convolution with gates, of two taps."""

    def __init__(self, features: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.size, self.dilation = features + filters, dilation
        self.here = nn.Linear(features, 2 * filters)
        self.then = nn.Linear(features, 2 * filters, bias=False)

    @override
    def forward(
        self, line_ZND: Tensor, query_ZBD: Tensor, filled_ZN: Tensor
    ) -> tuple[Tensor, Tensor]:
        back = nn.functional.pad(line_ZND, (0, 0, self.dilation, 0))
        earlier, latest = back[:, : line_ZND.shape[1]], back[:, line_ZND.shape[1]]
        line = self._gated(self.here(line_ZND) + self.then(earlier))
        query = self._gated(self.here(query_ZBD) + self.then(latest).unsqueeze(1))
        line = torch.where(filled_ZN.unsqueeze(2), line, 0.0)
        return torch.cat([line_ZND, line], 2), torch.cat([query_ZBD, query], 2)

    @staticmethod
    def _gated(out: Tensor) -> Tensor:
        value, gate = out.chunk(2, -1)
        return value.tanh() * gate.sigmoid()


class Look(Block):
    """Attention of each place to those up to it."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.size = features + width
        self.query = nn.Linear(features, width)
        self.remember = nn.Linear(features, 2 * width)

    @override
    def forward(
        self, line_ZND: Tensor, query_ZBD: Tensor, filled_ZN: Tensor
    ) -> tuple[Tensor, Tensor]:
        key, value = self.remember(line_ZND).chunk(2, 2)
        count = line_ZND.shape[1]
        upto = torch.ones(count, count, dtype=torch.bool, device=key.device).tril()
        filled = filled_ZN.unsqueeze(1)
        line = self._read(line_ZND, key, value, filled & upto)
        line = torch.where(filled_ZN.unsqueeze(2), line, 0.0)
        query = self._read(query_ZBD, key, value, filled.expand(-1, query_ZBD.shape[1], -1))
        return torch.cat([line_ZND, line], 2), torch.cat([query_ZBD, query], 2)

    def _read(self, rows: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        logit = self.query(rows) @ key.mT * key.shape[2] ** -0.5
        return attend(logit, seen) @ value
