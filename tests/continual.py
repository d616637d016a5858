"""Learners that meet rows one by one."""

import torch
from torch import Tensor

from agent.learners.base import Spec
from agent.learners.meta import Meta

CLASSES = Spec(4, 3)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(learner: Meta, tasks: int = 2, many: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = drawn(tasks, many, learner.spec.features, seed=seed)
    if learner.spec.classes:
        return x, torch.randint(learner.spec.classes, (tasks, many), generator=draw)
    return x, drawn(tasks, many, seed=seed + 1)
