"""Meta-training without an outer gradient: the start moves to where tasks' descents end."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import State
from agent.learners.meta import Meta
from agent.training.cast import cast
from agent.training.episodes import Batch
from agent.training.episodic import Episodic
from agent.training.joint import rows
from agent.training.settings import TrainingError
from agent.training.unroll import adapt

AVERAGE = "average"
"""The method of a learner that gives, of a state, the mean of its weights by name of `start`."""


class Averaging(Episodic):
    """Reptile (Nichol, Achiam & Schulman 2018): the start moves to the mean of adapted weights.

    w <- w + rate (mean of w' - w), as the gradient (w - w') of algorithm 2. All rows of a task are
    learned, queries too. What is no start of a weight, as a learned scale, descends on the queries.
    """

    @override
    def add(self, at: int, shard: int, share: float) -> Tensor:
        batch, steps = self.draw("train", at, shard)
        start = averaged(self.learner)
        with cast(self.settings):
            with torch.no_grad():
                begun = self.learner.begin(batch.query_x.shape[0])
                state = adapt(self.learner, begun, *rows(batch), steps)
            loss = self._fit_the_rest(state, batch, share)
        with torch.no_grad():
            mean: Mapping[str, Tensor] = getattr(self.learner, AVERAGE)(state)
            for name, weight in start.items():
                away = (weight - mean[name]) * share
                weight.grad = away if weight.grad is None else weight.grad + away
        return loss

    def _fit_the_rest(self, state: State, batch: Batch, share: float) -> Tensor:
        said = self.learner.predict(state, batch.query_x)
        loss = self.learner.objective(said, batch.query_y).mean()
        if loss.requires_grad:
            (loss * share).backward()
        return loss.detach()


def averaged(learner: Meta) -> Mapping[str, nn.Parameter]:
    """Give the weights that Reptile averages, by name.

    Raises:
        TrainingError: the learner has none.
    """
    start = getattr(learner, "start", None)
    if not isinstance(start, nn.ParameterDict) or not hasattr(learner, AVERAGE):
        raise TrainingError(
            f"{type(learner).__name__} cannot be trained by Reptile's average:"
            " it has no `start` of weights, or no `average(state)`"
        )
    return dict(start.items())
