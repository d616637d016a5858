"""ALPaCA (Harrison, Sharma & Pavone 2018): Bayesian linear regression on learned features.

With features f(x), a prior N(K0, s L0^-1) of the weights and noise s, all meta-learned:

    L = f(X)' f(X) + L0,   Q = f(X)' Y + L0 K0,   K = L^-1 Q            (1)
    p(y | x) = N(K' f(x), s (1 + f(x)' L^-1 f(x)))                         (2)

State: L and Q, sums, so neither order nor cut of the examples matters. In a run every row is
answered from the rows before it, exactly: one Cholesky factor of the rows' joint covariance gives
all one-step forecasts.

Beyond the paper: the noise may be a task's own (`noise="task"`: an inverse gamma prior of s, the
conjugate posterior; its Student forecast is told as a normal one of equal variance), and old
examples may fade towards the prior (`forgetting`), so that a stream that drifts does not make it
over-confident. Within a run's answers the fading of that run's own rows is left out; its state has
it. The features go through tanh, which keeps a far input from ruling the sums.

Shapes: T tasks, B examples, F features, E embedding, O outputs.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Numbers, Spec, State
from agent.learners.meta import Meta, numbers, targets
from agent.learners.registry import register
from agent.nets import all_seen
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.linear import factor, forecasts, solve_lower, unreduced
from agent.nets.sets import bounded

FLOOR = 1e-3  # of the prior's precision


@dataclass(frozen=True, slots=True)
class AlpacaOptions:
    """Features and prior.

    Args:
        body: the network under the features.
        size: E, how many features.
        noise: each "task"'s own, or "shared" by all, as in the paper.
        forgetting: share of an example's weight that is left after the next one; 1 forgets nothing.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    size: int = 32
    noise: Literal["shared", "task"] = "task"
    forgetting: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 < self.forgetting <= 1:
            raise ValueError("size must be 1 or more, forgetting above 0 and 1 at the most")


