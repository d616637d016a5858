"""Task families of a second's meta-training, and the training: for tests of what learns to learn.

Shapes: T tasks, S support rows, Q query rows, F features.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from agent.learners.base import Numbers, Said, Spec
from agent.learners.meta import Meta, log_score
from agent.learners.registry import every_learner

TASKS, SUPPORT, QUERIES, NUISANCE = 32, 8, 8, 3
LINES, CLUSTERS = Spec(1, 0), Spec(1 + NUISANCE, 2)


class Episodes(NamedTuple):
    """Tasks side by side."""

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor


Family = Callable[[int, torch.Generator], Episodes]


def lines(tasks: int, draw: torch.Generator) -> Episodes:
    """Linear functions of one number: y = a x + b, with a and b standard normal."""
    x = 2 * torch.rand(tasks, SUPPORT + QUERIES, 1, generator=draw) - 1
    slope, offset = torch.randn(2, tasks, 1, generator=draw)
    y = slope * x[..., 0] + offset
    return Episodes(x[:, :SUPPORT], y[:, :SUPPORT], x[:, SUPPORT:], y[:, SUPPORT:])


def clusters(tasks: int, draw: torch.Generator) -> Episodes:
    """Which of two clusters: they lie apart in one feature, either way round; others are noise."""
    y = torch.randint(2, (tasks, SUPPORT + QUERIES), generator=draw)
    y[:, :2] = torch.tensor([0, 1])
    side = torch.randn(tasks, 1, generator=draw).sign()
    noise = torch.randn(*y.shape, 1 + NUISANCE, generator=draw)
    told = (2 * y - 1) * side + 0.3 * noise[..., 0]
    x = torch.cat([told.unsqueeze(2), 3 * noise[..., 1:]], 2)
    return Episodes(x[:, :SUPPORT], y[:, :SUPPORT], x[:, SUPPORT:], y[:, SUPPORT:])


FAMILIES: dict[str, tuple[Family, Spec]] = {
    "lines": (lines, LINES),
    "clusters": (clusters, CLUSTERS),
}


def make(name: str, spec: Spec, **options: object) -> Meta:
    """Make a registered learner with some of its options."""
    entry = every_learner()[name]
    kind = type(entry.options())
    learner = entry(spec, kind(**options) if options else None)
    assert isinstance(learner, Meta)
    return learner


def answered(learner: Meta, batch: Episodes) -> Said:
    """What it says of the queries after the support."""
    state = learner.learn(learner.begin(batch.support_x.shape[0]), batch.support_x, batch.support_y)
    return learner.predict(state, batch.query_x)


def meta_train(learner: Meta, family: Family, iterations: int, rate: float = 5e-3) -> None:
    """Adam on the queries' objective, with a rate that falls to zero."""
    draw = torch.Generator().manual_seed(5)
    optimizer = torch.optim.Adam(learner.parameters(), rate)
    for at in range(iterations):
        optimizer.param_groups[0]["lr"] = rate * (1 - at / iterations)
        batch = family(TASKS, draw)
        loss = learner.objective(answered(learner, batch), batch.query_y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def score(learner: Meta, family: Family) -> float:
    """Mean log of what it gave to the truth, on tasks it was not trained on."""
    batch = family(200, torch.Generator().manual_seed(77))
    with torch.no_grad():
        return log_score(answered(learner, batch), batch.query_y).mean().item()


def error(learner: Meta, family: Family) -> float:
    """Share of wrong classes, or mean squared error by the queries' variance."""
    batch = family(200, torch.Generator().manual_seed(77))
    with torch.no_grad():
        said = answered(learner, batch)
    if not learner.spec.regression:
        return log_score(said, batch.query_y).exp().le(0.5).float().mean().item()
    assert isinstance(said, Numbers)
    mean = said.mean_TBV[:, :, 0]
    return ((mean - batch.query_y) ** 2).mean().item() / batch.query_y.var().item()
