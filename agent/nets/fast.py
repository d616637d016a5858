"""Networks with one set of weights a task: batched matrix products over the task axis.

A net here holds no weights. It draws a start (parts by name, without the task axis) and maps rows
to features under fast weights (the same parts, task axis first). How much faster that is than a
loop over tasks, or `torch.func.vmap`, is what `benchmarks/speed_maml.py` measures.

Shapes: T tasks, B examples, F features, E embedding, H and K widths of two layers.
"""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from agent.nets.body import ACTIVATION, BodySettings
from agent.nets.fast_conv import FastConv

Fast: TypeAlias = Mapping[str, Tensor]
"""Parts of a network by name, task axis first."""


class FastNet(Protocol):
    """A network whose weights are handed in."""

    size: int
    """E, the width of what comes out."""

    def draw(self) -> dict[str, Tensor]:
        """Draw a start for every part, from the global generator: call it under `seeded`."""
        ...

    def __call__(self, fast: Fast, x_TBF: Tensor) -> Tensor:
        """Give features, shape TBE."""
        ...


class FastMlp:
    """Layers with an activation after each: h <- act(h w_i + b_i). Parts w0, b0, w1, b1, ..."""

    def __init__(self, features: int, settings: BodySettings) -> None:
        self._widths = (features, *settings.hidden)
        self.size = settings.hidden[-1]
        self._activate = ACTIVATION[settings.activation]()
        self.tanh = settings.activation == "tanh"
        self.written_out = settings.activation != "gelu"
        self.parts = [f"{kind}{at}" for at in range(len(settings.hidden)) for kind in "wb"]

    def draw(self) -> dict[str, Tensor]:
        """Weights that keep a row's size (He et al. 2015); the first layer's kinks are spread."""
        parts = {}
        for at, (rows, columns) in enumerate(zip(self._widths, self._widths[1:], strict=False)):
            gain = 2.0 if at else 1.0  # what comes in is rectified, except at first
            parts[f"w{at}"] = torch.randn(rows, columns) * (gain / rows) ** 0.5
            parts[f"b{at}"] = torch.zeros(1, columns)
        parts["b0"].uniform_(-1, 1)
        return parts

    def __call__(self, fast: Fast, x_TBF: Tensor) -> Tensor:
        """Give features, shape TBE."""
        out = x_TBF
        for at in range(len(self._widths) - 1):
            out = self._activate(torch.baddbmm(fast[f"b{at}"], out, fast[f"w{at}"]))
        return out


def fast_net(features: int, settings: BodySettings) -> FastNet:
    """Build the net that the settings ask for."""
    if settings.kind == "conv":
        return FastConv(features, settings)
    return FastMlp(features, settings)
