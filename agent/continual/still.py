"""A learner that stands still: it answers from where it began, and no example changes that."""

from torch import Tensor
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, State


class Still(Blockwise):
    """The start of a learner, for ever: the floor of every comparison.

    Args:
        learner: any.
    """

    def __init__(self, learner: Learner) -> None:
        self.spec, self.learner = learner.spec, learner

    @property
    def voices(self) -> tuple[str, ...]:
        """The learner's."""
        return self.learner.voices

    def begin(self, tasks: int) -> State:
        """The learner's start."""
        return self.learner.begin(tasks)

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As the learner."""
        return self.learner.predict(state, x_TBF)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Learn nothing."""
        del x_TBF, y_TB, seen_TB
        return state

    def widen(self, state: State, classes: int) -> State:
        """As the learner."""
        return self.learner.widen(state, classes)
