"""Meta-training through time: a learner lives through streams of tasks that come and come back.

    loss of a window = mean objective of its rows, each answered before it was learned
                     + retention * mean objective of rows of an earlier task, after its cue

A window is `horizon` rows; the state goes on from one window to the next, its history detached
(truncated backpropagation; Williams & Peng 1990). For the second term an earlier task of the stream
is picked: a few of its rows are learned again as a cue, since two tasks may answer the same row
differently, and others of its rows are asked. What that teaches is thrown away. Without such a term
the meta-loss rewards forgetting (Irie, Csordas & Schmidhuber 2023, Automating Continual Learning).

Shapes: T streams, L rows of a stream, B rows of a block, P rows asked, F features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from agent.learners.base import State
from agent.learners.meta import Meta
from agent.training.cast import cast
from agent.training.settings import TrainSettings
from streams.worlds.recurring import RecurringSettings, Streams, recurring
from streams.worlds.tasks import SPLITS, Ints, Split, TaskWorld

STREAM, EARLIER = 2, 3  # the last words of keys: no draws of episodes
HELD_OUT = 4  # streams of a validation, one after another


@dataclass(frozen=True, slots=True)
class TimeSettings:
    """How streams are lived through.

    Args:
        stream: how tasks follow one another.
        horizon: rows between two outer steps.
        block: rows that are answered and then learned together.
        retention: weight of the loss on earlier tasks.
        cue: rows of an earlier task that are learned again before others of it are asked.
        asked: P, rows of an earlier task that are asked.
    """

    stream: RecurringSettings = field(default_factory=RecurringSettings)
    horizon: int = 50
    block: int = 1
    retention: float = 0.5
    cue: int = 2
    asked: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.block <= self.horizon <= self.stream.length:
            raise ValueError(
                f"horizon {self.horizon} must hold a block of {self.block}, and fit into a stream"
            )
        if min(self.retention, self.cue) < 0 or self.asked < 1:
            raise ValueError("retention and cue must be 0 or more, asked 1 or more")

    @property
    def windows(self) -> int:
        """Whole windows of a stream."""
        return self.stream.length // self.horizon


class ThroughTime:
    """The slope of living through streams; outer step `at` is window `at % windows` of a stream."""

    def __init__(
        self, learner: Meta, world: TaskWorld, settings: TrainSettings, time: TimeSettings
    ) -> None:
        self.learner, self.world, self.settings, self.time = learner, world, settings, time
        self._states: dict[int, State] = {}
        self._drawn: dict[int, tuple[int, Streams]] = {}

    def add(self, at: int, shard: int, share: float) -> Tensor:
        """Go on by a window; differentiate its loss as far back as its start."""
        number, window = divmod(at, self.time.windows)
        if self._drawn.get(shard, (-1, None))[0] != number:
            self._drawn[shard] = (number, self._streams("train", number, shard))
        if not window:
            self._states.pop(shard, None)
        state = self._states.get(shard) or self.learner.begin(self.settings.tasks_per_step)
        streams = self._drawn[shard][1]
        draw = self._draw("train", at, shard, EARLIER)
        with cast(self.settings):
            loss, state = self._window(streams, window, state, draw)
        (loss * share).backward()
        self._states[shard] = {name: leaf.detach().contiguous() for name, leaf in state.items()}
        return loss.detach()

    def held_out(self, at: int) -> Tensor:
        """Live through whole streams of tasks kept apart."""
        streams = self._streams("validation", at, 0)
        draw = self._draw("validation", at, 0, EARLIER)
        state, losses = self.learner.begin(self.settings.tasks_per_step), []
        with torch.no_grad(), cast(self.settings):
            for window in range(self.time.windows):
                loss, state = self._window(streams, window, state, draw)
                losses.append(loss)
        return torch.stack(losses).mean()

    def batches(self) -> int:
        """How many draws a validation is made of."""
        return max(1, min(HELD_OUT, self.settings.validation_tasks // self.settings.tasks_per_step))

    def extra(self) -> Sequence[nn.Parameter]:
        """Nothing."""
        return ()

    def kept(self) -> Mapping[str, Tensor]:
        """Where each shard's learners stand in their streams."""
        return {
            f"{shard}.{name}": leaf
            for shard, state in self._states.items()
            for name, leaf in state.items()
        }

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        self._states = {}
        for key, leaf in kept.items():
            shard, _, name = key.partition(".")
            moved = leaf.to(self.settings.device)
            self._states[int(shard)] = {**self._states.get(int(shard), {}), name: moved}

    def _draw(self, split: Split, at: int, shard: int, what: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, SPLITS.index(split), at, shard, what])

    def _streams(self, split: Split, number: int, shard: int) -> Streams:
        draw = self._draw(split, number, shard, STREAM)
        return recurring(self.world, self.time.stream, split, self.settings.tasks_per_step, draw)

    def _window(
        self, streams: Streams, window: int, state: State, draw: np.random.Generator
    ) -> tuple[Tensor, State]:
        """Loss of a window, and the state after it."""
        first, end = window * self.time.horizon, (window + 1) * self.time.horizon
        x, y = self._tensors(streams.x[:, first:end], streams.y[:, first:end])
        losses = []
        for x_TBF, y_TB in zip(
            x.split(self.time.block, 1), y.split(self.time.block, 1), strict=True
        ):
            said, state = self.learner.predict_then_learn(state, x_TBF, y_TB)
            losses.append(self.learner.objective(said, y_TB))
        loss = torch.cat(losses, 1).mean()
        if self.time.retention:
            loss = loss + self.time.retention * self._retention(streams, end, state, draw)
        return loss, state

    def _retention(
        self, streams: Streams, end: int, state: State, draw: np.random.Generator
    ) -> Tensor:
        """Loss on an earlier task of each stream that has had one, after its cue; else 0."""
        rows, had = earlier(streams.slot[:, :end], self.time.cue + self.time.asked, draw)
        stream = np.arange(len(rows))[:, None]
        x, y = self._tensors(streams.x[stream, rows], streams.y[stream, rows])
        cue, known = self.time.cue, torch.from_numpy(had).to(x.device)
        if cue:
            state = self.learner.learn(state, x[:, :cue], y[:, :cue])
        each = self.learner.objective(self.learner.predict(state, x[:, cue:]), y[:, cue:]).mean(1)
        return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)

    def _tensors(self, *arrays: np.ndarray) -> tuple[Tensor, Tensor]:
        x, y = (torch.from_numpy(np.ascontiguousarray(one)) for one in arrays)
        return x.to(self.settings.device), y.to(self.settings.device)


def _laid_out(leaf: Tensor) -> Tensor:
    """Cut a leaf off from its history, laid out as a checkpoint would give it back.

    Products over another layout round differently.
    """
    return leaf.detach().clone(memory_format=torch.contiguous_format)


def earlier(slot_TL: Ints, rows: int, draw: np.random.Generator) -> tuple[Ints, np.ndarray]:
    """Pick an earlier task of each stream, not the one that is on at its end, and rows of it.

    Returns:
        Places of the rows, T by `rows`, with repeats; and whether there was such a task, T.
    """
    places = np.zeros((len(slot_TL), rows), np.int64)
    had = np.zeros(len(slot_TL), bool)
    for stream, slot in enumerate(slot_TL):
        others = np.unique(slot[slot != slot[-1]])
        if len(others):
            (found,) = np.nonzero(slot == draw.choice(others))
            places[stream], had[stream] = draw.choice(found, rows), True
    return places, had


def through_time(time: TimeSettings) -> Callable[[Meta, TaskWorld, TrainSettings], ThroughTime]:
    """Give the way to train by, as `train` takes it."""
    return lambda learner, world, settings: ThroughTime(learner, world, settings, time)
