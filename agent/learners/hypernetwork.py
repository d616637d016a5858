"""Hypernetwork: one network says the weights of another (Ha, Dai & Le 2017), from a task's set.

    r = mean of h(x_i, y_i),   w = w0 + H(r),   answer = net(x; w)

`w` is every weight of a small target network. For classes the last layer is made class by class,
from the class's mean and code (after HyperTransformer: Zhmoginov, Sandler & Vladymyrov 2022), and r
reads no labels; it starts as the nearest mean.

H's last layer starts small, so the first answers are the shared network's (a start of weights of
usual size, as Chang, Flokas & Lipson 2020 ask for).

Numbers are said in the unit of the task's (`nets.unit`).

State: running means of codes and, for classes, of embeddings. A call of `learn` first moves r by
all its rows, then embeds them under it; in a stream earlier rows stay as they were embedded.

Shapes: T tasks, B examples, F features, E embedding, R code, C classes, O outputs, P parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Pointwise, numbers, targets
from agent.learners.registry import register
from agent.nets import Layout, all_seen
from agent.nets.body import BodySettings, Mlp, seeded
from agent.nets.fast import FastMlp
from agent.nets.heads import ClassHead
from agent.nets.sets import Readout, bounded, pairs, running_mean
from agent.nets.unit import unit, unit_begin, unit_learn

VAGUE = 1.0  # log of the scale before the first example
SMALL = 0.1  # of the usual size: the first weights of H's last layer


@dataclass(frozen=True, slots=True)
class HypernetworkOptions:
    """The target network and what makes its weights.

    Args:
        target: the network whose weights are made; an mlp.
        encoder: widths of h; the last is R.
        hidden: widths of H.
        seed: of the first weights.
    """

    target: BodySettings = field(default_factory=lambda: BodySettings(hidden=(24, 24)))
    encoder: tuple[int, ...] = (64, 64)
    hidden: tuple[int, ...] = (64,)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.encoder or not self.hidden:
            raise ValueError("encoder and hidden need a layer at least")
        if self.target.kind != "mlp":
            raise ValueError("the target is an mlp: a convolution has too many weights to say")


class Hypernetwork(Pointwise, Blockwise):
    """The set's code is in the state; the target's weights are made of it in every call.

    >>> learner = Hypernetwork(Spec(features=1, classes=0), HypernetworkOptions())
    >>> one = learner.begin(tasks=1)
    >>> two = learner.learn(one, torch.ones(1, 3, 1), torch.ones(1, 3))
    >>> torch.equal(learner.weights(one)["w0"], learner.weights(two)["w0"])
    False
    """

    def __init__(self, spec: Spec, options: HypernetworkOptions) -> None:
        super().__init__(spec)
        self.net, width = FastMlp(spec.features, options.target), options.encoder[-1]
        reads = spec.features + (2 * spec.outputs if spec.regression else 0)
        with seeded(options.seed):
            parts = self.net.draw()
            if spec.regression:
                parts["head"] = torch.randn(self.net.size, spec.outputs) * self.net.size**-0.5
                parts["bias"] = torch.zeros(1, spec.outputs)
            self.layout = Layout(tuple((name, tuple(leaf.shape)) for name, leaf in parts.items()))
            self.encoder = Mlp(reads, BodySettings(hidden=options.encoder))
            self.generate = Readout(width, options.hidden, self.layout.size)
            self.head = None
            if not spec.regression:
                reads = self.net.size + width
                self.head = ClassHead(self.net.size, options.hidden, inputs=reads)
        self.start = nn.Parameter(torch.cat([leaf.flatten() for leaf in parts.values()]))
        with torch.no_grad():
            self.generate.last.weight *= SMALL
            self.generate.last.bias.zero_()
            if self.spread is not None:
                self.spread[0] = VAGUE

    @override
    def begin(self, tasks: int) -> State:
        """No code, no classes."""
        zero, width = self.start.new_zeros, self.encoder.size
        state = {**self.fresh(tasks), "code": zero(tasks, width, 1), "rows": zero(tasks, 1)}
        if self.head is None:
            state |= unit_begin(self.start, tasks, self.spec.outputs)
        else:
            classes = self.spec.classes
            state["mean"] = zero(tasks, self.net.size + width, classes)
            state["mass"] = zero(tasks, classes)
        return state

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the target network."""
        parts = self.weights(state)
        z_TBE = self.net(parts, bounded(x_TBF))
        if self.head is None:
            middle, size = unit(state)
            mean = middle + size * torch.baddbmm(parts["bias"], z_TBE, parts["head"])
            return numbers(self.spec, mean, (size * self.scale(state).unsqueeze(1)).expand_as(mean))
        mean = state["mean"]
        weight, bias, _ = self.head(mean[:, : self.net.size], state["mass"], mean)
        return self.answer(state, torch.baddbmm(bias, z_TBE, weight))

    def weights(self, state: State) -> dict[str, Tensor]:
        """Parts of the target network, task axis first: w0 + H(r)."""
        return self.layout.split(self.start + self.generate(state["code"].squeeze(2)))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Move the set's code, then the class means under it."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        kept = seen_TB.unsqueeze(2)
        rows = bounded(torch.where(kept, x_TBF, 0.0))
        y_TBO = targets(self.spec, y_TB, 0 if self.head is None else state["mass"].shape[1])
        codes = self.encoder(pairs(rows, y_TBO) if self.head is None else rows)
        code, count = running_mean(state["code"], state["rows"], codes, kept.to(rows.dtype))
        after = {**self.noted(state, y_TB, seen_TB), "code": code, "rows": count}
        if self.head is None:
            return after | unit_learn(state, y_TBO, seen_TB)
        embedded = torch.cat([self.net(self.weights(after), rows), codes], 2)
        label = y_TBO.to(rows.dtype) * kept
        mean, mass = running_mean(state["mean"], state["mass"], embedded, label)
        return {**after, "mean": mean, "mass": mass}

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no examples."""
        return {"mean": 0.0, "mass": 0.0}


@register(
    "hypernetwork", HypernetworkOptions, family="hypernetwork", outer="episodes",
    paper="Ha, Dai & Le 2017, HyperNetworks",
)  # fmt: skip
def _hypernetwork(spec: Spec, options: HypernetworkOptions) -> Learner:
    return Hypernetwork(spec, options)
