"""A meta-learner at a stream's table: its meta-parameters stand still, its voices bear its name."""

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.standard import Standard
from agent.learners.base import Exact, Learner, Said, State


class Seat(Exact):
    """A learner under a name, for use among others.

    Numbers come to it standardised, so that one trained near one serves any unit. A learner that is
    a module is put in eval mode, and its parameters are frozen: only states learn here.

    Args:
        name: of its voices: the name alone if it has one, `name.voice` if several.
        learner: any.
    """

    def __init__(self, name: str, learner: Learner) -> None:
        if isinstance(learner, torch.nn.Module):
            learner.eval().requires_grad_(requires_grad=False)
        self.spec = learner.spec
        self._learner: Learner = Standard(learner) if learner.spec.regression else learner
        several = len(learner.voices) > 1
        self._voices = tuple(f"{name}.{one}" if several else name for one in learner.voices)

    @property
    def voices(self) -> tuple[str, ...]:
        """Its learner's, under its name."""
        return self._voices

    def begin(self, tasks: int) -> State:
        """Its learner's start."""
        return {name: leaf.detach() for name, leaf in self._learner.begin(tasks).items()}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As its learner."""
        return self._learner.predict(state, x_TBF)

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """As its learner."""
        return self._learner.foresee(state, x_TBF, y_TB, seen_TB)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """As its learner."""
        return self._learner.predict_then_learn(state, x_TBF, y_TB, seen_TB)

    def widen(self, state: State, classes: int) -> State:
        """As its learner."""
        return self._learner.widen(state, classes)
