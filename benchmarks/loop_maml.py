"""Second-order MAML as a Python loop over tasks: the peer that `speed_maml` measures.

The algorithm of learn2learn 0.2.0 (which does not build on Python 3.11): clone the weights, take
the gradient of one task's loss with its graph, step, repeat; descend on the mean query loss. The
networks and their first weights are those of our learners, written as `nn.Module` and called with
each task's weights by `torch.func.functional_call` (the library clones modules, which costs more);
nothing of that library is used. `bare` is the leanest a loop can be: no modules at all. `mapped` is
the same algorithm under `torch.func.vmap`.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from agent.training.episodes import Batch

Weights = Mapping[str, Tensor]
Network = Callable[[Weights, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
IMAGES = 4  # axes of a kernel


class Convolutions(nn.Module):
    """Four strided convolutions with batch norm, a mean over space, a linear layer: logits BC."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        depths = (1, *[width] * 4)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, 2, 1, bias=False),
                    nn.BatchNorm2d(after, track_running_stats=False),
                    nn.ReLU(),
                )
                for before, after in pairwise(depths)
            )
        )
        self.head = nn.Linear(width, classes)

    @override
    def forward(self, x_BF: Tensor) -> Tensor:
        """Logits, shape BC."""
        out: Tensor = self.head(self.blocks(x_BF.view(-1, 1, 28, 28)).mean((2, 3)))
        return out


class Perceptron(nn.Module):
    """Two hidden layers: one number a row, shape B."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = (nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    @override
    def forward(self, x_BF: Tensor) -> Tensor:
        """Numbers, shape B."""
        out: Tensor = self.layers(x_BF).squeeze(1)
        return out


def bare(weights: Weights, x_BF: Tensor) -> Tensor:
    """The same networks as plain functions of their weights: no module is called."""
    if "head.weight" not in weights:
        hidden = x_BF
        for at in (0, 2):
            each = (weights[f"layers.{at}.weight"], weights[f"layers.{at}.bias"])
            hidden = functional.linear(hidden, *each).relu()
        last = (weights["layers.4.weight"], weights["layers.4.bias"])
        return functional.linear(hidden, *last).squeeze(1)
    out = x_BF.view(-1, 1, 28, 28)
    for at in range(4):
        out = functional.conv2d(out, weights[f"blocks.{at}.0.weight"], None, 2, 1)
        norm = (weights[f"blocks.{at}.1.weight"], weights[f"blocks.{at}.1.bias"])
        out = functional.batch_norm(out, None, None, *norm, training=True).relu()
    return functional.linear(out.mean((2, 3)), weights["head.weight"], weights["head.bias"])


def filled(module: nn.Module, start: Weights, classes: int) -> nn.Module:
    """Give a module the first weights of our learner, part by part in their order."""
    names = [f"{kind}{at}" for at in range(4) for kind in "wsb" if f"{kind}{at}" in start]
    parts = [start[name] for name in (*names, "head", "bias")]
    with torch.no_grad():
        for leaf, part in zip(module.parameters(), parts, strict=True):
            if leaf.ndim == IMAGES:
                taps = part.view(3, 3, -1, part.shape[1])
                leaf.copy_(taps.permute(3, 2, 0, 1))
            elif leaf.ndim > 1:
                leaf.copy_(part.expand(-1, classes).mT if part.shape[1] == 1 else part.mT)
            else:
                leaf.copy_(part[0].expand_as(leaf))
    return module


def adapted(
    network: Network, loss: Loss, start: Weights, x: Tensor, y: Tensor, steps: int, rate: float
) -> Weights:
    """Weights of one task after so many steps, with their graph."""
    weights = {name: leaf.clone() for name, leaf in start.items()}
    for _ in range(steps):
        value = loss(network(weights, x), y)
        grads = torch.autograd.grad(value, list(weights.values()), create_graph=True)
        weights = {
            name: leaf - rate * grad
            for (name, leaf), grad in zip(weights.items(), grads, strict=True)
        }
    return weights


def loop(
    network: Network, loss: Loss, start: Weights, batch: Batch, steps: int, rate: float
) -> float:
    """Gradients of the mean query loss into `start`, one task after another; the loss."""
    tasks, total = len(batch.support_x), 0.0
    for at in range(tasks):
        weights = adapted(
            network, loss, start, batch.support_x[at], batch.support_y[at], steps, rate
        )
        value = loss(network(weights, batch.query_x[at]), batch.query_y[at]) / tasks
        value.backward()
        total += value.item()
    return total


def mapped(
    network: Network, loss: Loss, start: Weights, batch: Batch, steps: int, rate: float
) -> float:
    """The same by `torch.func.grad` under `vmap`."""

    def query_loss(x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor) -> Tensor:
        weights = dict(start)
        for _ in range(steps):
            grads = torch.func.grad(lambda now: loss(network(now, x), y))(weights)
            weights = {name: leaf - rate * grads[name] for name, leaf in weights.items()}
        return loss(network(weights, query_x), query_y)

    each = torch.func.vmap(query_loss)(
        batch.support_x, batch.support_y, batch.query_x, batch.query_y
    )
    value: Tensor = each.mean()
    value.backward()
    return value.item()
