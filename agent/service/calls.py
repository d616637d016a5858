"""Calls of a learner on the blocks of single streams, and many streams' calls made as one.

A stream's call has one task. Calls of the same kind whose states have the same shapes are made
together, their states side by side along the task axis; each stream's share of what comes of it is
its own, as if the call had been made alone.

Shapes: T tasks, B lanes, F columns, W words behind what was said of a late row.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from agent.continual.abreast import apart, joined, laid_out, sundered
from agent.continual.recall import Recalls
from agent.learners.base import Learner, Said, State

Came: TypeAlias = tuple[Said, State]
"""What was said, and the state after, laid out; the state before where nothing was learned."""


@dataclass(frozen=True, slots=True)
class Call:
    """A block to be answered, or answered and learned.

    Args:
        learner: asked.
        teach: whether it learns the block too.
        state: where it stands.
        lanes: rows (TBF), labels (TB), which of them may be learned (TB).
        then_TBW: the words of then of late rows; None where no row has any.
    """

    learner: Learner
    teach: bool
    state: State
    lanes: tuple[Tensor, Tensor, Tensor]
    then_TBW: Tensor | None = None

    def kind(self) -> Hashable:
        """What two calls must have in common to be made together.

        The order of leaves and their shapes, the rows' shape, and which of the ways through a
        learner they go: a block without any label, or without any late row, goes by a shorter one.
        """
        x_TBF, _, seen_TB = self.lanes
        way = self.teach, self.then_TBW is None, bool(seen_TB.any()), bool(x_TBF[..., -1].any())
        return (
            way,
            x_TBF.shape,
            tuple(self.state),
            tuple(leaf.shape for leaf in self.state.values()),
        )


def alone(call: Call) -> Came:
    """Make one call."""
    with torch.inference_mode(), no_denormals():
        return _alone(call)


def abreast(calls: Sequence[Call]) -> list[Came]:
    """Make calls of learners that were made alike, those of a kind as one; in their order."""
    kinds: dict[Hashable, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        kinds[call.kind()].append(place)
    came: dict[int, Came] = {}
    with torch.inference_mode(), no_denormals():
        for places in kinds.values():
            several = [calls[place] for place in places]
            came.update(zip(places, _made(several), strict=True))
    return [came[place] for place in range(len(calls))]


def _made(calls: Sequence[Call]) -> list[Came]:
    first, tasks = calls[0], len(calls)
    if tasks == 1:
        return [_alone(first)]
    x, y, seen = (torch.cat(leaves) for leaves in zip(*(call.lanes for call in calls), strict=True))
    then = [call.then_TBW for call in calls if call.then_TBW is not None]
    state = joined([call.state for call in calls])
    whole = Call(first.learner, first.teach, state, (x, y, seen), torch.cat(then) if then else None)
    said, after = _make(whole)
    if not first.teach:
        # side by side from now on: the next call of the same streams need not put them together
        return list(zip(apart(said), sundered(state, tasks), strict=True))
    return list(zip(apart(said), sundered(after, tasks), strict=True))


def _alone(call: Call) -> Came:
    said, after = _make(call)
    return said, laid_out(after) if call.teach else after


def _make(call: Call) -> Came:
    """Ask the learner; words of then go to one that judges by them."""
    learner = call.learner
    if call.then_TBW is not None and isinstance(learner, Recalls):
        if call.teach:
            return learner.predict_then_learn(call.state, *call.lanes, call.then_TBW)
        return learner.foresee(call.state, *call.lanes, call.then_TBW), call.state
    if call.teach:
        return learner.predict_then_learn(call.state, *call.lanes)
    return learner.foresee(call.state, *call.lanes), call.state


@contextmanager
def no_denormals() -> Iterator[None]:
    """Flush denormal floats to zero meanwhile: attention's far tails are full of them, and slow."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
