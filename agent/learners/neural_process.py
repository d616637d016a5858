"""Latent neural process (Garnelo et al. 2018b): a task is a code that one is not sure of.

    r = mean of h(x_i, y_i),   z ~ N(mu(r), sigma(r)),   p(y | x) = integral of N(g(x, z)) over z

The answer is a mixture of one normal voice for each of a few codes z. The codes are the same normal
quantiles in every call, z_s = mu + sigma e_s, so that an answer is a pure function of the state.

It is trained on the log of the mixture, as VERSA is (Gordon et al. 2019; Foong et al. 2020), where
the paper takes a variational bound with the queries in the posterior.

What is said is in the unit of the task's numbers (`nets.unit`).

Shapes: T tasks, B examples, F features, R code, S codes (and voices), O outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Numbers, Spec, State
from agent.learners.meta import Meta, targets
from agent.learners.registry import register
from agent.nets import all_seen
from agent.nets.body import seeded
from agent.nets.codes import normal_codes
from agent.nets.sets import Readout, bounded, pairs, running_mean
from agent.nets.unit import unit, unit_begin, unit_learn

NARROWEST = 0.01  # a scale, before its stage
VAGUE = 1.0  # log of the scale's factor before the first example


@dataclass(frozen=True, slots=True)
class NeuralProcessOptions:
    """Encoder, latent code and decoder.

    Args:
        encoder: widths of h between.
        code: R, width of the mean code and of z.
        samples: S, how many z an answer is made of.
        decoder: widths of g.
        seed: of the first weights and the codes.
    """

    encoder: tuple[int, ...] = (64, 64)
    code: int = 32
    samples: int = 8
    decoder: tuple[int, ...] = (64, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.code, self.samples) < 1 or not self.encoder or not self.decoder:
            raise ValueError("code and samples must be 1 or more; encoder and decoder need a layer")


class NeuralProcess(Meta, Blockwise):
    """The mean code is in the state; each voice is a guess of what it means.

    >>> learner = NeuralProcess(Spec(features=1, classes=0), NeuralProcessOptions(samples=4))
    >>> said = learner.predict(learner.begin(tasks=1), torch.zeros(1, 2, 1))
    >>> said.mean_TBV.shape, learner.voices[-1]
    (torch.Size([1, 2, 4]), 'code 4')
    """

    def __init__(self, spec: Spec, options: NeuralProcessOptions) -> None:
        super().__init__(spec)
        self.options, outputs, code = options, spec.outputs, options.code
        self.voices = tuple(f"code {at + 1}" for at in range(options.samples))
        with torch.no_grad():
            if self.spread is not None:
                self.spread[0] = VAGUE
        with seeded(options.seed):
            self.encoder = Readout(spec.features + 2 * outputs, options.encoder, code)
            self.latent = nn.Linear(code, 2 * code)
            self.decoder = Readout(spec.features + code, options.decoder, 2 * outputs)
        codes = normal_codes(options.samples, code, options.seed)
        self.register_buffer("codes", codes)

    @override
    def begin(self, tasks: int) -> State:
        """No code."""
        zero = self.latent.weight.new_zeros
        return {
            **self.fresh(tasks),
            "code": zero(tasks, self.options.code, 1),
            "mass": zero(tasks, 1),
            **unit_begin(self.latent.weight, tasks, self.spec.outputs),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Numbers:
        """Decode under every z, side by side."""
        samples, outputs = self.options.samples, self.spec.outputs
        z_TBSR = self.guesses(state).unsqueeze(1).expand(-1, x_TBF.shape[1], -1, -1)
        rows = bounded(x_TBF).unsqueeze(2).expand(-1, -1, samples, -1)
        mean, scale = self.decoder(torch.cat([rows, z_TBSR], 3)).chunk(2, 3)
        middle, size = (leaf.unsqueeze(2) for leaf in unit(state))
        scale = (NARROWEST + nn.functional.softplus(scale)) * self.scale(state)[:, None, None]
        mean, scale = middle + size * mean, size * scale
        voice = torch.full_like(mean[..., 0], -torch.tensor(float(samples)).log().item())
        if outputs == 1:
            return Numbers(voice, mean.squeeze(3), scale.squeeze(3))
        return Numbers(voice, mean, scale)

    def guesses(self, state: State) -> Tensor:
        """Codes z of the task, shape TSR."""
        mu, log_sigma = self.latent(state["code"].mT).chunk(2, 2)
        out: Tensor = mu + log_sigma.clamp(-12, 4).exp() * self.get_buffer("codes")
        return out

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Add to the mean code."""
        y_TBO = targets(self.spec, y_TB, 0)
        seen_TB = all_seen(y_TBO[..., 0], seen_TB)
        rows, label = self.encoder(pairs(x_TBF, y_TBO)), seen_TB.unsqueeze(2).to(x_TBF.dtype)
        code, mass = running_mean(state["code"], state["mass"], rows, label)
        plain = unit_learn(state, y_TBO, seen_TB)
        return {**self.noted(state, y_TB, seen_TB), **plain, "code": code, "mass": mass}


@register(
    "neural-process", NeuralProcessOptions,
    family="contextual", goals=("number", "numbers"), outer="episodes",
    paper="Garnelo et al. 2018, Neural Processes",
)  # fmt: skip
def _neural_process(spec: Spec, options: NeuralProcessOptions) -> Learner:
    return NeuralProcess(spec, options)
