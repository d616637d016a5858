"""What meta-learners share: parameters that meta-training moves, and a state that tasks move.

Nothing meta-learned depends on the number of classes: what belongs to a class starts the same for
each (Ye & Chao 2022, UNICORN-MAML), so weights trained at 5 ways serve 20, and a stream's new class
is given the same start as the first. Classes that a task has not met yet are held at a logit of
`UNSEEN`; they are met in `learn`.

Shapes: T tasks, B examples, F features, C classes, O outputs.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.nets import hot, normal_log_density, pad_last

UNSEEN = -30.0
STAGES = 12  # of doubling counts of examples, for each of which a scale is learned


class Meta(nn.Module, Exact):
    """A learner whose start and way of learning are its parameters.

    `rehearses` says whether learning the same support again is a further step (gradients), or would
    count it twice (posteriors, memories).
    """

    rehearses: ClassVar[bool] = False
    voices: tuple[str, ...] = ("one",)

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.spread = nn.Parameter(torch.zeros(STAGES, 1)) if spec.regression else None

    @abstractmethod
    def begin(self, tasks: int) -> State:
        """Give the meta-learned start, once a task."""

    @abstractmethod
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Say a distribution for each row; works on a fresh state; changes nothing."""

    @abstractmethod
    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Give the state after these examples."""

    def widen(self, state: State, classes: int) -> State:
        """Make room for more classes: the leaves of `by_class` grow along their last axis."""
        fills = {"known": UNSEEN, **self.by_class()}
        return {
            name: pad_last(leaf, classes, fills[name]) if name in fills else leaf
            for name, leaf in state.items()
        }

    def by_class(self) -> Mapping[str, float]:
        """Leaves whose last axis is the classes, with what a new class starts from."""
        return {}

    def objective(self, said: Said, y_TB: Tensor) -> Tensor:
        """Loss of each answer for meta-training, shape TB: minus the log of what it gave to y."""
        return -log_score(said, y_TB)

    def fresh(self, tasks: int) -> dict[str, Tensor]:
        """Leaves that every state here has: how many were seen, and which classes."""
        at = next(self.parameters()).device
        leaves = {"count": torch.zeros(tasks, 1, device=at)}
        if not self.spec.regression:
            leaves["known"] = torch.full((tasks, self.spec.classes), UNSEEN, device=at)
        return leaves

    def noted(self, state: State, y_TB: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
        """Those leaves after more examples."""
        after = {"count": state["count"] + seen_TB.sum(1, keepdim=True)}
        if not self.spec.regression:
            known = state["known"]
            met = torch.zeros_like(known).scatter_reduce(1, y_TB, seen_TB.float(), "amax")
            after["known"] = torch.where(met > 0, 0.0, known)
        return after

    def answer(self, state: State, out_TBO: Tensor) -> Said:
        """One voice from a network's outputs: logits, or means with the scale of this stage."""
        if not self.spec.regression:
            logp = torch.log_softmax(out_TBO + state["known"].unsqueeze(1), 2)
            return one_voice(logp)
        return numbers(self.spec, out_TBO, self.scale(state).unsqueeze(1).expand_as(out_TBO))

    def scale(self, state: State) -> Tensor:
        """Learned standard deviation after so many examples, shape T1, in the target's unit."""
        if self.spread is None:
            raise ValueError("classes have no scale")
        stage = torch.log2(1 + state["count"].squeeze(1)).long().clamp(max=STAGES - 1)
        return self.spread[stage].clamp(-12, 12).exp()


class Pointwise(Meta):
    """A `Meta` trained on its mean alone, as its paper does; its scale learns beside it.

    The gradient of a normal density by its mean is divided by the variance, which would slow down
    the tasks that are hardest; here it is not.
    """

    @override
    def objective(self, said: Said, y_TB: Tensor) -> Tensor:
        """Squared error of the mean, plus the log score of the scale about that mean held fixed."""
        if isinstance(said, Classes):
            return -log_score(said, y_TB)
        mean, scale = said.mean_TBV[:, :, 0], said.scale_TBV[:, :, 0]
        each = (mean - y_TB) ** 2 - normal_log_density(y_TB, mean.detach(), scale)
        return each if self.spec.outputs == 1 else each.mean(2)


def log_score(said: Said, y_TB: Tensor) -> Tensor:
    """Log of the probability (or density; its mean over the outputs) given to y, shape TB."""
    if isinstance(said, Classes):
        return said.marginal().gather(2, y_TB.unsqueeze(2)).squeeze(2)
    if y_TB.ndim > 2:  # noqa: PLR2004 - several outputs
        each = normal_log_density(y_TB.unsqueeze(2), said.mean_TBV, said.scale_TBV).mean(3)
    else:
        each = normal_log_density(y_TB.unsqueeze(2), said.mean_TBV, said.scale_TBV)
    return torch.logsumexp(said.voice_TBV + each, 2)


def targets(spec: Spec, y_TB: Tensor, classes: int) -> Tensor:
    """Labels as a network reads them: indicators of so many classes, TBC, or numbers, TBO."""
    if not spec.regression:
        return hot(y_TB, classes)
    return y_TB if spec.outputs > 1 else y_TB.unsqueeze(2)


def numbers(spec: Spec, mean_TBO: Tensor, scale_TBO: Tensor) -> Numbers:
    """One normal voice, with the axes that the spec asks for."""
    voice = torch.zeros_like(mean_TBO[..., :1])
    if spec.outputs == 1:
        return Numbers(voice, mean_TBO, scale_TBO)
    return Numbers(voice, mean_TBO.unsqueeze(2), scale_TBO.unsqueeze(2))


def one_voice(logp_TBC: Tensor) -> Classes:
    """One voice over classes."""
    return Classes(torch.zeros_like(logp_TBC[..., :1]), logp_TBC.unsqueeze(2))
