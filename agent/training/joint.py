"""Plain training on all tasks at once: what meta-learning is compared with.

For numbers, the start itself is to answer every row of every task, support and queries. For classes
an episode's labels mean nothing outside it, so the body is trained to tell all meta-training
classes apart under a head of its own, which is then thrown away (as Chen et al. 2019, A Closer Look
at Few-shot Classification).

Shapes: T tasks, B examples, F features, E embedding, N classes of an episode.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.meta import Meta
from agent.nets import part
from agent.nets.body import seeded
from agent.training.cast import cast
from agent.training.episodes import Batch, Sampler
from agent.training.episodic import Episodic
from agent.training.settings import TrainingError, TrainSettings
from streams.worlds.tasks import TaskWorld

MOST = 8192
"""Columns of the head that is thrown away, at most; a class has that of its id, modulo these."""

LOOKS, SPARE, STEP = 8, 1.1, 64  # draws in which the largest id is looked for; room above it


def embedded(learner: Meta, x_TBF: Tensor) -> Tensor:
    """Give what a learner's head would read, shape TBE.

    Raises:
        TrainingError: it has no such thing.
    """
    for name in ("embed", "body"):
        if callable(found := getattr(learner, name, None)):
            out: Tensor = found(x_TBF)
            return out
    if not callable(net := getattr(learner, "net", None)):
        raise TrainingError(
            f"{type(learner).__name__} has no body to train jointly; give it `embed(x_TBF)`"
        )
    fast = part("fast", learner.begin(x_TBF.shape[0]))
    features: Tensor = net(fast, x_TBF)
    return features


def joint_loss(learner: Meta, batch: Batch) -> Tensor:
    """Mean objective of the start on all rows, a scalar: for numbers."""
    x, y = rows(batch)
    return learner.objective(learner.predict(learner.begin(x.shape[0]), x), y).mean()


def rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Give all rows of a batch, support first."""
    x = torch.cat([batch.support_x, batch.query_x], 1)
    return x, torch.cat([batch.support_y, batch.query_y], 1)


class Head(nn.Module):
    """The head over all classes, with the loss under it."""

    def __init__(self, learner: Meta, sampler: Sampler, seed: int) -> None:
        super().__init__()
        with torch.no_grad():
            x = torch.zeros(1, 1, sampler.world.features, device=sampler.device)
            size = embedded(learner, x).shape[2]
        with seeded(seed):
            self.out = nn.Linear(size, slots(sampler)).to(sampler.device)

    def loss(self, learner: Meta, sampler: Sampler, at: int, shard: int, shots: int) -> Tensor:
        """Cross entropy of all rows of a draw among all classes, a scalar."""
        episode = sampler.episode(at, shard, shots)
        x, y = rows(Batch.of(episode, sampler.device))
        ids = torch.from_numpy(episode.tasks).to(y.device).gather(1, y) % self.out.out_features
        return nn.functional.cross_entropy(
            self.out(embedded(learner, x)).flatten(0, 1), ids.flatten()
        )


def slots(sampler: Sampler) -> int:
    """Give the columns that the classes of a world need, from the largest id in a few draws.

    Raises:
        TrainingError: its classes are of a task each, so that none comes back.
    """
    tasks = [sampler.episode(at).tasks for at in range(LOOKS)]
    if tasks[0].ndim == 1:
        raise TrainingError(
            "each task of this world has classes of its own, so there is nothing that all tasks"
            " could be trained on together; leave out the joint training"
        )
    largest = max(int(ids.max()) for ids in tasks)
    return min(MOST, STEP * math.ceil((largest + 1) * SPARE / STEP))


class Together(Episodic):
    """Plain training on all tasks at once (see `joint`)."""

    def __init__(self, learner: Meta, world: TaskWorld, settings: TrainSettings) -> None:
        super().__init__(learner, world, settings)
        self.head = None
        if world.classes:
            self.head = Head(learner, self.samplers["train"], settings.seed)

    @override
    def add(self, at: int, shard: int, share: float) -> Tensor:
        with cast(self.settings):
            if self.head is None:
                loss = joint_loss(self.learner, self.draw("train", at, shard)[0])
            else:
                shots, _ = self.numbers("train", at)
                sampler = self.samplers["train"]
                loss = self.head.loss(self.learner, sampler, at, shard, shots)
        (loss * share).backward()
        return loss.detach()

    @override
    def held_out(self, at: int) -> Tensor:
        """The same loss on held-out tasks; for classes, of episodes learned from the start."""
        if self.head is not None:
            return super().held_out(at)
        with torch.no_grad(), cast(self.settings):
            return joint_loss(self.learner, self.draw("validation", at)[0])

    @override
    def extra(self) -> Sequence[nn.Parameter]:
        return () if self.head is None else tuple(self.head.parameters())

    @override
    def kept(self) -> Mapping[str, Tensor]:
        return {} if self.head is None else self.head.state_dict()

    @override
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        if self.head is not None:
            self.head.load_state_dict(dict(kept))
