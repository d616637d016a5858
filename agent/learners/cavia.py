"""CAVIA (Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson 2019): a few context parameters adapt.

    c' = c - a grad_c L(c, w, support),  c = 0 at the start       (1), the inner step
    w <- w - b grad_w L(c', w, query)                             (2), by the trainer

The network's weights w are shared by all tasks and stand still in `learn`; only the context c, in
the state, moves. It is concatenated to the input ("concatenate": the same as a shift
of the first layer, V c), or scales and shifts every layer ("film").

For classes the paper's head has one column for each of N ways. Here a class has context parameters
of its own, u_c = 0 at the start, from which its column is made, w_c = w0 + U u_c, so that any
number of classes is served; they move by the same inner step.

Shapes: T tasks, B examples, F features, E embedding, D context, O outputs (classes or numbers).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, Spec, State
from agent.learners.meta import Pointwise, targets
from agent.learners.registry import register
from agent.nets import all_seen, part, prefixed
from agent.nets.body import BodySettings, seeded
from agent.nets.film import FilmBody
from agent.nets.inner import clipped, cross_entropy, inner_gradient, sound, squared_error
from agent.nets.sets import bounded


@dataclass(frozen=True, slots=True)
class CaviaOptions:
    """Network, context and inner loop.

    Args:
        body: the shared network under the head.
        context: D, how many context parameters a task (and a class) has.
        by: "concatenate" to the input, or "film".
        rate: inner step size.
        steps: inner steps a call of `learn`.
        clip: largest norm of a task's inner gradient.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    context: int = 5
    by: Literal["concatenate", "film"] = "concatenate"
    rate: float = 1.0
    steps: int = 1
    clip: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.clip <= 0 or min(self.steps, self.context) < 1:
            raise ValueError("rate and clip must be above 0, steps and context 1 or more")


class Cavia(Pointwise, Blockwise):
    """Context parameters moved by gradient steps under weights that stand still.

    >>> learner = Cavia(Spec(features=1, classes=0), CaviaOptions(rate=0.1))
    >>> x = torch.linspace(-1, 1, 8).view(1, 8, 1)
    >>> before = learner.begin(tasks=1)
    >>> after = learner.learn(before, x, 1 + x[..., 0])
    >>> [name for name in after if not torch.equal(after[name], before[name])]
    ['count', 'context.task']
    """

    rehearses = True

    def __init__(self, spec: Spec, options: CaviaOptions) -> None:
        super().__init__(spec)
        self.options, size = options, options.context
        with seeded(options.seed):
            self.body = FilmBody(spec.features, options.body)
            self.head = nn.Linear(self.body.size, spec.outputs if spec.regression else 1)
            films = self.body.modulation if options.by == "film" else self.body.widths[0]
            self.film = nn.Linear(size, films, bias=False)
            column = None if spec.regression else nn.Linear(size, self.body.size + 1, bias=False)
            self.column = column

    @override
    def begin(self, tasks: int) -> State:
        """All contexts at zero."""
        zero, size = self.head.weight.new_zeros, self.options.context
        context = {"task": zero(tasks, size)}
        if not self.spec.regression:
            context["classes"] = zero(tasks, size, self.spec.classes)
        return {**self.fresh(tasks), **prefixed("context", context)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer under the contexts."""
        return self.answer(state, self.outputs(part("context", state), x_TBF))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Equation 1, `steps` times; a task whose step is not finite keeps its contexts."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        x_TBF = torch.where(seen_TB.unsqueeze(2), x_TBF, 0.0)
        noted = self.noted(state, y_TB, seen_TB)
        known, context = noted.get("known", noted["count"]), part("context", state)
        for _ in range(self.options.steps):
            grads = inner_gradient(self.loss, context, x_TBF, y_TB, seen_TB, known)
            grads = clipped(grads, self.options.clip)
            moved = {name: at - self.options.rate * grads[name] for name, at in context.items()}
            context = sound(moved, context, seen_TB.any(1))
        return {**state, **noted, **prefixed("context", context)}

    def loss(
        self,
        context: Mapping[str, Tensor],
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor,
        known_TC: Tensor,
    ) -> Tensor:
        """Loss of each task on these examples, shape T: cross entropy, or squared error."""
        out = self.outputs(context, x_TBF)
        if not self.spec.regression:
            return cross_entropy(out + known_TC.unsqueeze(1), y_TB, seen_TB)
        return squared_error(out, targets(self.spec, y_TB, 0), seen_TB)

    def outputs(self, context: Mapping[str, Tensor], x_TBF: Tensor) -> Tensor:
        """Logits or means, shape TBO."""
        film = self.film(context["task"])
        if self.options.by == "concatenate":  # no scale, and a shift of the first layer alone
            first = self.body.widths[0]
            film = nn.functional.pad(film, (first, self.body.modulation - 2 * first))
        z_TBE = self.body(bounded(x_TBF), film)
        out: Tensor = self.head(z_TBE)
        if self.column is None:
            return out
        column: Tensor = self.column(context["classes"].mT).mT
        return out + torch.baddbmm(column[:, -1:], z_TBE, column[:, :-1])

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class has a context of zeros."""
        return {"context.classes": 0.0}


@register(
    "cavia", CaviaOptions, family="contextual", outer="episodes",
    paper="Zintgraf et al. 2019, Fast Context Adaptation via Meta-Learning",
)  # fmt: skip
def _cavia(spec: Spec, options: CaviaOptions) -> Learner:
    return Cavia(spec, options)
