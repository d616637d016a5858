"""States and answers side by side along the task axis, and each task's share again.

A leaf may have several places for each task, one after another, as a mixture's hypotheses have.

Shapes: T tasks.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeVar

import torch
from torch import Tensor

from agent.continual.recall import ToldClasses, ToldNumbers
from agent.learners.base import Classes, Numbers, Said, State

SaidT = TypeVar("SaidT", Classes, Numbers)


def joined(states: Sequence[State]) -> dict[str, Tensor]:
    """Put states together along the tasks; shorter leaves are filled up with zeros."""
    whole = {}
    for name, first in states[0].items():
        leaves = [state[name] for state in states]
        shapes = {leaf.shape[1:] for leaf in leaves}
        if len(shapes) > 1:
            sizes = [max(shape[axis] for shape in shapes) for axis in range(first.ndim - 1)]
            leaves = [filled(leaf, sizes) for leaf in leaves]
        whole[name] = torch.cat(leaves)
    return whole


def filled(leaf: Tensor, sizes: Sequence[int]) -> Tensor:
    """Make the axes after the first so long, with zeros at their ends."""
    room = [(0, size - had) for size, had in zip(sizes, leaf.shape[1:], strict=True)]
    if not any(more for _, more in room):
        return leaf
    return torch.nn.functional.pad(leaf, [one for pair in reversed(room) for one in pair])


def sundered(state: State, tasks: int) -> list[dict[str, Tensor]]:
    """Give each task's state, T of them, in memory of its own."""
    each: list[dict[str, Tensor]] = [{} for _ in range(tasks)]
    for name, leaf in state.items():
        for own, share in zip(each, leaf.split(leaf.shape[0] // tasks), strict=True):
            own[name] = share.clone()
    return each


def of_task(state: State, task: int, tasks: int) -> dict[str, Tensor]:
    """Cut one task's state out; what comes is a view."""
    return {name: leaf.split(leaf.shape[0] // tasks)[task] for name, leaf in state.items()}


def together(said: Sequence[Said]) -> Said:
    """Put answers to different tasks together, along the tasks."""
    classes, numbers = ("voice_TBV", "logp_TBVC"), ("voice_TBV", "mean_TBV", "scale_TBV")
    names: Sequence[str] = classes if isinstance(said[0], Classes) else numbers
    leaves = [torch.cat([getattr(one, name) for one in said]) for name in names]
    return Classes(*leaves) if isinstance(said[0], Classes) else Numbers(*leaves)


def apart(said: Said) -> list[Said]:
    """Give what was said to each task, T of them; words to be kept are made once for all."""
    one = [slice(task, task + 1) for task in range(len(said.voice_TBV))]
    if isinstance(said, ToldClasses | ToldNumbers):
        words = cache(said.words)
        if isinstance(said, ToldClasses):
            return [
                ToldClasses(said.voice_TBV[at], said.logp_TBVC[at], partial(_cut, words, at))
                for at in one
            ]
        return [
            ToldNumbers(
                said.voice_TBV[at],
                said.mean_TBV[at],
                said.scale_TBV[at],
                partial(_cut, words, at),
            )
            for at in one
        ]
    if isinstance(said, Classes):
        return [Classes(said.voice_TBV[at], said.logp_TBVC[at]) for at in one]
    return [Numbers(said.voice_TBV[at], said.mean_TBV[at], said.scale_TBV[at]) for at in one]


def _cut(words: Callable[[], Tensor], at: slice) -> Tensor:
    return words()[at]
