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
        norm: of a convolutional body: "batch" (running statistics once `eval()` is called, so that
            rows do not see one another then), or "group" (they never do). Fast weights keep no
            running statistics: "batch" is always that of the call.
        shrink: how a block halves the sides: by pooling, or by a stride of two; after the last of
            the latter comes the mean over space.
    """

    kind: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (40, 40)
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    channels: int = 1
    width: int = 64
    norm: Literal["batch", "group"] = "batch"
    shrink: Literal["pool", "stride"] = "pool"

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


def make_norm(settings: BodySettings) -> nn.Module:
    """Build the norm that follows a convolution."""
    if settings.norm == "batch":
        return nn.BatchNorm2d(settings.width)
    return nn.GroupNorm(math.gcd(GROUPS, settings.width), settings.width)


class Conv(nn.Module):
    """Four blocks of 3x3 convolution, norm, rectifier and pooling (Vinyals et al. 2016).

    Pooling before the rectifier gives the same bits for a quarter of the work. `size` is E.
    """

    def __init__(self, features: int, settings: BodySettings) -> None:
        super().__init__()
        self._side, self._channels = settings.side(features), settings.channels
        stride = 2 if settings.shrink == "stride" else 1
        side, channels, blocks = self._side, settings.channels, []
        for _ in range(4):
            pooled = side >= 2 and stride == 1  # noqa: PLR2004 - nothing is left to pool below
            blocks += [
                nn.Conv2d(channels, settings.width, 3, stride, padding=1),
                make_norm(settings),
                nn.MaxPool2d(2) if pooled else nn.Identity(),
                nn.ReLU(),
            ]
            channels, side = settings.width, side // 2 if pooled else side
        if stride > 1:
            blocks.append(nn.AdaptiveAvgPool2d(1))
            side = 1
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
