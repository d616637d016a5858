"""A learned update rule with plasticity: what old examples lean on moves less, by as much as pays.

For each weight w, with its gradient g on the examples at hand:

    r  = I / (I + g^2)                  how much the past leant on it, against now; in [0, 1)
    w' = w - exp(A) exp(-k r) g - d (w - w0)
    I' = c I + g^2

I is the weight's importance, a running sum of squared gradients (a diagonal Fisher information, as
in Kirkpatrick et al. 2017 and Schwarz et al. 2018). Meta-learned: w0, log step sizes A (one a
weight; Li et al. 2017), and for each part how strongly importance protects, k >= 0, how slowly it
fades, c, and the pull towards the start that keeps weights plastic on endless streams (as Kumar et
al. 2023), d. Protection is a ratio, so it has no unit: it works for any loss. With k = d = 0 the
rule is Meta-SGD. The columns of a class head share all of it but I.

Shapes: as `gradient`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.gradient import Descent, GradientOptions
from agent.learners.registry import register
from agent.nets import part, prefixed

LONGEST = math.log(0.5)  # of log step sizes
TINY = 1e-12  # squared gradient of a weight that nothing leans on


@dataclass(frozen=True, slots=True)
class LearnedRuleOptions(GradientOptions):
    """As `GradientOptions`, with what the rule begins as.

    Args:
        protect: k, at first.
        fade: 1 - c, at first.
        pull: d, at first.
    """

    protect: float = 0.5
    fade: float = 0.05
    pull: float = 1e-4

    @override
    def __post_init__(self) -> None:
        super(LearnedRuleOptions, self).__post_init__()
        if self.protect <= 0 or not 0 < self.fade < 1 or not 0 < self.pull < 1:
            raise ValueError("protect must be above 0, fade and pull lie between 0 and 1")


class LearnedRule(Descent):
    """Fast weights moved by learned steps that protect what matters.

    >>> from agent.learners.base import Spec
    >>> learner = LearnedRule(Spec(features=1, classes=0), LearnedRuleOptions())
    >>> sorted(learner.begin(tasks=1))[:3]
    ['count', 'fast.b0', 'fast.b1']
    """

    def __init__(self, spec: Spec, options: LearnedRuleOptions) -> None:
        super().__init__(spec, options)
        first = {
            "protect": math.log(math.expm1(options.protect)),
            "fade": _logit(options.fade),
            "pull": _logit(options.pull),
        }
        rate = math.log(options.rate)
        self.log_rate = nn.ParameterDict(
            {name: nn.Parameter(torch.full_like(leaf, rate)) for name, leaf in self.start.items()}
        )
        self.rule = nn.ParameterDict(
            {key: nn.Parameter(torch.full((len(self.start),), raw)) for key, raw in first.items()}
        )

    @override
    def begin(self, tasks: int) -> State:
        """The learned start; nothing is important yet."""
        state = super().begin(tasks)
        none = {name: torch.zeros_like(leaf) for name, leaf in part("fast", state).items()}
        return {**state, **prefixed("importance", none)}

    @override
    def by_class(self) -> Mapping[str, float]:
        """Nothing leans on a new class."""
        return {"importance.head": 0.0, "importance.bias": 0.0}

    @override
    def update(self, state: State, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of the rule."""
        protect = nn.functional.softplus(self.rule["protect"])
        fade, pull = self.rule["fade"].sigmoid(), self.rule["pull"].sigmoid()
        after: dict[str, Tensor] = {}
        for at, (name, start) in enumerate(self.start.items()):
            weight, past, grad = state[f"fast.{name}"], state[f"importance.{name}"], grads[name]
            now = grad.square()
            step = self.log_rate[name].clamp(max=LONGEST) - protect[at] * past / (past + now + TINY)
            after[f"fast.{name}"] = weight - step.exp() * grad - pull[at] * (weight - start)
            after[f"importance.{name}"] = (1 - fade[at]) * past + now
        return after


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


@register(
    "learned-rule", LearnedRuleOptions, family="continual", outer="sequences",
    paper="a learned update rule: per-weight step sizes of Li et al. 2017 under a learned "
    "protection by the running importance of Kirkpatrick et al. 2017 and Schwarz et al. 2018",
)  # fmt: skip
def _learned_rule(spec: Spec, options: LearnedRuleOptions) -> Learner:
    return LearnedRule(spec, options)
