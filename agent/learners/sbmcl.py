"""Sequential Bayesian meta-continual learning, for numbers.

Lee, Son & Kim 2024, Learning to Continually Learn with the Bayesian Principle: the embedding stands
still while streaming, and above it a statistical model's exact posterior is all that moves, so that
nothing is forgotten.

The model is linear with unknown weights and noise, its prior normal-inverse-gamma and learned
(Bishop 2006, equations 3.49 to 3.51; Murphy 2007). With p = tanh of the body's output and a one,

    L <- L + sum p p^T       m <- m + L^-1 sum p (y - m^T p)
    a <- a + n / 2           b <- b + sum (y - m_old^T p)(y - m_new^T p) / 2
    y | p  is Student's t of mean m^T p and variance b / (a - 1) (1 + p^T L^-1 p)

and is given as a normal of those moments; a starts above 1. The same posterior comes out in
whatever blocks and order the rows came. For classes the same idea is `gemcl`.

Not as in the paper: it factorises the posterior over axes of a learned latent and decodes it; this
is the conjugate form for numbers, with nothing to decode.

Shapes: T tasks, B examples, F features, E embedding with its one, O outputs.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Pointwise, numbers, targets
from agent.learners.registry import register
from agent.nets import all_seen
from agent.nets.body import BodySettings, make_body, seeded

JITTER = 10.0  # roundings of the largest precision, added to all, for Cholesky's sake


@dataclass(frozen=True, slots=True)
class SbMclOptions:
    """The embedding.

    Args:
        body: the network that embeds.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    seed: int = 0


class SbMcl(Pointwise, Blockwise):
    """Bayesian linear regression on a learned embedding.

    >>> import torch
    >>> learner = SbMcl(Spec(features=1, classes=0), SbMclOptions())
    >>> x, y = torch.linspace(-1, 1, 8).view(1, 8, 1), torch.linspace(-1, 1, 8).view(1, 8)
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> mean, _ = learner.predict(state, x).moments()
    >>> bool((mean - y).abs().max() < 0.2)
    True
    """

    def __init__(self, spec: Spec, options: SbMclOptions) -> None:
        super().__init__(spec)
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
        size = self.body.size + 1
        self.mean = nn.Parameter(torch.zeros(size, spec.outputs))
        self.precision = nn.Parameter(
            torch.cat([torch.full((size - 1,), -3.0), torch.tensor([-6.0])])
        )
        self.noise = nn.Parameter(torch.tensor([0.0, -2.0]))  # logs of a - 1 and b

    def embed(self, x_TBF: Tensor) -> Tensor:
        """Bounded features and a one, shape TBE."""
        found = self.body(x_TBF).tanh()
        return torch.cat([found, torch.ones_like(found[..., :1])], 2)

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the learned prior once a task."""
        shape_and_rate = self.noise.clamp(-12, 12).exp()
        precision = self.precision.clamp(-12, 12).exp().diag()
        return {
            **self.fresh(tasks),
            "precision": precision.expand(tasks, -1, -1),
            "mean": self.mean.expand(tasks, -1, -1),
            "a": (1 + shape_and_rate[0]).expand(tasks, 1),
            "b": shape_and_rate[1].expand(tasks, self.spec.outputs),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Mean and deviation of the posterior's answer."""
        p_TBE = self.embed(x_TBF)
        doubt = (p_TBE * _solve(state["precision"], p_TBE.mT).mT).sum(2, keepdim=True).clamp(min=0)
        variance = (state["b"] / (state["a"] - 1)).unsqueeze(1) * (1 + doubt)
        return numbers(self.spec, p_TBE @ state["mean"], variance.clamp(min=1e-24).sqrt())

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Give the posterior after these rows."""
        y_TBO = targets(self.spec, y_TB, 0)
        seen_TB = all_seen(y_TBO[..., 0], seen_TB)
        p_TBE = torch.where(seen_TB.unsqueeze(2), self.embed(x_TBF), 0.0)
        off_TBO = torch.where(seen_TB.unsqueeze(2), y_TBO - p_TBE @ state["mean"], 0.0)
        precision = state["precision"] + p_TBE.mT @ p_TBE
        step = _solve(precision, p_TBE.mT @ off_TBO)
        left = (off_TBO * (off_TBO - p_TBE @ step)).sum(1).clamp(min=0)
        return {
            **self.noted(state, y_TB, seen_TB),
            "precision": precision,
            "mean": state["mean"] + step,
            "a": state["a"] + seen_TB.sum(1, keepdim=True) / 2,
            "b": state["b"] + left / 2,
        }


def _solve(precision_TEE: Tensor, right_TEZ: Tensor) -> Tensor:
    """Solve by Cholesky's factor, with a jitter where rounding would spoil it."""
    largest = precision_TEE.diagonal(dim1=1, dim2=2).amax(1)
    eye = torch.eye(precision_TEE.shape[1], dtype=largest.dtype, device=largest.device)
    safe = precision_TEE + (JITTER * torch.finfo(eye.dtype).eps * largest).view(-1, 1, 1) * eye
    return torch.cholesky_solve(right_TEZ, torch.linalg.cholesky_ex(safe).L)


@register(
    "sb-mcl", SbMclOptions, family="continual", goals=("number", "numbers"), outer="sequences",
    paper="Lee, Son & Kim 2024, Learning to Continually Learn with the Bayesian Principle",
)  # fmt: skip
def _sbmcl(spec: Spec, options: SbMclOptions) -> Learner:
    return SbMcl(spec, options)
