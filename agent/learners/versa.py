"""VERSA (Gordon, Bronskill, Bauer, Nowozin & Turner 2019): a posterior of the head, by one pass.

    q(w_c | support) = N(mu(m_c), sigma(m_c)^2),   m_c = mean of f(x) over class c
    p(y | x) = mean over samples s of softmax(w_s' f(x) + b)

Each class has its own factor ("context independence"), so any number of classes is served. A
normal head makes normal logits, which are drawn in its place (local reparameterisation, as in
the paper), with the same normal quantiles in every call: an answer is a pure function of the
state. mu starts as the nearest mean. For numbers see the latent neural process.

State: running means of embeddings by class, so neither order nor cut of the examples matters.

Shapes: T tasks, B examples, F features, E embedding, C classes, S samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Meta, one_voice
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.codes import normal_codes
from agent.nets.heads import ClassHead
from agent.nets.sets import bounded, running_mean

ROOM = 64  # classes with draws of their own; class 64 has those of class 0


@dataclass(frozen=True, slots=True)
class VersaOptions:
    """Embedding, amortisation and samples.

    Args:
        body: the network that embeds.
        hidden: widths of the network from a class's mean to its head's posterior.
        samples: S, how many heads an answer is the mean of.
        doubt: log of the head's standard deviation at the start.
        seed: of the first weights and the samples.
    """

    body: BodySettings = field(default_factory=BodySettings)
    hidden: tuple[int, ...] = (64,)
    samples: int = 16
    doubt: float = -3.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.hidden:
            raise ValueError("samples must be 1 or more, and hidden needs a layer")


class Versa(Meta, Blockwise):
    """Class means are in the state; the head's posterior is made of them.

    >>> learner = Versa(Spec(features=2, classes=2), VersaOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: VersaOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            self.head = ClassHead(self.body.size, options.hidden, self.body.size + 1)
        self.doubt = nn.Parameter(torch.full((), options.doubt))
        self.register_buffer("codes", normal_codes(options.samples, ROOM, options.seed))

    @override
    def begin(self, tasks: int) -> State:
        """No class has been met."""
        zero, classes = self.doubt.new_zeros, self.spec.classes
        return {
            **self.fresh(tasks),
            "mean": zero(tasks, self.body.size, classes),
            "mass": zero(tasks, classes),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Probabilities of the posterior forecast."""
        logits, deviation = self.logits(state, x_TBF)
        classes = torch.arange(logits.shape[2], device=logits.device) % ROOM
        codes_SC = self.get_buffer("codes")[:, classes]
        drawn = logits.unsqueeze(2) + deviation.unsqueeze(2) * codes_SC
        drawn = drawn + state["known"][:, None, None]
        marginal = torch.log_softmax(drawn, 3).logsumexp(2)
        return one_voice(torch.log_softmax(marginal, 2))

    def logits(self, state: State, x_TBF: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each logit under the posterior, shape TBC."""
        z_TBE = self.body(bounded(x_TBF))
        weight, bias, log_sigma = self.head(state["mean"], state["mass"])
        variance = (2 * (self.doubt + log_sigma).clamp(-12, 4)).exp()
        spread = (z_TBE**2) @ variance[:, :-1] + variance[:, -1:]
        return z_TBE @ weight + bias, spread.sqrt()

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Add to the classes' means."""
        seen_TB = all_seen(y_TB, seen_TB)
        rows = self.body(bounded(x_TBF))
        label = hot(y_TB, state["mass"].shape[1]).to(rows.dtype) * seen_TB.unsqueeze(2)
        mean, mass = running_mean(state["mean"], state["mass"], rows, label)
        return {**self.noted(state, y_TB, seen_TB), "mean": mean, "mass": mass}

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no examples."""
        return {"mean": 0.0, "mass": 0.0}


@register(
    "versa", VersaOptions, family="Bayesian", goals=("classes",), outer="episodes",
    paper="Gordon et al. 2019, Meta-Learning Probabilistic Inference for Prediction",
)  # fmt: skip
def _versa(spec: Spec, options: VersaOptions) -> Learner:
    return Versa(spec, options)
