"""Generative meta-continual learning: classes as densities in a learned embedding.

Banayeeanzade et al. 2021, Generative vs. Discriminative: Rethinking The Meta-Continual Learning. A
class is a normal density of unknown mean and precision on every axis; only exact posteriors move
while streaming, so nothing is forgotten.

With the normal-gamma prior (mu_0, kappa_0, alpha_0, beta_0) and a class's n examples, their mean m
and sum of squared deviations s (Murphy 2007, equations 86 to 89):

    kappa = kappa_0 + n        mu = (kappa_0 mu_0 + n m) / kappa
    alpha = alpha_0 + n / 2    beta = beta_0 + s / 2 + kappa_0 n (m - mu_0)^2 / (2 kappa)
    p(h | class) = product of Student's t: 2 alpha degrees, at mu, of squared scale
                   beta (kappa + 1) / (alpha kappa)                          (equation 100)

State: n, m and s by class, merged block by block (Chan et al. 1979), so that the order of examples
changes no answer, up to rounding. The prior, the same for all classes, and the embedding are
meta-learned through the posterior's answers, by no inner gradient.

Not as in the paper: its prior of the mean is flat, here it is learned; and log-densities are
multiplied by a learned temperature. Lee et al. 2024 (Learning to Continually Learn with the
Bayesian Principle) generalise this; `sb-mcl` is their form for numbers.

Shapes: T tasks, B examples, F features, E embedding, C classes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Said, Spec, State, joined
from agent.learners.meta import Meta
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded


@dataclass(frozen=True, slots=True)
class GemclOptions:
    """The embedding.

    Args:
        body: the network that embeds.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    seed: int = 0


class Gemcl(Meta):
    """Classes as normal densities in a learned embedding, known by their posteriors.

    >>> import torch
    >>> learner = Gemcl(Spec(features=2, classes=2), GemclOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: GemclOptions) -> None:
        super().__init__(spec)
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
        size = self.body.size
        self.centre = nn.Parameter(torch.zeros(size, 1))
        self.prior = nn.Parameter(torch.tensor([-2.0, 1.0, -1.0]))  # logs of kappa, alpha, beta
        self.temperature = nn.Parameter(torch.tensor(-0.5 * math.log(size)))

    @override
    def begin(self, tasks: int) -> State:
        """No class has been met."""
        zero, size = self.centre.new_zeros, self.body.size
        classes = self.spec.classes
        return {
            **self.fresh(tasks),
            "n": zero(tasks, classes),
            "mean": zero(tasks, size, classes),
            "square": zero(tasks, size, classes),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Bayes' rule over the classes met, each as likely as the others before x."""
        return self._said(state, self.body(x_TBF))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Merge the rows' moments into their classes'."""
        return self._learned(state, self.body(x_TBF), y_TB, all_seen(y_TB, seen_TB))

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer a row, learn it, go on: exact at every row; the rows are embedded once."""
        seen_TB, h_TBE, said = all_seen(y_TB, seen_TB), self.body(x_TBF), []
        for row in range(x_TBF.shape[1]):
            one = slice(row, row + 1)
            said.append(self._said(state, h_TBE[:, one]))
            state = self._learned(state, h_TBE[:, one], y_TB[:, one], seen_TB[:, one])
        return joined(said), state

    def posterior(self, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give mu (TEC), kappa (T1C), alpha (T1C) and beta (TEC) of every class."""
        kappa_0, alpha_0, beta_0 = self.prior.clamp(-12, 12).exp()
        n = state["n"].unsqueeze(1)
        kappa, away = kappa_0 + n, state["mean"] - self.centre
        mu = self.centre + n * away / kappa
        beta = beta_0 + state["square"] / 2 + kappa_0 * n * away**2 / (2 * kappa)
        return mu, kappa, alpha_0 + n / 2, beta

    def densities(self, state: State, h_TBE: Tensor) -> Tensor:
        """Log-densities of embeddings under each class, shape TBC."""
        mu, kappa, alpha, beta = self.posterior(state)
        spread = 2 * beta * (kappa + 1) / kappa  # degrees of freedom times the squared scale
        near = (h_TBE.unsqueeze(3) - mu.unsqueeze(1)) ** 2 / spread.unsqueeze(1)
        axes = (alpha.unsqueeze(1) + 0.5) * torch.log1p(near).sum(2, keepdim=True)
        whole = self.body.size * (torch.lgamma(alpha + 0.5) - torch.lgamma(alpha))
        whole = whole - 0.5 * (math.pi * spread).log().sum(1, keepdim=True)
        return whole - axes.squeeze(2)

    def _said(self, state: State, h_TBE: Tensor) -> Said:
        return self.answer(state, self.densities(state, h_TBE) * self.temperature.exp())

    def _learned(self, state: State, h_TBE: Tensor, y_TB: Tensor, seen_TB: Tensor) -> State:
        n, mean = state["n"], state["mean"]
        label = hot(y_TB, n.shape[1]).to(n.dtype) * seen_TB.unsqueeze(2)
        h_TBE = torch.where(seen_TB.unsqueeze(2), h_TBE, 0.0)
        come = label.sum(1)
        share = label / come.clamp(min=1).unsqueeze(1)
        block = h_TBE.mT @ share  # the block's means by class, TEC
        within = ((h_TBE - label @ block.mT) ** 2).mT @ label
        after = n + come
        weight = (come / after.clamp(min=1)).unsqueeze(1)
        return {
            **self.noted(state, y_TB, seen_TB),
            "n": after,
            "mean": mean + weight * (block - mean),
            "square": state["square"] + within + n.unsqueeze(1) * weight * (block - mean) ** 2,
        }

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no examples."""
        return {"n": 0.0, "mean": 0.0, "square": 0.0}


@register(
    "gemcl", GemclOptions, family="continual", goals=("classes",), outer="sequences",
    paper="Banayeeanzade et al. 2021, Generative vs. Discriminative: Rethinking The Meta-Continual"
    " Learning",
)  # fmt: skip
def _gemcl(spec: Spec, options: GemclOptions) -> Learner:
    return Gemcl(spec, options)
