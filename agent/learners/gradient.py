"""What learners by gradient share: a network of fast weights under a head, and one step of it.

The state holds the network's parts as leaves `fast.NAME`, one set a task. For classes the head's
columns all start alike (see `meta`), so they tell classes apart after the first step.

Shapes: T tasks, B examples, F features, E embedding, O outputs (classes or numbers).
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Said, Spec, State
from agent.learners.meta import Pointwise, targets
from agent.nets import all_seen, part, prefixed
from agent.nets.body import BodySettings, seeded
from agent.nets.fast import FastMlp, fast_net
from agent.nets.fast_gradient import mlp_gradient
from agent.nets.inner import (
    clipped,
    cross_entropy,
    entropy_slope,
    error_slope,
    inner_gradient,
    sound,
    squared_error,
)


@dataclass(frozen=True, slots=True)
class GradientOptions:
    """A network and its inner loop.

    Args:
        body: the network under the head.
        rate: inner step size, where it is not learned (or its start).
        steps: inner steps a call of `learn`.
        clip: largest norm of a task's inner gradient.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    rate: float = 0.01
    steps: int = 1
    clip: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.clip <= 0 or self.steps < 1:
            raise ValueError("rate and clip must be above 0, steps 1 or more")


class Gradient(Pointwise, Blockwise):
    """A learner whose `learn` takes steps by gradient; a family says what a step is.

    Args:
        spec: what is asked for.
        options: network and inner loop.
    """

    rehearses = True
    second_order = True

    def __init__(self, spec: Spec, options: GradientOptions) -> None:
        super().__init__(spec)
        self.options = options
        self.net = fast_net(spec.features, options.body)
        with seeded(options.seed):
            parts = self.net.draw()
            columns = spec.outputs if spec.regression else 1
            head = torch.randn(self.net.size, columns) * (2 / self.net.size) ** 0.5
            parts |= {"head": head, "bias": torch.zeros(1, columns)}
        self.start = nn.ParameterDict({name: nn.Parameter(leaf) for name, leaf in parts.items()})

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the learned start once a task."""
        fast = {
            name: leaf.unsqueeze(0).expand(tasks, *leaf.shape) for name, leaf in self.start.items()
        }
        if not self.spec.regression:
            for name in ("head", "bias"):
                fast[name] = fast[name].expand(tasks, -1, self.spec.classes)
        return {**self.fresh(tasks), **prefixed("fast", fast)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the fast weights."""
        return self.answer(state, self.outputs(part("fast", state), x_TBF))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take `steps` steps on the mean loss of these examples."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        after = {**state, **self.noted(state, y_TB, seen_TB)}
        for _ in range(self.options.steps):
            after |= self.step(after, x_TBF, y_TB, seen_TB)
        return after

    @abstractmethod
    def step(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
        """One inner step: the leaves it changes. A task with nothing seen keeps its own."""

    def gradient(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Clipped gradient of each task's loss by its fast weights."""
        known = state.get("known", state["count"])
        fast = part("fast", state)
        inputs = (x_TBF, y_TB, seen_TB, known)
        if isinstance(self.net, FastMlp) and self.net.written_out:
            with torch.set_grad_enabled(self.second_order and torch.is_grad_enabled()):
                grads = self.written_out(self.net, fast, *inputs)
        else:
            grads = inner_gradient(self.loss, fast, *inputs, second_order=self.second_order)
        return clipped(grads, self.options.clip)

    def written_out(
        self,
        net: FastMlp,
        fast: Mapping[str, Tensor],
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
        known_TC: Tensor,
    ) -> dict[str, Tensor]:
        """Gradient of `loss`, by hand; it can be differentiated once."""
        regression = self.spec.regression
        y = targets(self.spec, y_TB, 0) if regression else y_TB
        known = None if regression else known_TC
        names = (*net.parts, "head", "bias")
        return mlp_gradient(fast, names, x_TBF, y, seen_TB, known, tanh=net.tanh)

    def top(
        self,
        fast: Mapping[str, Tensor],
        h_TBE: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
        known_TC: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Gradient of the loss by the head's parts, and by what the head gives."""
        out = torch.baddbmm(fast["bias"], h_TBE, fast["head"])
        if self.spec.regression:
            slope = error_slope(out, targets(self.spec, y_TB, 0), seen_TB)
        else:
            slope = entropy_slope(out + known_TC.unsqueeze(1), y_TB, seen_TB)
        return {"head": torch.bmm(h_TBE.mT, slope), "bias": slope.sum(1, keepdim=True)}, slope

    def loss(
        self,
        fast: Mapping[str, Tensor],
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
        known_TC: Tensor,
    ) -> Tensor:
        """Loss of each task on these examples, shape T: cross entropy, or squared error."""
        out = self.outputs(fast, x_TBF)
        if not self.spec.regression:
            return cross_entropy(out + known_TC.unsqueeze(1), y_TB, seen_TB)
        return squared_error(out, targets(self.spec, y_TB, 0), seen_TB)

    def outputs(self, fast: Mapping[str, Tensor], x_TBF: Tensor) -> Tensor:
        """Logits or means, shape TBO."""
        return torch.baddbmm(fast["bias"], self.net(fast, x_TBF), fast["head"])

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class gets the start that the others had."""
        room = classes - state["known"].shape[1]
        after = dict(super().widen(state, classes))
        for name in ("head", "bias"):
            leaf = state[f"fast.{name}"]
            new = self.start[name].detach().expand(leaf.shape[0], -1, room)
            after[f"fast.{name}"] = torch.cat([leaf, new], 2)
        return after


class Descent(Gradient):
    """A learner by gradient whose step is a rule over the gradients alone: `update`."""

    @abstractmethod
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the leaves that one step along these gradients of `fast` changes, as they are then.

        A family's rule. Leaves are named as in the state; each is zero-safe: no gradient is huge
        or not finite.
        """

    @override
    def step(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
        """One step of the rule, where something was seen and what it gives is finite."""
        grads = self.gradient(state, x_TBF, y_TB, seen_TB)
        return sound(self.update(state, grads), state, seen_TB.any(1))
