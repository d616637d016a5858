"""Learning a task's support, and the loss on its queries: what meta-training differentiates.

Shapes: T tasks, B examples, F features.
"""

from collections.abc import Iterator

from torch import Tensor

from agent.learners.base import Classes, Learner, Said, State
from agent.learners.meta import Meta
from agent.training.episodes import Batch


def adapt(learner: Learner, state: State, x_TBF: Tensor, y_TB: Tensor, steps: int) -> State:
    """Learn a support: so many times by a learner that rehearses, once by another, never at 0."""
    for _ in range(steps if rehearses(learner) else min(steps, 1)):
        state = learner.learn(state, x_TBF, y_TB)
    return state


def stages(
    learner: Learner, x_TBF: Tensor, y_TB: Tensor, steps: int
) -> Iterator[tuple[int, State]]:
    """Give the state after 0, 1, ... steps, each with its number.

    A learner that does not rehearse has one state for all steps from the first on; where there
    are no rows, everyone has the start.
    """
    state = learner.begin(x_TBF.shape[0])
    yield 0, state
    for step in range(1, steps + 1):
        if x_TBF.shape[1] and (step == 1 or rehearses(learner)):
            state = learner.learn(state, x_TBF, y_TB)
        yield step, state


def rehearses(learner: Learner) -> bool:
    """Say whether learning the same support again is a further step to it."""
    return bool(getattr(learner, "rehearses", False))


def episode_loss(learner: Meta, batch: Batch, steps: int) -> Tensor:
    """Mean objective over the queries after learning the support, a scalar."""
    state = learner.begin(batch.support_x.shape[0])
    state = adapt(learner, state, batch.support_x, batch.support_y, steps)
    return learner.objective(learner.predict(state, batch.query_x), batch.query_y).mean()


def score(said: Said, y_TB: Tensor) -> Tensor:
    """Score of each task, shape T: share of right classes, or mean squared error of the mean."""
    if isinstance(said, Classes):
        return said.marginal().argmax(2).eq(y_TB).double().mean(1)
    mean, _ = said.moments()
    return ((mean - y_TB).double() ** 2).flatten(1).mean(1)
