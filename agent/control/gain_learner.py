"""The self-model as one of the project's learners: it predicts the next observation.

A row is an observation and the command given in it; what is learned is how strong each motor is,
and which body that is. Exact at every row: nothing in it learns by gradient.

Shapes: T tasks (robots), B steps of each in their order, F = O + A columns, O observations.
"""

import torch
from torch import Tensor
from typing_extensions import override

from agent.control.selfmodel import SelfModel
from agent.learners.base import Numbers, Sequential, Spec, State


class GainLearner(Sequential):
    """A learner of dynamics whose state is a few gains, and the bodies that were met.

    Args:
        spec: F = O + A columns in, O numbers out.
        model: what follows the gains.

    Raises:
        ValueError: the model is of another robot than the spec.
    """

    def __init__(self, spec: Spec, model: SelfModel) -> None:
        own = model.through.model
        self._observations = len(own.rise_O)
        if (spec.features, spec.outputs) != (self._observations + own.actions, self._observations):
            raise ValueError(
                f"the model has {self._observations} observations and {own.actions} actions; the"
                f" spec has {spec.features} columns and {spec.outputs} outputs"
            )
        self.spec, self.model = spec, model

    @property
    def voices(self) -> tuple[str, ...]:
        """One: the intact body's model, asked about scaled commands."""
        return ("self-model",)

    def begin(self, tasks: int) -> State:
        """Give the state of intact robots."""
        return self.model.begin(tasks)

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Numbers:
        """Say the next observation under the present gains; wider where little is explained."""
        obs_TBO, action_TBA = x_TBF.tensor_split([self._observations], -1)
        change, scale = self.model.through.model(obs_TBO, state["gain"].unsqueeze(1) * action_TBA)
        wide_T11 = self.model.wide(state).view(-1, 1, 1)
        voice_TBV = torch.zeros(*x_TBF.shape[:2], 1)
        mean = (obs_TBO + change).unsqueeze(2)
        return Numbers(voice_TBV, mean, (scale * wide_T11).unsqueeze(2))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take the steps in, one after another; what was not seen changes nothing."""
        obs_TBO, action_TBA = x_TBF.tensor_split([self._observations], -1)
        for row in range(x_TBF.shape[1]):
            after, _ = self.model.learn(state, obs_TBO[:, row], action_TBA[:, row], y_TB[:, row])
            seen_T = None if seen_TB is None else seen_TB[:, row]
            state = after if seen_T is None else _where(seen_T, after, state)
        return state

    def widen(self, state: State, classes: int) -> State:
        """Give the state as it is: numbers have no classes."""
        del classes
        return state


def _where(seen_T: Tensor, after: State, before: State) -> State:
    rows = {name: seen_T.view(-1, *[1] * (one.ndim - 1)) for name, one in after.items()}
    return {name: torch.where(rows[name], one, before[name]) for name, one in after.items()}
