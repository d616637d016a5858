"""What learners there are: family, source, what they predict, how large their state is."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

import agent.continual.default
import agent.continual.mixture  # noqa: F401 - both register what stands outside `agent.learners`
from agent.learners.base import Learner, Spec, State
from agent.learners.registry import Entry, Goal, every_learner

ROWS = 8  # learned before a state is measured: some grow with what they hold


@dataclass(frozen=True, slots=True)
class Item:
    """A learner as a person compares it.

    Args:
        name: by which `adaptd train` knows it.
        family: of meta-learning.
        goals: what it can predict.
        outer: how its meta-parameters are found.
        parameters: how many numbers meta-training moves.
        state_bytes: of one task's state.
        paper: its source.
    """

    name: str
    family: str
    goals: tuple[Goal, ...]
    outer: str
    parameters: int
    state_bytes: int
    paper: str


def spec_for(entry: Entry, features: int, classes: int) -> Spec:
    """The first goal of a learner, at these sizes."""
    if "classes" in entry.goals:
        return Spec(features, classes)
    return Spec(features, 0, 1 if "number" in entry.goals else 2)


def catalogue(features: int, classes: int) -> Iterator[Item]:
    """Every learner, family by family, made for so many features and classes."""
    for entry in sorted(every_learner().values(), key=lambda one: (one.family.lower(), one.name)):
        spec = spec_for(entry, features, classes)
        learner = entry(spec)
        yield Item(
            entry.name,
            entry.family,
            entry.goals,
            entry.outer,
            parameters(learner),
            size(taught(learner, spec)),
            entry.paper,
        )


def parameters(learner: Learner) -> int:
    """How many numbers meta-training moves."""
    if not isinstance(learner, torch.nn.Module):
        return 0
    return sum(one.numel() for one in learner.parameters())


def taught(learner: Learner, spec: Spec) -> State:
    """A state after a few examples."""
    x = torch.linspace(-1, 1, ROWS * spec.features).view(1, ROWS, spec.features)
    shape = (1, ROWS) if spec.outputs == 1 else (1, ROWS, spec.outputs)
    y = torch.zeros(shape) if spec.regression else torch.arange(ROWS).view(shape) % spec.classes
    with torch.no_grad():
        return learner.learn(learner.begin(1), x, y)


def size(state: State) -> int:
    """Bytes of a state of one task."""
    return sum(leaf.numel() * leaf.element_size() for leaf in state.values())
