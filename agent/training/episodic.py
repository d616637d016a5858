"""Meta-training by episodes; and what every way to an outer gradient offers, a `Slope`.

A draw is a batch of tasks with its number of shots and of inner steps; draw (at, shard) is a pure
function of the seed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from agent.learners.meta import Meta
from agent.training.cast import cast
from agent.training.episodes import Batch, Sampler
from agent.training.settings import Span, TrainSettings
from agent.training.unroll import episode_loss
from streams.worlds.tasks import SPLITS, Split, TaskWorld

SHOTS_AND_STEPS = 1  # the last word of their key: not the stream of the tasks


class Slope(Protocol):
    """Gives the outer gradient of a draw."""

    def add(self, at: int, shard: int, share: float) -> Tensor:
        """Add `share` times the gradient to each parameter's `.grad`; give the loss, detached."""
        ...

    def held_out(self, at: int) -> Tensor:
        """Loss on draw `at` of the validation tasks; nothing is recorded."""
        ...

    def batches(self) -> int:
        """How many draws a validation is made of."""
        ...

    def extra(self) -> Sequence[nn.Parameter]:
        """Parameters beside the learner's, trained with them."""
        ...

    def kept(self) -> Mapping[str, Tensor]:
        """All that goes from one step to the next, for a checkpoint."""
        ...

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Take up what a checkpoint kept."""
        ...


class Episodic:
    """Descent on the queries of episodes: equation 2 of Finn et al. 2017, and everyone's since.

    Args:
        learner: on the device already.
        world: of tasks.
        settings: of the run.
        ordered: the support class by class, learned once over (Javed & White 2019).
    """

    def __init__(
        self, learner: Meta, world: TaskWorld, settings: TrainSettings, *, ordered: bool = False
    ) -> None:
        self.learner, self.settings = learner, settings
        many = {
            "train": settings.tasks_per_step,
            "validation": min(settings.tasks_per_step, settings.validation_tasks),
        }
        self.samplers: dict[Split, Sampler] = {
            split: Sampler(
                world, split, many[split], settings.shots[1], settings.queries, settings.seed,
                settings.device, ordered=ordered and world.classes > 0,
            )
            for split in ("train", "validation")
        }  # fmt: skip
        self.steps: Span = (1, 1) if ordered else settings.steps
        self.loss: Callable[[Meta, Batch, int], Tensor] = (
            torch.compile(episode_loss) if settings.compile else episode_loss
        )

    def draw(self, split: Split, at: int, shard: int = 0) -> tuple[Batch, int]:
        """Give a batch, and the inner steps to take on it."""
        shots, steps = self.numbers(split, at)
        return self.samplers[split].batch(at, shard, shots), steps

    def numbers(self, split: Split, at: int) -> tuple[int, int]:
        """Give shots and inner steps of draw `at`, the same for all shards."""
        spans = (self.settings.shots, self.steps)
        if all(first == last for first, last in spans):
            return spans[0][0], spans[1][0]
        key = [self.settings.seed, SPLITS.index(split), at, 0, SHOTS_AND_STEPS]
        draw = np.random.default_rng(key)
        shots, steps = (int(draw.integers(first, last, endpoint=True)) for first, last in spans)
        return shots, steps

    def add(self, at: int, shard: int, share: float) -> Tensor:
        """Differentiate the loss on the queries, through the inner steps."""
        batch, steps = self.draw("train", at, shard)
        with cast(self.settings):
            loss = self.loss(self.learner, batch, steps)
        (loss * share).backward()
        return loss.detach()

    def held_out(self, at: int) -> Tensor:
        """The same loss on tasks kept apart."""
        with torch.no_grad(), cast(self.settings):
            return episode_loss(self.learner, *self.draw("validation", at))

    def batches(self) -> int:
        """As many as hold the tasks of a validation."""
        return -(-self.settings.validation_tasks // self.samplers["validation"].tasks)

    def extra(self) -> Sequence[nn.Parameter]:
        """Nothing."""
        return ()

    def kept(self) -> Mapping[str, Tensor]:
        """Nothing: a draw is a function of its number."""
        return {}

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Nothing is to be done."""
