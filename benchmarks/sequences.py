"""Meta-training over long sequences of classes, and what is asked of a learner on one.

Shapes: B and Q rows, F features.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agent.learners.base import Classes, State
from agent.learners.meta import Meta
from agent.training.episodes import Batch
from agent.training.joint import embedded
from streams.worlds.labelled import ClassSet
from streams.worlds.tasks import by_class

SHOTS, QUERIES = 15, 5  # rows of a class to learn from, and to be judged on
REMEMBERED = 40  # rows of classes before the new ones, in the loss of meta-training
SLOTS = 4096  # columns of the head of plain training, more than there are classes

Say = Callable[[Tensor, int], Tensor]
"""Rows BF, and how many classes there are so far, to labels B."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a learner is meta-trained and tried.

    Args:
        name: of the learner in the registry.
        options: of the learner.
        pre: CPU-seconds of plain training.
        meta: CPU-seconds of meta-training.
        outer: step size of meta-training.
        step: classes between two outer steps.
        length: classes of a sequence in meta-training.
        rates: step sizes tried in the sequence; none leave it as it is.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    pre: float = 0.0
    meta: float = 0.0
    outer: float = 1e-3
    step: int = 3
    length: int = 90
    rates: tuple[float, ...] = ()


def drawn(world: ClassSet, split: str, seed: int) -> Batch:
    """Draw a sequence of as many classes as the world has ways."""
    draw = np.random.default_rng(seed)
    return Batch.of(by_class(world.episode(split, 1, SHOTS, QUERIES, draw)))  # type: ignore[arg-type]  # a split by its name


def passed(learner: Meta, state: State, whole: Batch, first: int, last: int) -> State:
    """Learn the classes from first up to last, one class a call."""
    for label in range(first, last):
        at = slice(label * SHOTS, (label + 1) * SHOTS)
        state = learner.learn(state, whole.support_x[:, at], whole.support_y[:, at])
    return state


def accuracies(
    learn: Callable[[Batch, int, int], Say], whole: Batch, at: tuple[int, ...]
) -> list[float]:
    """Accuracy over all classes so far, in per cent, at these counts of them."""
    found, done = [], 0
    for classes in at:
        say = learn(whole, done, classes)
        so_far = whole.query_y[0] < classes
        right = say(whole.query_x[0, so_far], classes).eq(whole.query_y[0, so_far])
        found.append(100 * right.float().mean().item())
        done = classes
    return found


class Streamed:
    """A learner of ours that goes through a sequence."""

    def __init__(self, learner: Meta, classes: int) -> None:
        self.learner = learner.eval()
        self.state = learner.widen(learner.begin(1), classes)

    def __call__(self, whole: Batch, first: int, last: int) -> Say:
        """Learn some classes."""
        with torch.inference_mode():
            self.state = passed(self.learner, self.state, whole, first, last)
        return self.say

    def say(self, x_BF: Tensor, classes: int) -> Tensor:
        """Give the likeliest class."""
        with torch.inference_mode():
            said = self.learner.predict(self.state, x_BF.unsqueeze(0))
        if not isinstance(said, Classes):
            raise TypeError("classes are asked for")
        return said.marginal()[0, :, :classes].argmax(1)


def pre_train(learner: Meta, world: ClassSet, seconds: float, seed: int) -> int:
    """Train a learner's representation to tell all classes apart at once; give the steps taken."""
    began, steps = time.process_time(), 0
    represent = getattr(learner, "represent", partial(embedded, learner))
    size = represent(torch.zeros(1, 1, world.features)).shape[2]
    head = nn.Linear(size, SLOTS)
    nn.init.zeros_(head.weight)
    adam = torch.optim.Adam([*learner.parameters(), *head.parameters()], 2e-3)
    draw = np.random.default_rng(seed)
    while time.process_time() - began < seconds:
        episode = world.episode("train", 1, 2, 0, draw)
        y = torch.from_numpy(episode.support_y)
        ids = torch.from_numpy(episode.tasks).gather(1, y)[0]
        out = head(represent(torch.from_numpy(episode.support_x))[0])
        _descend(adam, nn.functional.cross_entropy(out, ids))
        steps += 1
    return steps


def meta_train(learner: Meta, plan: Plan, world: ClassSet, seed: int) -> int:
    """Meta-train a learner over sequences, truncated; give the outer steps taken."""
    adam = torch.optim.Adam(learner.parameters(), plan.outer)
    draw, numbers = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    began, steps = time.process_time(), 0
    while True:
        whole = Batch.of(by_class(world.episode("train", 1, SHOTS, QUERIES, numbers)))
        state = learner.begin(1)
        for first in range(0, plan.length, plan.step):
            if time.process_time() - began > plan.meta:
                return steps
            state = passed(learner, state, whole, first, first + plan.step)
            asked = _asked(whole.query_y[0], first, first + plan.step, draw)
            said = learner.predict(state, whole.query_x[:, asked])
            _descend(adam, learner.objective(said, whole.query_y[:, asked]).mean())
            state = {name: leaf.detach() for name, leaf in state.items()}
            steps += 1


def _descend(adam: torch.optim.Adam, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()
    weights = [weight for group in adam.param_groups for weight in group["params"]]
    nn.utils.clip_grad_norm_(weights, 10.0)
    adam.step()


def _asked(y_Q: Tensor, first: int, last: int, draw: torch.Generator) -> Tensor:
    """Rows of the new classes, and some of those before."""
    before = (y_Q < first).nonzero()[:, 0]
    some = torch.randperm(len(before), generator=draw)[:REMEMBERED]
    return torch.cat([((y_Q >= first) & (y_Q < last)).nonzero()[:, 0], before[some]])
