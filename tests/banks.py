"""Attention over a bank, taught and asked."""

import torch
from torch import Tensor

from agent.learners.attention import Attention
from agent.learners.base import Spec, State


def some(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(spec: Spec, seed: int, rows: int = 32, tasks: int = 1) -> tuple[Tensor, Tensor]:
    x = torch.randn(tasks, rows, spec.features, generator=some(seed))
    if spec.dated:
        x[..., -1] = 0
    y = 2 * x[..., 0] + torch.randn(tasks, rows, generator=some(seed + 1000))
    return x, y if spec.regression else (y > 0).long() + (y > 2).long()


def taught(learner: Attention, blocks: int, tasks: int = 1) -> State:
    state = learner.begin(tasks)
    for seed in range(blocks):
        state = learner.learn(state, *draw(learner.spec, seed, tasks=tasks))
    return state
