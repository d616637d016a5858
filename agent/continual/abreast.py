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
    """Put states together along the tasks; shorter leaves are filled up with zeros.

    Leaves that lie one behind the other in memory already, as `sundered` leaves them, are taken as
    they lie.
    """
    whole = {}
    for name, first in states[0].items():
        leaves = [state[name] for state in states]
        shapes = {leaf.shape[1:] for leaf in leaves}
        if len(shapes) > 1:
            sizes = [max(shape[axis] for shape in shapes) for axis in range(first.ndim - 1)]
            leaves = [filled(leaf, sizes) for leaf in leaves]
        whole[name] = torch.cat(leaves) if (row := _in_a_row(leaves)) is None else row
    return whole


def _in_a_row(leaves: Sequence[Tensor]) -> Tensor | None:
    """Give these leaves as one without a copy, where they are neighbours in one memory."""
    first, tasks = leaves[0], 0
    at, memory = first.data_ptr(), first.untyped_storage().data_ptr()
    if not first.numel():
        return None
    for leaf in leaves:
        there = leaf.data_ptr() == at and leaf.untyped_storage().data_ptr() == memory
        if not there or not leaf.is_contiguous():
            return None
        at += leaf.nbytes
        tasks += len(leaf)
    flat = first.as_strided((tasks * first[0].numel(),), (1,))
    return flat.view(tasks, *first.shape[1:])


def filled(leaf: Tensor, sizes: Sequence[int]) -> Tensor:
    """Make the axes after the first so long, with zeros at their ends."""
    room = [(0, size - had) for size, had in zip(sizes, leaf.shape[1:], strict=True)]
    if not any(more for _, more in room):
        return leaf
    return torch.nn.functional.pad(leaf, [one for pair in reversed(room) for one in pair])


def sundered(state: State, tasks: int) -> list[dict[str, Tensor]]:
    """Give each task's state, T of them: neighbours in memory, so that `joined` need not copy."""
    each: list[dict[str, Tensor]] = [{} for _ in range(tasks)]
    for name, leaf in laid_out(state).items():
        for own, share in zip(each, leaf.split(leaf.shape[0] // tasks), strict=True):
            own[name] = share
    return each


def laid_out(state: State) -> dict[str, Tensor]:
    """Lay leaves out as a checkpoint does: products round by how a matrix lies in memory.

    An axis of one may keep an odd stride, unless the leaf is seen as flat in between.
    """
    flat = {name: leaf.contiguous() for name, leaf in state.items()}
    return {
        name: leaf.view(-1).view(leaf.shape) if 1 in leaf.shape[1:] else leaf
        for name, leaf in flat.items()
    }


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
