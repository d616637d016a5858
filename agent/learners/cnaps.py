"""CNAPs (Requeima, Gordon, Bronskill, Nowozin & Turner 2019): a set modulates the whole network.

    r = mean of h(x_i);   each layer's scale and shift = psi_f(r)
    w_c, b_c = psi_w(mean of the modulated f(x) over class c)

Nothing adapts by gradient: a pass over the support makes all that belongs to the task. psi_f starts
at 0, the plain body, and psi_w as the nearest mean. The body is trained with the rest; the paper's
is pre-trained and frozen, and its h has layers' activations to read beside r ("auto-regressive").

State: the running mean r, and running class means of embeddings. A call of `learn` first moves r by
all its rows, then embeds them under it: an episode's support in one call is the paper's
computation. In a stream earlier rows stay as they were embedded, while r settles.

Shapes: T tasks, B examples, F features, E embedding, R code, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Meta
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.film import FilmBody
from agent.nets.heads import ClassHead
from agent.nets.sets import Readout, bounded, running_mean


@dataclass(frozen=True, slots=True)
class CnapsOptions:
    """Body, set encoder and what is made of them.

    Args:
        body: the network that is modulated; the set encoder h is built alike.
        hidden: widths of psi_f and psi_w.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    hidden: tuple[int, ...] = (64,)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("hidden needs a layer")


class Cnaps(Meta, Blockwise):
    """The set's code and the class means are in the state.

    >>> learner = Cnaps(Spec(features=2, classes=2), CnapsOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: CnapsOptions) -> None:
        super().__init__(spec)
        with seeded(options.seed):
            self.body = FilmBody(spec.features, options.body)
            self.encoder = make_body(spec.features, options.body)
            size, made = self.encoder.size, self.body.modulation
            self.modulate = Readout(size, options.hidden, made, quiet=True)
            self.head = ClassHead(self.body.size, options.hidden)

    @override
    def begin(self, tasks: int) -> State:
        """No code, no classes."""
        zero, classes = self.head.sharpness.new_zeros, self.spec.classes
        return {
            **self.fresh(tasks),
            "code": zero(tasks, self.encoder.size, 1),
            "rows": zero(tasks, 1),
            "mean": zero(tasks, self.body.size, classes),
            "mass": zero(tasks, classes),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the modulated body under the generated head."""
        weight, bias, _ = self.head(state["mean"], state["mass"])
        return self.answer(state, self.embed(state["code"], x_TBF) @ weight + bias)

    def embed(self, code_TR1: Tensor, x_TBF: Tensor) -> Tensor:
        """Embed rows under the modulation that the set's code makes, shape TBE."""
        out: Tensor = self.body(bounded(x_TBF), self.modulate(code_TR1.squeeze(2)))
        return out

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Move the set's code, then the class means under it."""
        seen_TB = all_seen(y_TB, seen_TB)
        x_TBF = torch.where(seen_TB.unsqueeze(2), bounded(x_TBF), 0.0)
        kept = seen_TB.unsqueeze(2).to(x_TBF.dtype)
        code, rows = running_mean(state["code"], state["rows"], self.encoder(x_TBF), kept)
        label = hot(y_TB, state["mass"].shape[1]).to(x_TBF.dtype) * kept
        embedded = self.embed(code, x_TBF)
        mean, mass = running_mean(state["mean"], state["mass"], embedded, label)
        noted = self.noted(state, y_TB, seen_TB)
        return {**noted, "code": code, "rows": rows, "mean": mean, "mass": mass}

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no examples."""
        return {"mean": 0.0, "mass": 0.0}


@register(
    "cnaps", CnapsOptions, family="contextual", goals=("classes",), outer="episodes",
    paper="Requeima et al. 2019, Fast and Flexible Multi-Task Classification Using CNAPs",
)  # fmt: skip
def _cnaps(spec: Spec, options: CnapsOptions) -> Learner:
    return Cnaps(spec, options)
