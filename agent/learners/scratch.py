"""The same network from a random start, trained on the task's own examples alone by Adam.

What meta-learning must beat: nothing was known before the first example. Adam (Kingma & Ba 2015,
algorithm 1) is in the state, its moments beside the weights. Numbers are standardised by the mean
and deviation of those that came; the scale of an answer is the recent error before each step.

Shapes: T tasks, B examples, F features, O outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.meta import numbers, targets
from agent.learners.registry import register
from agent.nets import all_seen, pad_last, part, prefixed
from agent.nets.inner import like

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # of Adam
RECENT = 0.1  # weight of a block in the error, once ten have come


@dataclass(frozen=True, slots=True)
class ScratchOptions(GradientOptions):
    """As all that learn by gradient; the rate is Adam's."""


class Scratch(Descent):
    """A network that Adam trains from a random start.

    >>> import torch
    >>> learner = Scratch(Spec(features=1, classes=0), ScratchOptions())
    >>> x, y = torch.linspace(-1, 1, 8).view(1, 8, 1), torch.linspace(-90, 90, 8).view(1, 8)
    >>> state = learner.begin(tasks=1)
    >>> for _ in range(100):
    ...     state = learner.learn(state, x, y)
    >>> mean, _ = learner.predict(state, x).moments()
    >>> bool((mean - y).abs().max() < 10)
    True
    """

    second_order = False

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the random start, with Adam's moments at 0."""
        state = dict(super().begin(tasks))
        nothing = {name: torch.zeros_like(leaf) for name, leaf in part("fast", state).items()}
        state |= {**prefixed("first", nothing), **prefixed("second", nothing)}
        zero = self.start["bias"].new_zeros
        if self.spec.regression:
            outputs = self.spec.outputs
            state |= {"mean": zero(tasks, outputs), "square": zero(tasks, outputs)}
            state |= {"error": zero(tasks, outputs) + 1, "blocks": zero(tasks, 1)}
        return {**state, "steps": zero(tasks, 1)}

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of Adam."""
        steps = state["steps"] + 1
        mean, square = (1 / (1 - decay ** steps.squeeze(1)) for decay in (FIRST, SECOND))
        after = {"steps": steps}
        for name, grad in grads.items():
            first = torch.lerp(state[f"first.{name}"], grad, 1 - FIRST)
            second = torch.lerp(state[f"second.{name}"], grad**2, 1 - SECOND)
            size = (second * like(square, grad)).sqrt() + TINY
            step = self.options.rate * like(mean, grad) * first / size
            after |= {f"first.{name}": first, f"second.{name}": second}
            after[f"fast.{name}"] = state[f"fast.{name}"] - step
        return after

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take `steps` steps; numbers are standardised first."""
        if not self.spec.regression:
            return super().learn(state, x_TBF, y_TB, seen_TB)
        y_TBO = targets(self.spec, y_TB, 0)
        seen_TB = all_seen(y_TBO[..., 0], seen_TB)
        after = {**state, **_moments(state, y_TBO, seen_TB)}
        standard = (y_TBO - after["mean"].unsqueeze(1)) / _deviation(after).unsqueeze(1)
        after |= self._error(after, x_TBF, standard, seen_TB)
        return super().learn(after, x_TBF, standard.view_as(y_TB), seen_TB)

    def _error(
        self, state: State, x_TBF: Tensor, standard_TBO: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Mean squared error of the blocks before their steps: plain at first, then fading."""
        off = self.outputs(part("fast", state), x_TBF) - standard_TBO
        mean = torch.where(seen_TB.unsqueeze(2), off**2, 0.0).sum(1)
        mean = mean / seen_TB.sum(1, keepdim=True).clamp(min=1)
        blocks = state["blocks"] + seen_TB.any(1, keepdim=True)
        moved = torch.lerp(state["error"], mean, (1 / blocks.clamp(min=1)).clamp(min=RECENT))
        return {
            "blocks": blocks,
            "error": torch.where(seen_TB.any(1, keepdim=True), moved, state["error"]),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the network, numbers in their own unit."""
        if not self.spec.regression:
            return super().predict(state, x_TBF)
        out, deviation = self.outputs(part("fast", state), x_TBF), _deviation(state).unsqueeze(1)
        scale = deviation * (state["error"].unsqueeze(1) + 1e-6).sqrt()
        mean = state["mean"].unsqueeze(1) + deviation * out
        return numbers(self.spec, mean, scale.expand_as(mean))

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class has no moments."""
        after = dict(super().widen(state, classes))
        for leaf in ("head", "bias"):
            for name in (f"first.{leaf}", f"second.{leaf}"):
                after[name] = pad_last(state[name], classes)
        return after


def _moments(state: State, y_TBO: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
    """Mean and mean square deviation of all numbers, merged (Chan et al. 1979)."""
    seen = seen_TB.unsqueeze(2)
    come = seen_TB.sum(1, keepdim=True)
    weight = come / (state["count"] + come).clamp(min=1)
    kept = torch.where(seen, y_TBO, 0.0)
    mean = kept.sum(1) / come.clamp(min=1)
    within = torch.where(seen, (y_TBO - mean.unsqueeze(1)) ** 2, 0.0).sum(1) / come.clamp(min=1)
    away = torch.where(come > 0, mean - state["mean"], 0.0)
    square = state["square"] + weight * (within - state["square"] + (1 - weight) * away**2)
    return {"mean": state["mean"] + weight * away, "square": square}


def _deviation(state: State) -> Tensor:
    """Standard deviation so far, 1 where there is none, shape TO."""
    return torch.where(state["square"] > 0, state["square"], 1.0).sqrt()


@register(
    "scratch", ScratchOptions, family="baseline",
    paper="the same network from a random start; Kingma & Ba 2015, Adam",
)  # fmt: skip
def _scratch(spec: Spec, options: ScratchOptions) -> Learner:
    return Scratch(spec, options)
