"""Voices that say something else later, and words of them."""

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State

VOICES, LANES = 4, 8


class Turncoat(Exact):
    """Says what a row's columns hold, and, when asked with a lateness, the very opposite."""

    def __init__(self, classes: int) -> None:
        self.spec = Spec(VOICES * max(classes, 1) + 1, classes, dated=True)
        self.voices = tuple(f"voice {at}" for at in range(VOICES))

    def begin(self, tasks: int) -> State:
        """Nothing is kept."""
        return {"nothing": torch.zeros(tasks, 1)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Read the row, turned about if it is late."""
        del state
        x = torch.where(x_TBF[..., -1:] > 0, -x_TBF, x_TBF)[..., :-1]
        if self.spec.regression:
            return Numbers(torch.zeros_like(x), x, torch.ones_like(x))
        logp = x.unflatten(2, (VOICES, -1)).log_softmax(3)
        return Classes(torch.zeros_like(logp[..., 0]), logp)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        return self.predict(state, x_TBF), state

    def widen(self, state: State, classes: int) -> State:
        """Never asked for."""
        raise NotImplementedError


def late(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., -1] = 5
    return x
