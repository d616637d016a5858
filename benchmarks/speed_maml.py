"""Tasks a second of second-order MAML: ours, a Python loop over tasks, and `vmap`.

    python -m benchmarks.speed_maml [ROUNDS]

Each meta-iteration takes the inner steps on every task's support, the queries' loss, its gradient
through the inner steps, and one step of Adam. Ours is the registered learner `maml` as the trainer
drives it. The loops and their `vmap` form (`loop_maml`) have the same networks, norms, first
weights and tasks; that they give the same loss is checked first, for images with ours too. The
second loop calls plain functions, not modules. One thread; the columns take turns,
ROUNDS times (7 by default); medians of tasks per CPU-second, so that a busy machine slows none.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from agent.learners.base import Spec
from agent.learners.gradient import GradientOptions
from agent.learners.maml import Maml
from agent.nets.body import BodySettings
from agent.training.episodes import Batch
from benchmarks import loop_maml, table

COMMAND = "python -m benchmarks.speed_maml"
CLOSE = 1e-3  # of a loss
WAYS = 5
OMNIGLOT = BodySettings(kind="conv", shrink="stride", norm="batch")

Once = Callable[[], float]


def sinusoids(tasks: int, shots: int = 10) -> Batch:
    draw = torch.Generator().manual_seed(tasks)
    x = torch.rand(tasks, 2 * shots, 1, generator=draw) * 10 - 5
    size = torch.rand(tasks, 1, generator=draw) * 4.9 + 0.1
    y = size * torch.sin(x[..., 0] - torch.rand(tasks, 1, generator=draw) * math.pi)
    return Batch(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:])


def images(tasks: int) -> Batch:
    draw = torch.Generator().manual_seed(tasks)
    x = torch.rand(tasks, 2 * WAYS, 784, generator=draw).gt(0.8).float()
    y = torch.arange(WAYS).expand(tasks, WAYS)
    return Batch(x[:, :WAYS], y, x[:, WAYS:], y)


def ours(learner: Maml, batch: Batch, steps: int) -> float:
    """Gradients by our learner."""
    state = learner.begin(len(batch.support_x))
    for _ in range(steps):
        state = learner.learn(state, batch.support_x, batch.support_y)
    said = learner.predict(state, batch.query_x)
    value = learner.objective(said, batch.query_y).mean()
    value.backward()
    return value.item()


def with_adam(parameters: list[Tensor], gradients: Once) -> Once:
    """Make it a whole meta-iteration."""
    adam = torch.optim.Adam(parameters, 1e-6)

    def once() -> float:
        adam.zero_grad()
        value = gradients()
        adam.step()
        return value

    return once


def seconds(once: Once, tasks: int, least: int = 1) -> float:
    """CPU-seconds a task, over `least` calls."""
    began = time.process_time()
    for _ in range(least):
        once()
    return (time.process_time() - began) / least / tasks


def contestants(kind: str, tasks: int, steps: int) -> dict[str, Once]:
    """Four ways for the same tasks, each a whole meta-iteration."""
    number = kind == "sinusoid"
    rate = 0.01 if number else 0.1
    spec = Spec(1, 0) if number else Spec(784, WAYS)
    body = BodySettings() if number else OMNIGLOT
    learner = Maml(spec, GradientOptions(body=body, rate=rate, clip=1e9))
    batch = sinusoids(tasks) if number else images(tasks)
    fresh = loop_maml.Perceptron(40) if number else loop_maml.Convolutions(64, WAYS)
    module = loop_maml.filled(fresh, dict(learner.start), spec.width)
    network = partial(functional_call, module)
    loss = functional.mse_loss if number else functional.cross_entropy
    out = {"ours": with_adam(list(learner.parameters()), partial(ours, learner, batch, steps))}
    for name, way, called in (
        ("loop", loop_maml.loop, network),
        ("bare", loop_maml.loop, loop_maml.bare),
        ("vmap", loop_maml.mapped, network),
    ):
        weights = {
            key: nn.Parameter(leaf.detach().clone()) for key, leaf in module.named_parameters()
        }
        step = partial(way, called, loss, weights, batch, steps, rate)
        out[name] = with_adam(list(weights.values()), step)
    return out


def agree(kind: str, once: dict[str, Once]) -> None:
    """All compute the same loss on the first call; of numbers ours adds that of a scale.

    Raises:
        ValueError: they do not; the comparison would mean nothing.
    """
    first = {name: call() for name, call in once.items()}
    if kind == "sinusoid":
        first.pop("ours")  # `tests/test_optimization.py` holds its steps to the equations
    apart = max(first.values()) - min(first.values())
    if apart > CLOSE * max(first.values()):
        raise ValueError(f"{kind}: losses differ: {first}")


def compare(kind: str, tasks: int, steps: int, rounds: int) -> table.Row:
    once = contestants(kind, tasks, steps)
    agree(kind, once)
    least = 10 if kind == "sinusoid" else 1
    taken: dict[str, list[float]] = {name: [] for name in once}
    for _ in range(rounds):
        for name, call in once.items():
            taken[name].append(seconds(call, tasks, 1 if name in {"loop", "bare"} else least))
    rate = {name: 1 / statistics.median(each) for name, each in taken.items()}
    return {
        "network": kind,
        "inner steps": steps,
        "meta-batch": tasks,
        "ours, tasks/s": rate["ours"],
        "loop over tasks": rate["loop"],
        "the same, bare functions": rate["bare"],
        "vmap": rate["vmap"],
        "ours / loop": rate["ours"] / rate["loop"],
        "ours / bare": rate["ours"] / rate["bare"],
        "ours / vmap": rate["ours"] / rate["vmap"],
    }


def growth(rounds: int) -> list[table.Row]:
    """Ours alone, as the task axis grows."""
    rows: list[table.Row] = []
    for tasks in (1, 4, 16, 64, 256, 1024):
        once = contestants("sinusoid", tasks, 5)["ours"]
        once()
        rate = 1 / statistics.median(seconds(once, tasks) for _ in range(rounds))
        rows.append(
            {
                "network": "sinusoid",
                "inner steps": 5,
                "meta-batch": tasks,
                "ours, tasks/s": rate,
                "loop over tasks": None,
                "the same, bare functions": None,
                "vmap": None,
                "ours / loop": None,
                "ours / bare": None,
                "ours / vmap": None,
            }
        )
    return rows


def main() -> None:
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rows = [compare("sinusoid", 32, 5, rounds)]
    rows += [compare("omniglot", 8, steps, rounds) for steps in (1, 5)]
    table.write("speed_maml", rows + growth(rounds), COMMAND)


if __name__ == "__main__":
    main()
