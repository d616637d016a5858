"""The protocol of every learner: a state, and three pure functions over it.

Shapes: T tasks, B examples of each, F features, C classes (capacity), V voices.
A state is a flat tree of tensors with the task axis first. `y_TB` holds class indices (int64) or
numbers (float32), and is y_TBO where a spec has several outputs; `seen_TB` (bool) masks ragged
batches: what is not seen teaches nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import override

State: TypeAlias = Mapping[str, Tensor]
"""All that one task has taught so far. Never changed in place: `learn` gives a new one."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a learner is asked for: F features in; C classes, or numbers (`classes == 0`), out.

    `outputs` is how many numbers, O; one is the rule, a robot's next state has many. The last
    columns of a row may be more than quantities, for learners that know them:

    Args:
        features: F, all columns of a row, with those that follow.
        codes: so many columns are codes of words: whole numbers from 1, 0 where missing.
        dated: the very last column, after the codes, is the row's lateness: the number of labels
            learned between its question and its own label; 0 for a row asked now.
    """

    features: int
    classes: int
    outputs: int = 1
    codes: int = 0
    dated: bool = False

    @property
    def quantities(self) -> int:
        """Columns that are neither codes nor the lateness: the first ones."""
        return self.features - self.codes - self.dated

    def sees(self, *, codes: bool = False, dated: bool = False) -> "Spec":
        """Give the spec of a learner that is shown the quantities, and of the rest only this."""
        codes_kept, dated_kept = self.codes * codes, self.dated and dated
        width = self.quantities + codes_kept + dated_kept
        return Spec(width, self.classes, self.outputs, codes_kept, dated_kept)

    def shown(self, to: "Spec", x_TBF: Tensor) -> Tensor:
        """Cut rows of this spec to the columns of one that `sees` gave."""
        if to.features == self.features:
            return x_TBF
        words = x_TBF[..., self.quantities : self.quantities + to.codes]
        parts = [x_TBF[..., : self.quantities], words]
        if to.dated:
            parts.append(x_TBF[..., -1:])
        return torch.cat(parts, -1) if to.codes or to.dated else parts[0]

    @property
    def regression(self) -> bool:
        """Whether numbers are to be predicted."""
        return self.classes == 0

    @property
    def width(self) -> int:
        """Columns of the last layer of a network that says this: C, or O."""
        return self.classes or self.outputs


@dataclass(frozen=True, slots=True)
class Classes:
    """A distribution over classes: a mixture of V voices.

    `voice_TBV` holds the voices' log-weights (they sum to one in probability), `logp_TBVC` each
    voice's log-probabilities.
    """

    voice_TBV: Tensor
    logp_TBVC: Tensor

    def marginal(self) -> Tensor:
        """Log-probabilities of the mixture, shape TBC."""
        return torch.logsumexp(self.voice_TBV.unsqueeze(-1) + self.logp_TBVC, 2)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A distribution over numbers: a mixture of V normal voices, in the target's unit.

    Where a spec has several outputs, mean and scale have one more axis: TBVO, and so the moments.
    """

    voice_TBV: Tensor
    mean_TBV: Tensor
    scale_TBV: Tensor

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the mixture, each of shape TB."""
        weight = self.voice_TBV.exp()
        if self.mean_TBV.ndim > weight.ndim:
            weight = weight.unsqueeze(-1)
        mean = (weight * self.mean_TBV).sum(2)
        second = (weight * (self.scale_TBV**2 + (self.mean_TBV - mean.unsqueeze(2)) ** 2)).sum(2)
        return mean, second.clamp(min=1e-24).sqrt()


Said: TypeAlias = Classes | Numbers


@runtime_checkable
class Learner(Protocol):
    """What everything that learns offers. Pure: the state that goes in stays valid."""

    spec: Spec

    @property
    def voices(self) -> tuple[str, ...]:
        """The names of the voices in what it says, V of them."""
        ...

    def begin(self, tasks: int) -> State:
        """Give the meta-learned start, once a task."""
        ...

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Say a distribution for each row; works on a fresh state; changes nothing."""
        ...

    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Say what `predict_then_learn` would say, to the bit, and learn nothing."""
        ...

    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Give the state after these examples, taken in their order."""
        ...

    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Test then train over a run: row i is predicted from the seen rows before it.

        What is exact (attention, counts, weights of experts) moves from row to row; what learns
        by gradient may stand still inside the call and take one step at its end.
        """
        ...

    def widen(self, state: State, classes: int) -> State:
        """Make room for more classes; what it says of the known ones stays as it was."""
        ...


class Exact(ABC):
    """Gives `learn` and `foresee` to a learner that answers a run by `predict_then_learn`."""

    @abstractmethod
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """As the protocol says."""

    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Give the state after these examples, taken in their order."""
        return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[1]

    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Say what `predict_then_learn` would say, and learn nothing."""
        return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[0]


class Blockwise(Exact):
    """Gives `predict_then_learn` to a learner that stands still inside a block, as gradients do.

    `predict` and `learn` are its own.
    """

    @abstractmethod
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As the protocol says."""

    @override
    @abstractmethod
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """As the protocol says."""

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer every row with the state as it stands, then learn them together."""
        return self.predict(state, x_TBF), self.learn(state, x_TBF, y_TB, seen_TB)

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer every row with the state as it stands."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)


class Sequential(Exact):
    """Gives `predict_then_learn` to a learner that takes its examples one by one.

    The default for whoever has no better way; `predict` and `learn` are its own.
    """

    @abstractmethod
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As the protocol says."""

    @override
    @abstractmethod
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """As the protocol says."""

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer a row, learn it, go on to the next."""
        said: list[Said] = []
        for row in range(x_TBF.shape[1]):
            one = slice(row, row + 1)
            said.append(self.predict(state, x_TBF[:, one]))
            seen = None if seen_TB is None else seen_TB[:, one]
            state = self.learn(state, x_TBF[:, one], y_TB[:, one], seen)
        return joined(said), state


def joined(said: Sequence[Said]) -> Said:
    """Put answers to runs of rows together, along the rows."""
    classes = [one for one in said if isinstance(one, Classes)]
    if classes:
        voice = torch.cat([one.voice_TBV for one in classes], 1)
        return Classes(voice, torch.cat([one.logp_TBVC for one in classes], 1))
    numbers = [one for one in said if isinstance(one, Numbers)]
    voice, mean, scale = (
        torch.cat([getattr(one, leaf) for one in numbers], 1)
        for leaf in ("voice_TBV", "mean_TBV", "scale_TBV")
    )
    return Numbers(voice, mean, scale)
