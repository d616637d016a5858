"""Relation networks (Sung et al. 2018): a learned comparison instead of a fixed distance.

    r_c = g(C(f(class c), f(x)))                                    equation 1

f embeds; a class is the element-wise sum of its embeddings (here their mean, so that 100 examples
are of the same size as one); C puts class and query side by side; g, a small network, scores how
alike they are. The paper trains r by squared error towards 0 and 1; here r is a logit, trained by
the log score of the softmax over classes, which gives proper probabilities. The paper compares
feature maps by two more convolutions; here the maps of a convolutional body are flattened first,
and compared by layers like those of an mlp body. C has the squared difference beside the two, and r
starts from its negative mean: nearest mean is where learning to compare begins. Classes only.

State: sums and counts of embeddings by class.

Shapes: T tasks, B rows, E embedding, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Meta
from agent.learners.registry import register
from agent.nets import all_seen, hot
from agent.nets.body import BodySettings, make_body, seeded


@dataclass(frozen=True, slots=True)
class RelationOptions:
    """The embedding and the comparison.

    Args:
        body: the network that embeds.
        hidden: width of the network that compares.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    hidden: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError("hidden must be 1 or more")


class Relation(Meta, Blockwise):
    """Scores each pair of class and query by a learned network.

    >>> learner = Relation(Spec(features=2, classes=2), RelationOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().exp().sum(2).allclose(torch.ones(1, 2))
    True
    """

    def __init__(self, spec: Spec, options: RelationOptions) -> None:
        super().__init__(spec)
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            size = self.body.size
            self.pair = nn.Linear(3 * size, options.hidden)
            self.score = nn.Sequential(
                nn.ReLU(), nn.Linear(options.hidden, options.hidden), nn.ReLU(),
                nn.Linear(options.hidden, 1),
            )  # fmt: skip
        self.nearness = nn.Parameter(torch.tensor(1.0))

    @override
    def begin(self, tasks: int) -> State:
        """No class has been met."""
        zero, classes = self.nearness.new_zeros, self.spec.classes
        return {
            **self.fresh(tasks),
            "sum": zero(tasks, self.body.size, classes),
            "mass": zero(tasks, classes),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Equation 1."""
        query = self.body(x_TBF)
        means = (state["sum"] / state["mass"].clamp(min=1).unsqueeze(1)).mT
        apart = (query.unsqueeze(2) - means.unsqueeze(1)).square()
        one, other, between = self.pair.weight.split(self.body.size, 1)
        hidden = nn.functional.linear(query, one, self.pair.bias).unsqueeze(2)
        hidden = hidden + nn.functional.linear(means, other).unsqueeze(1)
        hidden = hidden + nn.functional.linear(apart, between)
        out = self.score(hidden).squeeze(3) - self.nearness * apart.mean(3)
        return self.answer(state, out)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Add the embeddings to their classes."""
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
    "relation", RelationOptions, family="metric", goals=("classes",), outer="episodes",
    paper="Sung et al. 2018, Learning to Compare: Relation Network for Few-Shot Learning",
)  # fmt: skip
def _relation(spec: Spec, options: RelationOptions) -> Learner:
    return Relation(spec, options)