class Alpaca(Meta):
    """Its posterior is in the state; its features and prior are meta-learned.

    >>> learner = Alpaca(Spec(features=1, classes=0), AlpacaOptions())
    >>> x = torch.linspace(-2, 2, 40).view(1, 40, 1)
    >>> state = learner.learn(learner.begin(tasks=1), x, 3 * x[..., 0])
    >>> mean, deviation = learner.predict(state, torch.tensor([[[1.0], [9.0]]])).moments()
    >>> bool((mean[0, 0] - 3).abs() < 0.3), bool(deviation[0, 1] > deviation[0, 0])
    (True, True)
    """

    def __init__(self, spec: Spec, options: AlpacaOptions) -> None:
        super().__init__(spec)
        self.spread, self.options = None, options
        size = options.size
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            self.last = nn.Linear(self.body.size, size)
        self.root = nn.Parameter(torch.eye(size))
        self.centre = nn.Parameter(torch.zeros(size, spec.outputs))
        self.log_noise = nn.Parameter(torch.full((spec.outputs,), -2.0))
        own = options.noise == "task"
        self.log_trust = nn.Parameter(torch.zeros(spec.outputs)) if own else None

    @override
    def begin(self, tasks: int) -> State:
        """The prior, and no surprise yet."""
        precision, weighted = self.prior()
        none = self.centre.new_zeros(tasks, self.spec.outputs)
        return {
            **self.fresh(tasks),
            "precision": precision.expand(tasks, -1, -1),
            "weighted": weighted.expand(tasks, -1, -1),
            "surprise": none,
            "weight": none[:, :1],
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Numbers:
        """Equation 2."""
        features = self.features(x_TBF)
        with unreduced(features):
            lower, mean = self.posterior(state)
            spread = 1 + (solve_lower(lower, features.mT) ** 2).sum(1)
            return self.told(features @ mean, spread, self.noise(state).unsqueeze(1))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Equation 1."""
        if self.options.noise == "task":  # which needs the forecasts
            return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[1]
        seen_TB, features, y_TBO = self.read(x_TBF, y_TB, seen_TB)
        with unreduced(features):
            return self.added(state, features, y_TBO, seen_TB, torch.zeros_like(y_TBO))

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Numbers, State]:
        """Answer each row from the state and the seen rows before it."""
        seen_TB, features, y_TBO = self.read(x_TBF, y_TB, seen_TB)
        with unreduced(features):
            return self.in_turn(state, features, y_TBO, seen_TB)

    def in_turn(
        self, state: State, features: Tensor, y_TBO: Tensor, seen_TB: Tensor
    ) -> tuple[Numbers, State]:
        """Answer and learn rows whose features are there."""
        lower, mean = self.posterior(state)
        half, expected = solve_lower(lower, features.mT), features @ mean
        news, spread, z_TBO = forecasts(half.mT @ half, y_TBO - expected, seen_TB)
        past = z_TBO**2 if self.options.noise == "task" else torch.zeros_like(z_TBO)
        noise = self.noise(state, past.cumsum(1) - past, seen_TB.cumsum(1) - seen_TB.long())
        said = self.told(expected + news, spread, noise)
        return said, self.added(state, features, y_TBO, seen_TB, past)

    def prior(self) -> tuple[Tensor, Tensor]:
        """Precision L0, shape EE, and L0 K0, shape EO."""
        root = self.root.tril()
        eye = torch.eye(root.shape[0], dtype=root.dtype, device=root.device)
        with unreduced(root):
            precision = root @ root.mT + FLOOR * eye
            return precision, precision @ self.centre

    def posterior(self, state: State) -> tuple[Tensor, Tensor]:
        """Lower factor of L, shape TEE, and K, shape TEO."""
        lower = factor(state["precision"])
        return lower, torch.cholesky_solve(state["weighted"], lower)

    def features(self, x_TBF: Tensor) -> Tensor:
        """f(x), shape TBE."""
        return torch.tanh(self.last(self.body(bounded(x_TBF)))).to(self.root.dtype)

    def read(
        self, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mask, features and targets."""
        y_TBO = targets(self.spec, y_TB, 0)
        return all_seen(y_TBO[..., 0], seen_TB), self.features(x_TBF), y_TBO

    def added(
        self, state: State, features: Tensor, y_TBO: Tensor, seen_TB: Tensor, past_TBO: Tensor
    ) -> State:
        """Add the rows, each faded by how many came after it, to what was there, faded too."""
        seen = seen_TB.unsqueeze(2)
        later = seen_TB.sum(1, keepdim=True) - seen_TB.cumsum(1)
        fade = torch.where(seen, self.options.forgetting ** later.unsqueeze(2), 0.0)
        fade = fade.to(features.dtype)
        kept = (self.options.forgetting ** seen_TB.sum(1, keepdim=True)).to(features.dtype)
        kept_T11 = kept.unsqueeze(2)
        precision, weighted = self.prior()
        features, y_TBO, past_TBO = (
            torch.where(seen, one, 0.0) for one in (features, y_TBO, past_TBO)
        )
        faded_TEB = (features * fade).mT
        old_p, old_w = state["precision"], state["weighted"]
        return {
            **self.noted(state, y_TBO[..., 0], seen_TB),
            "precision": torch.lerp(precision, old_p, kept_T11) + faded_TEB @ features,
            "weighted": torch.lerp(weighted, old_w, kept_T11) + faded_TEB @ y_TBO,
            "surprise": state["surprise"] * kept + (past_TBO * fade).sum(1),
            "weight": state["weight"] * kept + fade.sum(1),
        }

    def noise(
        self, state: State, past_TBO: Tensor | None = None, rows_TB: Tensor | None = None
    ) -> Tensor:
        """Variance of the noise, shape (T)O, or TBO in a run; of a task's own, its mean."""
        shared = self.log_noise.clamp(-14, 14).exp()
        if self.log_trust is None:
            return shared.expand_as(state["surprise"] if past_TBO is None else past_TBO)
        trust = 1 + self.log_trust.clamp(-6, 6).exp()  # half the prior's degrees of freedom
        surprise, weight = state["surprise"], state["weight"]
        if past_TBO is not None and rows_TB is not None:
            surprise = surprise.unsqueeze(1) + past_TBO
            weight = weight.unsqueeze(1) + rows_TB.unsqueeze(2)
        return ((trust - 1) * shared + surprise / 2) / (trust - 1 + weight / 2)

    def told(self, mean_TBO: Tensor, spread_TB: Tensor, noise_TBO: Tensor) -> Numbers:
        """A normal voice with the forecast's mean and variance."""
        return numbers(self.spec, mean_TBO, (spread_TB.unsqueeze(2) * noise_TBO).sqrt())


@register(
    "alpaca", AlpacaOptions, family="Bayesian", goals=("number", "numbers"), outer="episodes",
    paper="Harrison, Sharma & Pavone 2018, Meta-Learning Priors for Efficient Online Regression",
)  # fmt: skip
def _alpaca(spec: Spec, options: AlpacaOptions) -> Learner:
    return Alpaca(spec, options)
