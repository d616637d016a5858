"""A body whose layers every task scales and shifts (FiLM: Perez et al. 2018, equation 2).

    h <- h (1 + scale) + shift, before each activation

A modulation of zeros is the plain body.

Shapes: T tasks, B examples, F features, E embedding, W width of a layer, M modulation (twice the
sum of the widths: all scales and shifts, layer by layer).
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.nets.body import BodySettings, Mlp, make_body


class FilmBody(nn.Module):
    """An mlp or convolutional body, modulated by task. Build it under `seeded`."""

    def __init__(self, features: int, settings: BodySettings) -> None:
        super().__init__()
        self.body = make_body(features, settings)
        self.size = self.body.size
        conv = settings.kind == "conv"
        self._side = settings.side(features) if conv else 0
        self._channels = settings.channels
        self.widths = (settings.width,) * 4 if conv else settings.hidden
        self.modulation = 2 * sum(self.widths)

    @override
    def forward(self, x_TBF: Tensor, film_TM: Tensor) -> Tensor:
        """Embed rows under their task's modulation, shape TBE."""
        films = iter(film_TM.split([2 * width for width in self.widths], 1))
        tasks, rows = x_TBF.shape[:2]
        layers: list[nn.Module]
        if isinstance(self.body, Mlp):
            out, layers = x_TBF, list(self.body.layers)
        else:
            out = x_TBF.reshape(-1, self._channels, self._side, self._side)
            layers = list(self.body.blocks)
        for layer in layers:
            out = layer(out)
            if isinstance(layer, nn.Linear | nn.GroupNorm | nn.BatchNorm2d):
                out = modulated(out, next(films), tasks)
        return out.reshape(tasks, rows, self.size)


def modulated(out: Tensor, film_TW: Tensor, tasks: int) -> Tensor:
    """Scale and shift a layer's outputs, of rows (T, B, W) or of images (T * B, W, side, side)."""
    scale, shift = film_TW.chunk(2, 1)
    shaped = out.reshape(tasks, -1, scale.shape[1], out[0, 0].numel() if out.ndim > 3 else 1)  # noqa: PLR2004 - images
    moved = torch.addcmul(shift[:, None, :, None], shaped, 1 + scale[:, None, :, None])
    return moved.reshape(out.shape)
