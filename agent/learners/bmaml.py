"""Bayesian MAML (Yoon, Kim, Dia, Kim, Bengio & Ahn 2018): particles that learn and keep apart.

Each of P particles w_p starts at a learned start of its own and moves by Stein variational gradient
descent (Liu & Wang 2016, equation 8):

    w_p <- w_p - a sum_q [k(w_q, w_p) grad L(w_q) - t / n grad_q k(w_q, w_p)]
    k(w, v) = exp(-|w - v|^2 / h),   h = squared median distance / log P

The first term carries each particle along its neighbours' gradients, the second pushes particles
apart; t is `repulsion`, n the examples (the loss is their mean). The paper's 1 / P is part of the
rate, so that one particle is MAML. The answer is a mixture with one voice a particle.

Trained on the squared error (or log score) of the queries through the inner steps, and a learned
scale; the paper's chaser loss needs a second, longer inner loop on the queries.

Shapes: T tasks, P particles, B examples, F features, O outputs, N weights of a particle.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Classes, Learner, Numbers, Said, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.meta import UNSEEN, log_score
from agent.learners.registry import register
from agent.nets import normal_log_density, pad_last, part, prefixed
from agent.nets.body import seeded
from agent.nets.inner import clipped, inner_gradient
from agent.nets.sets import bounded


@dataclass(frozen=True, slots=True)
class BayesianMamlOptions(GradientOptions):
    """A network, its inner loop and its particles.

    Args:
        particles: P.
        repulsion: t, how hard particles push each other away.
    """

    particles: int = 5
    repulsion: float = 1.0

    @override
    def __post_init__(self) -> None:
        GradientOptions.__post_init__(self)
        if self.particles < 1 or self.repulsion < 0:
            raise ValueError("particles must be 1 or more, repulsion 0 or more")


class BayesianMaml(Descent):
    """P sets of fast weights a task, side by side.

    >>> learner = BayesianMaml(Spec(features=1, classes=0), BayesianMamlOptions(particles=3))
    >>> x = torch.linspace(-1, 1, 8).view(1, 8, 1)
    >>> state = learner.learn(learner.begin(tasks=1), x, x[..., 0])
    >>> state["fast.w0"].shape, learner.voices
    (torch.Size([1, 3, 1, 40]), ('particle 1', 'particle 2', 'particle 3'))
    """

    def __init__(self, spec: Spec, options: BayesianMamlOptions) -> None:
        super().__init__(spec, options)
        self.particles, self.repulsion = options.particles, options.repulsion
        self.voices = tuple(f"particle {at + 1}" for at in range(options.particles))
        with seeded(options.seed + 1):  # the first particle is MAML's start
            others = [self.net.draw() for _ in range(options.particles - 1)]
            for parts in others:
                parts["head"] = torch.randn_like(self.start["head"]) * self.net.size**-0.5
                parts["bias"] = torch.zeros_like(self.start["bias"])
        self.start = nn.ParameterDict(
            {
                name: nn.Parameter(torch.stack([leaf.detach(), *(one[name] for one in others)]))
                for name, leaf in self.start.items()
            }
        )

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by each particle."""
        fast = {name: leaf.flatten(0, 1) for name, leaf in part("fast", state).items()}
        out = self.outputs(fast, self.beside(x_TBF))
        out_TBPO = out.unflatten(0, (-1, self.particles)).transpose(1, 2)
        voice = torch.full_like(out_TBPO[..., 0], -math.log(self.particles))
        if not self.spec.regression:
            logits = out_TBPO + state["known"][:, None, None]
            return Classes(voice, torch.log_softmax(logits, 3))
        scale = self.scale(state)[:, None, None].expand_as(out_TBPO)
        if self.spec.outputs == 1:
            return Numbers(voice, out_TBPO.squeeze(3), scale.squeeze(3))
        return Numbers(voice, out_TBPO, scale)

    @override
    def gradient(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Stein direction of each particle, from their clipped gradients."""
        fast = part("fast", state)
        flat = {name: leaf.flatten(0, 1) for name, leaf in fast.items()}
        known = state.get("known", state["count"])
        inputs = (self.beside(one) for one in (x_TBF, y_TB, seen_TB, known))
        grads = inner_gradient(self.loss, flat, *inputs, second_order=self.second_order)
        grads = clipped(grads, self.options.clip)
        apart = {name: grad.view_as(fast[name]) for name, grad in grads.items()}
        return stein(fast, apart, self.repulsion / seen_TB.sum(1).clamp(min=1))

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Move against the Stein direction."""
        rate = self.options.rate
        return {f"fast.{name}": state[f"fast.{name}"] - rate * grad for name, grad in grads.items()}

    @override
    def outputs(self, fast: Mapping[str, Tensor], x_TBF: Tensor) -> Tensor:
        """Logits or means of each particle; inputs are bounded."""
        return super().outputs(fast, bounded(x_TBF))

    def beside(self, leaf: Tensor) -> Tensor:
        """The same rows for each of a task's particles, particle after particle."""
        return leaf.repeat_interleave(self.particles, 0)

    @override
    def objective(self, said: Said, y_TB: Tensor) -> Tensor:
        """Mean over the particles of their errors, and the mixture's score for its scale."""
        if isinstance(said, Classes):
            return -log_score(said, y_TB)
        y_TBV = y_TB.unsqueeze(2)
        each = (said.mean_TBV - y_TBV) ** 2
        each = each - normal_log_density(y_TBV, said.mean_TBV.detach(), said.scale_TBV)
        return each.mean(2) if self.spec.outputs == 1 else each.mean((2, 3))

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the learned particles once a task."""
        fast = {name: leaf.expand(tasks, *leaf.shape) for name, leaf in self.start.items()}
        if not self.spec.regression:
            for name in ("head", "bias"):
                fast[name] = fast[name].expand(-1, -1, -1, self.spec.classes)
        return {**self.fresh(tasks), **prefixed("fast", fast)}

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class gets the start that the others had, in each particle."""
        after = {**state, "known": pad_last(state["known"], classes, UNSEEN)}
        room = classes - state["known"].shape[1]
        for name in ("head", "bias"):
            leaf = state[f"fast.{name}"]
            new = self.start[name].detach().expand(leaf.shape[0], -1, -1, room)
            after[f"fast.{name}"] = torch.cat([leaf, new], 3)
        return after


def stein(
    particles: Mapping[str, Tensor], grads: Mapping[str, Tensor], repulsion_T: Tensor
) -> dict[str, Tensor]:
    """Direction (of the loss, to be stepped against) for each particle; parts have axes TP...."""
    flat_TPN = torch.cat([leaf.flatten(2) for leaf in particles.values()], 2)
    grad_TPN = torch.cat([grads[name].flatten(2) for name in particles], 2)
    count = flat_TPN.shape[1]
    square = ((flat_TPN.unsqueeze(2) - flat_TPN.unsqueeze(1)) ** 2).sum(3)
    if count > 1:
        apart = ~torch.eye(count, dtype=torch.bool, device=square.device)
        width = square.detach()[:, apart].median(1).values.clamp(min=1e-12) / math.log(count)
        weight = torch.exp(-square / width[:, None, None])
        pull = 2 * weight / width[:, None, None]
        # grad_q k(w_q, w_p) = 2 k (w_p - w_q) / h, summed over q
        away = pull.sum(2, keepdim=True) * flat_TPN - pull @ flat_TPN
        grad_TPN = weight @ grad_TPN - repulsion_T[:, None, None] * away
    sizes = [leaf.flatten(2).shape[2] for leaf in particles.values()]
    pieces = grad_TPN.split(sizes, 2)
    return {
        name: piece.view_as(leaf)
        for (name, leaf), piece in zip(particles.items(), pieces, strict=True)
    }


@register(
    "bayesian-maml", BayesianMamlOptions, family="Bayesian", outer="episodes",
    paper="Yoon et al. 2018, Bayesian Model-Agnostic Meta-Learning",
)  # fmt: skip
def _bayesian_maml(spec: Spec, options: BayesianMamlOptions) -> Learner:
    return BayesianMaml(spec, options)
