"""Conditional neural process (Garnelo et al. 2018a): a set of examples becomes one mean code.

    r_i = h(x_i, y_i),   r = mean of r_i,   p(y | x) = N(g(x, r))        equations 1 to 3

For classes there is one mean a class, r_c = mean of h(x_i) over y_i = c, as in section 4.3 of the
paper; there the codes are strung together, here g scores each class by the same weights, so any
number of classes is served. It starts as the nearest mean and learns what to add.

What is said of numbers is in the unit of the task's (`nets.unit`): a stream's may be of any size.

State: running means and counts, so neither order nor cut of the examples matters.

Shapes: T tasks, B examples, F features, E embedding, R code, C classes, O outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Meta, numbers, targets
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.sets import Readout, bounded, pairs, running_mean
from agent.nets.unit import unit, unit_begin, unit_learn

NARROWEST = 0.01  # a scale, before its stage; the paper's is 0.1
VAGUE = 1.0  # log of the scale's factor before the first example


@dataclass(frozen=True, slots=True)
class CnpOptions:
    """Encoder h and decoder g.

    Args:
        body: embeds rows, for classes.
        encoder: widths of h between, for numbers.
        code: R, width of a code, for numbers.
        decoder: widths of g.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    encoder: tuple[int, ...] = (128, 128)
    code: int = 128
    decoder: tuple[int, ...] = (128, 128)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.code < 1 or not self.encoder or not self.decoder:
            raise ValueError("code must be 1 or more; encoder and decoder need a layer at least")


class NumberCnp(Meta, Blockwise):
    """The mean code of a task's examples is in the state.

    >>> learner = NumberCnp(Spec(features=1, classes=0), CnpOptions())
    >>> x, y = torch.randn(1, 6, 1), torch.randn(1, 6)
    >>> whole = learner.learn(learner.begin(tasks=1), x, y)
    >>> part = learner.learn(learner.learn(learner.begin(tasks=1), x[:, 4:], y[:, 4:]), x[:, :4],
    ...     y[:, :4])
    >>> torch.allclose(whole["code"], part["code"], atol=1e-5)
    True
    """

    def __init__(self, spec: Spec, options: CnpOptions) -> None:
        super().__init__(spec)
        self.options, outputs = options, spec.outputs
        with torch.no_grad():
            if self.spread is not None:
                self.spread[0] = VAGUE
        with seeded(options.seed):
            width = spec.features + 2 * outputs
            self.encoder = Readout(width, options.encoder, options.code)
            self.decoder = Readout(spec.features + options.code, options.decoder, 2 * outputs)

    @override
    def begin(self, tasks: int) -> State:
        """No code."""
        zero = self.decoder.last.weight.new_zeros
        code = zero(tasks, self.options.code, 1)
        plain = unit_begin(code, tasks, self.spec.outputs)
        return {**self.fresh(tasks), **plain, "code": code, "mass": zero(tasks, 1)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Equation 3."""
        code = state["code"].mT.expand(-1, x_TBF.shape[1], -1)
        mean, scale = self.decoder(torch.cat([bounded(x_TBF), code], 2)).chunk(2, 2)
        middle, size = unit(state)
        scale = (NARROWEST + nn.functional.softplus(scale)) * self.scale(state).unsqueeze(1)
        return numbers(self.spec, middle + size * mean, size * scale)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Equations 1 and 2."""
        y_TBO = targets(self.spec, y_TB, 0)
        seen_TB = all_seen(y_TBO[..., 0], seen_TB)
        rows, label = self.encoder(pairs(x_TBF, y_TBO)), seen_TB.unsqueeze(2).to(x_TBF.dtype)
        code, mass = running_mean(state["code"], state["mass"], rows, label)
        plain = unit_learn(state, y_TBO, seen_TB)
        return {**self.noted(state, y_TB, seen_TB), **plain, "code": code, "mass": mass}


class ClassCnp(Meta, Blockwise):
    """The mean codes of the classes are in the state.

    >>> learner = ClassCnp(Spec(features=2, classes=2), CnpOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: CnpOptions) -> None:
        super().__init__(spec)
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            self.decoder = Readout(2 * self.body.size, options.decoder, 1, quiet=True)
        self.sharpness = nn.Parameter(torch.zeros(()))

    @override
    def begin(self, tasks: int) -> State:
        """No codes."""
        zero, classes = self.sharpness.new_zeros, self.spec.classes
        code = zero(tasks, self.body.size, classes)
        return {**self.fresh(tasks), "code": code, "mass": zero(tasks, classes)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Score each class by its code, with one decoder for all."""
        z_TBE, code = self.body(bounded(x_TBF)), state["code"]
        near = 2 * z_TBE @ code - (code**2).sum(1, keepdim=True)
        near = near * self.sharpness.exp() * self.body.size**-0.5
        rows, classes = z_TBE.shape[1], code.shape[2]
        both = (
            z_TBE.unsqueeze(2).expand(-1, -1, classes, -1),
            code.mT.unsqueeze(1).expand(-1, rows, -1, -1),
        )
        return self.answer(state, near + self.decoder(torch.cat(both, 3)).squeeze(3))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Add to the classes' means."""
        seen_TB = all_seen(y_TB, seen_TB)
        rows = self.body(bounded(x_TBF))
        label = hot(y_TB, state["mass"].shape[1]).to(rows.dtype) * seen_TB.unsqueeze(2)
        code, mass = running_mean(state["code"], state["mass"], rows, label)
        return {**self.noted(state, y_TB, seen_TB), "code": code, "mass": mass}

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no code."""
        return {"code": 0.0, "mass": 0.0}


@register(
    "cnp", CnpOptions, family="contextual", outer="episodes",
    paper="Garnelo et al. 2018, Conditional Neural Processes",
)  # fmt: skip
def _cnp(spec: Spec, options: CnpOptions) -> Learner:
    return NumberCnp(spec, options) if spec.regression else ClassCnp(spec, options)
