"""What the states of several streams have in common, as the place from which another may begin.

A Reptile step (Nichol, Achiam & Schulman 2018) over what goes on being meta-learned on each stream:

    start ← start + rate (mean of the streams' parameters - start)

Only parameters meet: the mixer's, attention's scales, bandwidths and recencies, calibrations; and
the network's weights, where outputs mean the same everywhere. Memories, counts, posteriors and the
moments of steps are each stream's own: of those a new stream has none.

Shapes: T tasks, one in each state here.
"""

from collections.abc import Sequence

import torch

from agent.learners.base import State

COMMON = ("mixer", "stack.attention.fast", "cells.trust", "ridge.theta", "bayes.theta")
"""Parameters that do not know one class from another."""

ORDERED = ("stack.network.fast",)
"""Parameters with a place for each class: common where classes come in the same order, and of
numbers."""


def meet(
    states: Sequence[State], toward: State, rate: float = 1.0, *, ordered: bool = False
) -> dict[str, torch.Tensor]:
    """Give the state from which a new stream may begin.

    Args:
        states: of streams that learned for a while, from learners made alike. What is not finite
            in one of them, or made for another number of classes, is left out.
        toward: the start that is moved; what is not common stays as it is there.
        rate: how far: 0 leaves the start as it is, 1 takes the mean.
        ordered: whether a class has the same place in all states, as those that a schema names
            have; also for numbers.

    Raises:
        ValueError: the rate is not from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}; give 0 to 1")
    met = dict(toward)
    for name in (*COMMON, *(ORDERED if ordered else ())):
        if name not in toward:
            continue
        start = toward[name]
        told = [state[name].to(start.device) for state in states if name in state]
        told = [one for one in told if one.shape == start.shape and bool(one.isfinite().all())]
        if told:
            met[name] = torch.lerp(start, torch.cat(told).mean(0, keepdim=True), rate)
    return met
