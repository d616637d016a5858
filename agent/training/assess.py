"""How well a learner does on tasks it was not trained on, by shots and by steps.

Shapes: T tasks, Q queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from agent.learners.base import Learner
from agent.training.episodes import Sampler
from agent.training.unroll import score, stages
from streams.worlds.tasks import Split, TaskWorld

CHUNK = 100  # tasks at a time
SURE = 1.96  # standard errors either side of a mean: 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Score:
    """A learner's figure after so many shots and steps.

    Args:
        shots: rows of support, a class or a task.
        steps: inner steps; a learner that does not rehearse has one figure from the first on.
        metric: "mse" (lower is better) or "accuracy" (higher).
        mean: over the tasks.
        half_width: of the 95 % interval of that mean.
        each: the tasks' own figures.
    """

    shots: int
    steps: int
    metric: str
    mean: float
    half_width: float
    each: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def said(self) -> str:
        """Mean and interval in words, at four figures."""
        return f"{self.mean:.4g} ± {self.half_width:.2g}"


def assess(
    learner: Learner,
    world: TaskWorld,
    split: Split,
    *,
    tasks: int = 600,
    shots: Sequence[int] = (1, 5, 10),
    steps: Sequence[int] = (0, 1, 5, 10),
    queries: int = 15,
    seed: int = 0,
    device: str = "cpu",
    chunk: int = CHUNK,
) -> list[Score]:
    """Score a learner on tasks of a split: the same tasks for every learner, shots and steps.

    Args:
        learner: any; it is not changed.
        world: family of tasks.
        split: whose tasks.
        tasks: how many.
        shots: rows of support, a class or a task; with 0 nothing is learned.
        steps: inner steps; with 0 nothing is learned.
        queries: rows of query, a class or a task.
        seed: of the draw of tasks and rows.
        device: where the learner is.
        chunk: tasks at a time.
    """
    training = bool(getattr(learner, "training", False))
    if isinstance(learner, torch.nn.Module):
        learner.eval()
    sampler = Sampler(world, split, min(tasks, chunk), max(1, *shots), queries, seed, device)
    scores = [
        one
        for many in shots
        for one in _by_steps(learner, sampler, many, sorted(set(steps)), tasks)
    ]
    if isinstance(learner, torch.nn.Module):
        learner.train(training)
    return scores


def _by_steps(
    learner: Learner, sampler: Sampler, shots: int, steps: Sequence[int], tasks: int
) -> list[Score]:
    """Score after each of the steps; without shots, they all leave the start as it is."""
    found: dict[int, list[NDArray[np.float64]]] = {step: [] for step in steps}
    for at in range(-(-tasks // sampler.tasks)):
        batch = sampler.batch(at, shots=max(shots, 1))
        x, y = batch.support_x, batch.support_y
        if not shots:
            x, y = x[:, :0], y[:, :0]
        with torch.inference_mode():
            each, of = np.empty(0), None
            for step, state in stages(learner, x, y, max(steps)):
                if step in found:
                    if state is not of:
                        said, of = learner.predict(state, batch.query_x), state
                        each = score(said, batch.query_y).cpu().numpy()
                    found[step].append(each)
    metric = "mse" if sampler.world.classes == 0 else "accuracy"
    return [_score(shots, step, metric, np.concatenate(found[step])[:tasks]) for step in steps]


def _score(shots: int, steps: int, metric: str, each: NDArray[np.float64]) -> Score:
    spread = each.std(ddof=1) if len(each) > 1 else np.nan
    half = float(SURE * spread / np.sqrt(len(each)))
    return Score(shots, steps, metric, float(each.mean()), half, each)
