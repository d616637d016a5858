"""How the outer gradient comes about: a `Slope` for each `Outer`.

A draw is a batch of tasks with its number of shots and of inner steps; draw (at, shard) is a pure
function of the seed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import State
from agent.learners.meta import Meta
from agent.learners.registry import Outer
from agent.training.episodes import Batch, Sampler
from agent.training.joint import Head, joint_loss, rows
from agent.training.settings import Span, TrainingError, TrainSettings
from agent.training.unroll import adapt, episode_loss
from streams.worlds.tasks import SPLITS, Split, TaskWorld

AVERAGE = "average"
"""The method of a learner that gives, of a state, the mean of its weights by name of `start`."""

SHOTS_AND_STEPS = 1  # the last word of their key: not the stream of the tasks


class Slope(Protocol):
    """Gives the outer gradient of a draw."""

    def add(self, at: int, shard: int, share: float) -> Tensor:
        """Add `share` times the gradient to each parameter's `.grad`; give the loss, detached."""
        ...

    def held_out(self, at: int) -> Tensor:
        """Loss on draw `at` of the validation tasks; nothing is recorded."""
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
        many = {"train": settings.tasks_per_step, "validation": validation_batch(settings)}
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
        with self.cast():
            loss = self.loss(self.learner, batch, steps)
        (loss * share).backward()
        return loss.detach()

    def held_out(self, at: int) -> Tensor:
        """The same loss on tasks kept apart."""
        with torch.no_grad(), self.cast():
            return episode_loss(self.learner, *self.draw("validation", at))

    def cast(self) -> torch.autocast:
        """Give the context of a forward pass."""
        device, bf16 = torch.device(self.settings.device), self.settings.precision == "bf16"
        return torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def extra(self) -> Sequence[nn.Parameter]:
        """Nothing."""
        return ()

    def kept(self) -> Mapping[str, Tensor]:
        """Nothing: a draw is a function of its number."""
        return {}

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Nothing is to be done."""


class Averaging(Episodic):
    """Reptile (Nichol, Achiam & Schulman 2018): the start moves to the mean of adapted weights.

    w <- w + rate (mean of w' - w), as the gradient (w - w') of algorithm 2. All rows of a task are
    learned, queries too. What is no start of a weight, as a learned scale, descends on the queries.
    """

    @override
    def add(self, at: int, shard: int, share: float) -> Tensor:
        batch, steps = self.draw("train", at, shard)
        start = averaged(self.learner)
        with self.cast():
            with torch.no_grad():
                begun = self.learner.begin(batch.query_x.shape[0])
                state = adapt(self.learner, begun, *rows(batch), steps)
            loss = self._fit_the_rest(state, batch, share)
        with torch.no_grad():
            mean: Mapping[str, Tensor] = getattr(self.learner, AVERAGE)(state)
            for name, weight in start.items():
                away = (weight - mean[name]) * share
                weight.grad = away if weight.grad is None else weight.grad + away
        return loss

    def _fit_the_rest(self, state: State, batch: Batch, share: float) -> Tensor:
        said = self.learner.predict(state, batch.query_x)
        loss = self.learner.objective(said, batch.query_y).mean()
        if loss.requires_grad:
            (loss * share).backward()
        return loss.detach()


class Together(Episodic):
    """Plain training on all tasks at once (see `joint`)."""

    def __init__(self, learner: Meta, world: TaskWorld, settings: TrainSettings) -> None:
        super().__init__(learner, world, settings)
        self.head = None
        if world.classes:
            self.head = Head(learner, self.samplers["train"], settings.seed)

    @override
    def add(self, at: int, shard: int, share: float) -> Tensor:
        with self.cast():
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
        with torch.no_grad(), self.cast():
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


def averaged(learner: Meta) -> Mapping[str, nn.Parameter]:
    """Give the weights that Reptile averages, by name.

    Raises:
        TrainingError: the learner has none.
    """
    start = getattr(learner, "start", None)
    if not isinstance(start, nn.ParameterDict) or not hasattr(learner, AVERAGE):
        raise TrainingError(
            f"{type(learner).__name__} cannot be trained by Reptile's average:"
            " it has no `start` of weights, or no `average(state)`"
        )
    return dict(start.items())


def validation_batch(settings: TrainSettings) -> int:
    """Tasks of a batch of validation: no more than an outer step holds."""
    return min(settings.tasks_per_step, settings.validation_tasks)


def slope(learner: Meta, world: TaskWorld, settings: TrainSettings, outer: Outer) -> Slope:
    """Give the slope that a learner is trained by."""
    if outer == "joint":
        return Together(learner, world, settings)
    kind = Averaging if outer == "reptile" else Episodic
    return kind(learner, world, settings, ordered=outer == "sequences")
