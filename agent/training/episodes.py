"""Episodes as tensors, each a function of its number: training resumes without a generator.

Shapes: T tasks, S support rows, Q query rows, F features, O outputs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.learners.base import Spec
from streams.worlds.tasks import SPLITS, Episode, Split, TaskWorld, by_class, checked


@dataclass(frozen=True, slots=True)
class Batch:
    """An `Episode` on a device: x float32, TSF and TQF; y int64 TS, or float32 TS or TSO."""

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor

    @classmethod
    def of(cls, episode: Episode, device: torch.device | str = "cpu") -> "Batch":
        """Take an episode over."""
        return cls(
            *(
                torch.from_numpy(np.ascontiguousarray(leaf)).to(device)
                for leaf in (
                    episode.support_x,
                    episode.support_y,
                    episode.query_x,
                    episode.query_y,
                )
            )
        )


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws batches of one split; batch `at` depends on the seed, the split, `at` and the rank.

    Args:
        world: the family of tasks.
        split: whose tasks.
        tasks: T, tasks of a batch.
        shots: support rows a class, or a task for numbers.
        queries: query rows likewise.
        seed: the same seed gives the same batches, bit for bit.
        device: where the tensors go.
        ordered: the support class by class, as sequences are trained.
    """

    world: TaskWorld
    split: Split
    tasks: int
    shots: int
    queries: int
    seed: int
    device: torch.device | str = "cpu"
    ordered: bool = False

    def __post_init__(self) -> None:
        checked(self.split)
        if min(self.tasks, self.shots, self.seed + 1) < 1 or self.queries < 0:
            raise ValueError(
                f"no sampler of {self.tasks} tasks, {self.shots} shots, {self.queries} queries,"
                f" seed {self.seed}"
            )

    def episode(self, at: int, rank: int = 0, shots: int | None = None) -> Episode:
        """Draw a batch as arrays, with the tasks that it is of; other shots have the same tasks."""
        draw = np.random.default_rng([self.seed, SPLITS.index(self.split), at, rank])
        many = self.shots if shots is None else shots
        episode = self.world.episode(self.split, self.tasks, many, self.queries, draw)
        return by_class(episode) if self.ordered else episode

    def batch(self, at: int, rank: int = 0, shots: int | None = None) -> Batch:
        """Draw a batch as tensors."""
        return Batch.of(self.episode(at, rank, shots), self.device)


def spec_of(world: TaskWorld) -> Spec:
    """Say what a learner of that world is asked for."""
    return Spec(world.features, world.classes, world.outputs)
