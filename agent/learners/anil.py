"""Almost no inner loop (Raghu et al. 2020): only the head is moved inside; the body is shared.

    w' = w - a grad L(w; f(support))       w the head alone; f the body, moved by the outer loop

A head whose step was good once can be unstable ten times over. The curvature of a linear head's
squared error is 2 M / O, M = mean of h h' over the support (h: features and a one for the bias); of
its cross entropy, M / 2 at most. No eigenvalue of M exceeds its Frobenius norm |M|; so a step of
`rate`, capped at O / 2|M| (numbers) or 2 / |M| (classes), never goes up, however many there are.
The outer gradient sees the cap. The paper has none.

Shapes: T tasks, B examples, E embedding, O outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State
from agent.learners.gradient import Gradient, GradientOptions
from agent.learners.registry import register
from agent.nets import part
from agent.nets.inner import clipped, sound

HEAD = ("head", "bias")


@dataclass(frozen=True, slots=True)
class AnilOptions(GradientOptions):
    """As `GradientOptions`; a head alone bears longer steps.

    Args:
        rate: inner step size, before the cap.
    """

    rate: float = 0.1


class Anil(Gradient):
    """A head of fast weights on a body that no task moves.

    >>> from agent.learners.base import Spec
    >>> learner = Anil(Spec(features=1, classes=0), AnilOptions())
    >>> sorted(name for name in learner.begin(tasks=1) if name.startswith("fast."))
    ['fast.bias', 'fast.head']
    """

    @override
    def begin(self, tasks: int) -> State:
        """The head's start, once a task; of the body there is one for all."""
        body = {f"fast.{name}" for name in self.start if name not in HEAD}
        return {name: leaf for name, leaf in super().begin(tasks).items() if name not in body}

    def embed(self, x_TBF: Tensor) -> Tensor:
        """Features by the shared body, shape TBE."""
        body = {
            name: leaf.expand(x_TBF.shape[0], *leaf.shape)
            for name, leaf in self.start.items()
            if name not in HEAD
        }
        return self.net(body, x_TBF)

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the task's head."""
        return self.answer(state, self.outputs(part("fast", state), self.embed(x_TBF)))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Embed once, then take `steps` steps of the head."""
        return super().learn(state, self.embed(x_TBF), y_TB, seen_TB)

    @override
    def outputs(self, fast: Mapping[str, Tensor], x_TBF: Tensor) -> Tensor:
        """Logits or means from features, shape TBO."""
        return torch.baddbmm(fast["bias"], x_TBF, fast["head"])

    @override
    def step(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
        """One step of the head on features, no longer than the cap."""
        fast = part("fast", state)
        grads, _ = self.top(fast, x_TBF, y_TB, seen_TB, state.get("known", state["count"]))
        grads = clipped(grads, self.options.clip)
        bound = self.spec.outputs / 2 if self.spec.regression else 2.0
        rate = (bound / curvature(x_TBF, seen_TB)).clamp(max=self.options.rate).view(-1, 1, 1)
        moved = {f"fast.{name}": fast[name] - rate * grads[name] for name in HEAD}
        return sound(moved, state, seen_TB.any(1))


def curvature(h_TBE: Tensor, seen_TB: Tensor) -> Tensor:
    """Frobenius norm of the seen rows' mean of (h, 1)(h, 1)', by their inner products; shape T."""
    rows = torch.where(seen_TB.unsqueeze(2), h_TBE, 0.0)
    inner = rows @ rows.mT + (seen_TB.unsqueeze(1) & seen_TB.unsqueeze(2))
    many = seen_TB.sum(1).clamp(min=1)
    return inner.square().sum((1, 2)).clamp(min=1e-12).sqrt() / many


@register(
    "anil", AnilOptions, family="optimization", outer="episodes",
    paper="Raghu, Raghu, Bengio & Vinyals 2020, Rapid Learning or Feature Reuse? (ANIL)",
)  # fmt: skip
def _anil(spec: Spec, options: AnilOptions) -> Learner:
    return Anil(spec, options)
