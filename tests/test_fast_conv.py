"""Convolution by patches is convolution, and its gradients are right, twice over."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.fast import fast_net
from agent.nets.patches import normalised, patches


def drawn(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [4, 5])
def test_patches_times_a_matrix_are_a_convolution(stride: int, side: int) -> None:
    image, kernel = drawn(2, 3, side, side, 2), drawn(18, 4, seed=1)
    ours = patches(image, stride) @ kernel
    front = image.flatten(0, 1).permute(0, 3, 1, 2)
    weight = kernel.view(3, 3, 2, 4).permute(3, 2, 0, 1)
    theirs = functional.conv2d(front, weight, stride=stride, padding=1).permute(0, 2, 3, 1)
    assert torch.allclose(ours.flatten(0, 1), theirs)


@pytest.mark.parametrize("stride", [1, 2])
def test_patches_can_be_differentiated_twice(stride: int) -> None:
    image = drawn(1, 1, 3, 4, 2)

    def square(x: Tensor) -> Tensor:
        return patches(x, stride).square()

    assert gradcheck(square, image)
    assert gradgradcheck(square, image)


@pytest.mark.parametrize("axes", [(1,), (1, 3)])
def test_normalising_can_be_differentiated_twice(axes: tuple[int, ...]) -> None:
    x, weight = drawn(1, 4, 1, 2), drawn(1, 4, 1, 2, seed=1).detach()

    def weighed(x: Tensor) -> Tensor:
        return normalised(x, axes) * weight

    assert gradcheck(weighed, x)
    assert gradgradcheck(weighed, x)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("shrink", ["pool", "stride"])
def test_the_network_of_fast_weights_is_the_network_of_modules(norm: str, shrink: str) -> None:
    """Same kernels, one set for all tasks: the same features, task by task."""
    settings = BodySettings(kind="conv", width=8, norm=norm, shrink=shrink)  # type: ignore[arg-type] # by parametrize
    with seeded(0):
        net, body = fast_net(196, settings), make_body(196, settings)
        parts = net.draw()
    convolutions = [one for one in body.modules() if isinstance(one, torch.nn.Conv2d)]
    for at, one in enumerate(convolutions):
        kernel = parts[f"w{at}"].view(3, 3, one.in_channels, 8)
        one.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
        assert one.bias is not None
        one.bias.data.zero_()
    x = torch.randn(2, 5, 196, generator=torch.Generator().manual_seed(1))
    fast = {name: leaf.expand(2, *leaf.shape) for name, leaf in parts.items()}
    each = torch.cat([body(x[:1]), body(x[1:])])  # batch norm: a task at a time
    ours = net(fast, x).view(2, 5, net.size // 8, 8).mT.flatten(2)  # channels last; theirs first
    assert net.size == body.size
    assert torch.allclose(ours, each, atol=1e-4)


def test_under_group_norm_a_row_is_answered_alone() -> None:
    settings = BodySettings(kind="conv", width=8, norm="group")
    with seeded(0):
        net = fast_net(64, settings)
        parts = net.draw()
    fast = {name: leaf.unsqueeze(0) for name, leaf in parts.items()}
    x = torch.randn(1, 6, 64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(fast, x)[:, :2], net(fast, x[:, :2]), atol=1e-5)
