"""A Bayesian classifier in a learned embedding: Gaussian classes with conjugate posteriors.

The classification twin of ALPaCA, as MOCA's PCOC (Harrison, Sharma, Finn & Pavone 2020). With
embedding z = f(x), meta-learned prior mean m0 and strength k0, and n_c examples of class c with
mean zbar_c, along each axis of the embedding

    z | c ~ N(mu_c, s),   mu_c ~ N(m0, s / k0),   k_c = k0 + n_c
    m_c = (k0 m0 + n_c zbar_c) / k_c,   p(z | c) = N(m_c, s (1 + 1 / k_c))
    p(c) proportional to a + n_c                          a Dirichlet prior, a meta-learned

The variance s is meta-learned (`within="learned"`, as in the paper), or a task's own, pooled over
its classes (`within="task"`): with an inverse gamma prior, s ~ IG(a0, b0), the posterior is

    b = b0 + 1/2 sum of squares about the classes' means, prior included;   a = a0 + n / 2

and p(z | c) is Student's with 2 a degrees of freedom and squared scale (1 + 1 / k_c) b / a.
State: posterior means, counts and sums of squares, all running; so order and cut do not matter.

Shapes: T tasks, B examples, F features, E embedding, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Meta
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.sets import bounded, running_mean


@dataclass(frozen=True, slots=True)
class BayesClassifierOptions:
    """Embedding and prior.

    Args:
        body: the network that embeds.
        size: E, width of a linear layer after it.
        within: whose the variance inside a class is: "learned" for all, or each "task"'s own.
        frequencies: whether classes that were frequent are expected to be.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    size: int = 32
    within: Literal["learned", "task"] = "learned"
    frequencies: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}; take 1 or more")


class BayesClassifier(Meta, Blockwise):
    """Posteriors of the classes' means are in the state.

    >>> learner = BayesClassifier(Spec(features=2, classes=2), BayesClassifierOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: BayesClassifierOptions) -> None:
        super().__init__(spec)
        self.options, size = options, options.size
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            self.last = nn.Linear(self.body.size, size)  # whose bias is minus m0
        self.log_strength = nn.Parameter(torch.full((), -1.0))
        self.log_within = nn.Parameter(torch.full((size,), -1.0))
        self.log_prior = nn.Parameter(torch.zeros(()))
        self.log_shape = nn.Parameter(torch.ones(())) if options.within == "task" else None

    @override
    def begin(self, tasks: int) -> State:
        """The prior of each class."""
        zero = self.log_within.new_zeros
        classes, size = self.spec.classes, self.options.size
        return {
            **self.fresh(tasks),
            "mean": zero(tasks, size, classes),
            "mass": zero(tasks, classes),
            "square": zero(tasks, size),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Class probabilities by Bayes' rule."""
        mass = state["mass"]
        wide_TC = 1 + 1 / (self.strength + mass)
        gap_TBEC = self.embed(x_TBF).unsqueeze(3) - state["mean"].unsqueeze(1)
        fit_TBC = self.fit(state, gap_TBEC, wide_TC[:, None, None])
        if self.options.frequencies:
            fit_TBC = fit_TBC + (self.log_prior.clamp(-6, 6).exp() + mass).log().unsqueeze(1)
        return self.answer(state, fit_TBC)

    def fit(self, state: State, gap_TBEC: Tensor, wide: Tensor) -> Tensor:
        """Log density of each row under each class, up to what classes share, shape TBC."""
        within = self.within
        if self.log_shape is None:
            scale = within[:, None] * wide
            return -0.5 * (gap_TBEC**2 / scale + scale.log()).sum(2)
        shape = self.log_shape.clamp(-6, 6).exp()
        half = shape + state["mass"].sum(1) / 2
        rate = shape * within + state["square"] / 2
        scale = (rate / half.unsqueeze(1))[:, None, :, None] * wide
        half = half[:, None, None, None]
        each = -(half + 0.5) * torch.log1p(gap_TBEC**2 / (2 * half * scale)) - 0.5 * scale.log()
        return each.sum(2)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """The conjugate update."""
        seen_TB = all_seen(y_TB, seen_TB).unsqueeze(2)
        z_TBE = torch.where(seen_TB, self.embed(x_TBF), 0.0)
        old, mass = state["mean"], state["mass"]
        label = hot(y_TB, mass.shape[1]).to(z_TBE.dtype) * seen_TB
        mean, after = running_mean(old, mass, z_TBE, label, self.strength)
        # sum over a class of (z - m)^2, and what moving its mean from m' to m adds: k' (m - m')^2
        about = torch.where(seen_TB, z_TBE - label @ mean.mT, 0.0) ** 2
        moved = (self.strength + mass).unsqueeze(1) * (mean - old) ** 2
        kept = after.sum(1, keepdim=True) / (mass + label.sum(1)).sum(1, keepdim=True).clamp(min=1)
        return {
            **self.noted(state, y_TB, seen_TB.squeeze(2)),
            "mean": mean,
            "mass": after,
            "square": kept * (state["square"] + about.sum(1) + moved.sum(2)),
        }

    def embed(self, x_TBF: Tensor) -> Tensor:
        """Embed about the prior mean: z - m0, shape TBE."""
        out: Tensor = self.last(self.body(bounded(x_TBF)))
        return out

    @property
    def strength(self) -> Tensor:
        """k0: how many examples the prior mean of a class counts for."""
        return self.log_strength.clamp(-6, 6).exp()

    @property
    def within(self) -> Tensor:
        """s, shape E, or the prior's b0 / a0."""
        return self.log_within.clamp(-12, 12).exp()

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has the prior."""
        return {"mean": 0.0, "mass": 0.0}


@register(
    "bayes-classifier", BayesClassifierOptions,
    family="Bayesian", goals=("classes",), outer="episodes",
    paper="Harrison, Sharma, Finn & Pavone 2020, Continuous Meta-Learning without Tasks: PCOC",
)  # fmt: skip
def _bayes_classifier(spec: Spec, options: BayesClassifierOptions) -> Learner:
    return BayesClassifier(spec, options)
