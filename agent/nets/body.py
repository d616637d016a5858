"""Bodies: networks that all tasks share, rows in, embeddings out. Moved by meta-training alone.

Shapes: T tasks, B examples, F features, E embedding.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

GROUPS = 8  # of channels, normalised together


@dataclass(frozen=True, slots=True)
class BodySettings:
    """The network under a learner's head.

    Args:
        kind: "mlp" for rows of features, "conv" for square images laid out as rows.
        hidden: widths of an mlp's layers; the last is the embedding.
        activation: between an mlp's layers.
        channels: colours of an image.
        width: channels of each of the four blocks of a convolutional body.
    """

    kind: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (40, 40)
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    channels: int = 1
    width: int = 64

    def __post_init__(self) -> None:
        if self.kind == "mlp" and (not self.hidden or min(self.hidden) < 1):
            raise ValueError(f"hidden is {self.hidden}; give the widths of one or more layers")
        if min(self.channels, self.width) < 1:
            raise ValueError("channels and width must be 1 or more")

    def side(self, features: int) -> int:
        """Side of the square images that rows of so many features hold, in pixels.

        Raises:
            ValueError: they hold none.
        """
        side = math.isqrt(features // self.channels)
        if side * side * self.channels != features:
            raise ValueError(
                f"{features} features are no square image of {self.channels} channels:"
                " set body.channels, or body.kind to 'mlp'"
            )
        return side


ACTIVATION: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let modules that are built inside draw their weights from this seed; nothing outside moves.

    torch's modules draw from the global generator, which has no other way of being handed in.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # noqa: TID251 - the one place, under fork_rng
        yield


class Mlp(nn.Module):
    """Layers with an activation after each. `size` is E."""

    def __init__(self, features: int, settings: BodySettings) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in settings.hidden:
            layers += [nn.Linear(features, width), ACTIVATION[settings.activation]()]
            features = width
        self.layers, self.size = nn.Sequential(*layers), features

    @override
    def forward(self, x_TBF: Tensor) -> Tensor:
        """Embed rows, shape TBE."""
        out: Tensor = self.layers(x_TBF)
        return out


class Conv(nn.Module):
    """Four blocks of 3x3 convolution, group norm, rectifier and pooling (Vinyals et al. 2016).

    Group norm in batch norm's place: a row's embedding depends on that row alone, so it is the same
    in an episode, in a batch and one event at a time. `size` is E.
    """

    def __init__(self, features: int, settings: BodySettings) -> None:
        super().__init__()
        self._side, self._channels = settings.side(features), settings.channels
        side, channels, blocks = self._side, settings.channels, []
        for _ in range(4):
            pooled = side >= 2  # noqa: PLR2004 - nothing is left to pool below
            blocks += [
                nn.Conv2d(channels, settings.width, 3, padding=1),
                nn.GroupNorm(min(GROUPS, settings.width), settings.width),
                nn.ReLU(),
                nn.MaxPool2d(2) if pooled else nn.Identity(),
            ]
            channels, side = settings.width, side // 2 if pooled else side
        self.blocks, self.size = nn.Sequential(*blocks), channels * side * side

    @override
    def forward(self, x_TBF: Tensor) -> Tensor:
        """Embed images, shape TBE."""
        images = x_TBF.reshape(-1, self._channels, self._side, self._side)
        out: Tensor = self.blocks(images).flatten(1)
        return out.view(*x_TBF.shape[:2], self.size)


def make_body(features: int, settings: BodySettings) -> Mlp | Conv:
    """Build the body; call it under `seeded`."""
    return (Conv if settings.kind == "conv" else Mlp)(features, settings)
