"""Voices, run over rows that are drawn."""

import torch
from torch import Tensor

from agent.learners.base import Classes, Learner, Numbers, State


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(
    learner: Learner, x: Tensor, y: Tensor, seen: Tensor | None = None, block: int = 8
) -> tuple[list[Classes | Numbers], State]:
    state, said = learner.begin(x.shape[0]), []
    for start in range(0, x.shape[1], block):
        cut = slice(start, start + block)
        told = None if seen is None else seen[:, cut]
        one, state = learner.predict_then_learn(state, x[:, cut], y[:, cut], told)
        said.append(one)
    return said, state


def log_losses(said: list[Classes | Numbers], y: Tensor) -> Tensor:
    logp = torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 1)
    return -logp.gather(3, y[..., None, None].expand(*logp.shape[:3], 1)).squeeze(3)


def masked(rows: int, tasks: int = 1) -> Tensor:
    return torch.rand(tasks, rows, generator=drawn(7)) < 0.7
