"""Prototypical networks (Snell, Swersky & Zemel 2017): a class is the mean of its embeddings.

    c_k = mean of f(x) over the support of class k                  equation 1
    p(y = k | x) proportional to exp(-d(f(x), c_k))                 equation 2

State: sums and counts of embeddings by class. `learn` adds, so a stream's examples count the same
whatever blocks they come in. For numbers there are no prototypes: classes only.

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


@dataclass(frozen=True, slots=True)
class PrototypicalOptions:
    """The embedding and the distance in it.

    Args:
        body: the network that embeds.
        distance: squared Euclidean, or cosine (with a learned temperature).
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    distance: Literal["euclidean", "cosine"] = "euclidean"
    seed: int = 0


class Prototypical(Meta, Blockwise):
    """Nearest class mean in a learned embedding.

    >>> import torch
    >>> learner = Prototypical(Spec(features=2, classes=2), PrototypicalOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: PrototypicalOptions) -> None:
        super().__init__(spec)
        self._cosine = options.distance == "cosine"
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
        self.temperature = nn.Parameter(torch.tensor(2.3 if self._cosine else 0.0))

    @override
    def begin(self, tasks: int) -> State:
        """No class has been met."""
        zero = self.temperature.new_zeros
        classes, size = self.spec.classes, self.body.size
        return {
            **self.fresh(tasks),
            "sum": zero(tasks, size, classes),
            "mass": zero(tasks, classes),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Equation 2; distances are means over the embedding's axes, so that widths compare."""
        queries = self.body(x_TBF)
        means = state["sum"] / state["mass"].clamp(min=1e-9).unsqueeze(1)
        if self._cosine:
            near = nn.functional.normalize(queries, dim=2) @ nn.functional.normalize(means, dim=1)
        else:
            cross = queries @ means
            near = 2 * cross - (means**2).sum(1, keepdim=True)  # |q|^2 is the same for all classes
            near = near / self.body.size**0.5
        return self.answer(state, near * self.temperature.exp())

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Equation 1, as sums."""
        seen_TB = all_seen(y_TB, seen_TB)
        seen = seen_TB.unsqueeze(2)
        e_TBE = torch.where(seen, self.body(x_TBF), 0.0)
        label = (hot(y_TB, state["mass"].shape[1]) * seen).to(e_TBE.dtype)
        return {
            **self.noted(state, y_TB, seen_TB),
            "sum": state["sum"] + e_TBE.mT @ label,
            "mass": state["mass"] + label.sum(1),
        }

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has no examples."""
        return {"sum": 0.0, "mass": 0.0}


@register(
    "prototypical", PrototypicalOptions, family="metric", goals=("classes",), outer="episodes",
    paper="Snell, Swersky & Zemel 2017, Prototypical Networks for Few-shot Learning",
)  # fmt: skip
def _prototypical(spec: Spec, options: PrototypicalOptions) -> Learner:
    return Prototypical(spec, options)


def _cosine() -> PrototypicalOptions:
    return PrototypicalOptions(distance="cosine")


@register(
    "prototypical-cosine", _cosine, family="metric", goals=("classes",), outer="episodes",
    paper="Snell, Swersky & Zemel 2017: the same by cosine distance, with a temperature",
)  # fmt: skip
def _by_cosine(spec: Spec, options: PrototypicalOptions) -> Learner:
    return Prototypical(spec, options)
