"""Whether learners know how sure to be: calibration error of classes, coverage of intervals."""

import torch

from agent.learners.base import Classes, Learner
from agent.training.calibration import quantile, reliability
from agent.training.episodes import Sampler
from agent.training.unroll import adapt
from streams.worlds.tasks import TaskWorld

LEVEL = 0.9
CHUNK = 20


def doubt(
    learner: Learner,
    world: TaskWorld,
    *,
    shots: int,
    steps: int,
    tasks: int,
    queries: int,
    seed: int,
) -> float:
    """Expected calibration error (15 bins of equal width), or the share inside 90 % intervals."""
    sampler = Sampler(world, "test", CHUNK, shots, queries, seed)
    first, second = [], []
    for at in range(tasks // CHUNK):
        batch = sampler.batch(at)
        with torch.inference_mode():
            state = learner.begin(CHUNK)
            state = adapt(learner, state, batch.support_x, batch.support_y, steps)
            said = learner.predict(state, batch.query_x)
            if isinstance(said, Classes):
                top, held = said.marginal().exp().max(2)
                first.append(top.flatten())
                second.append((held == batch.query_y).flatten())
            else:
                first.append(2 * (quantile(said, batch.query_y).flatten() - 0.5).abs())
    if second:
        return reliability(torch.cat(first), torch.cat(second)).error
    return float((torch.cat(first) <= LEVEL).double().mean())
