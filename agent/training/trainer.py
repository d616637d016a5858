"""Meta-training: outer steps, validation on held-out tasks, the best weights kept.

A run is a pure function of its learner, world and settings: batch `at` depends on the seed and on
`at` alone, so a run that was killed and resumed ends with the same bits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from agent.learners.meta import Meta
from agent.learners.registry import Outer
from agent.nets.body import seeded
from agent.training.episodic import Slope
from agent.training.outer import slope
from agent.training.ranks import Ranks
from agent.training.run import Place, Run, Trained
from agent.training.settings import TrainSettings
from agent.training.watch import Silent, Watcher
from streams.worlds.tasks import TaskWorld

__all__ = ["Trained", "train"]


def train(
    learner: Meta,
    world: TaskWorld,
    settings: TrainSettings,
    *,
    folder: Path | None = None,
    watch: Watcher | None = None,
    outer: Outer = "episodes",
    resume: bool = False,
    ranks: Ranks | None = None,
    clock: Callable[[], float] = time.monotonic,
    stop: Callable[[], bool] = lambda: False,
    way: Callable[[Meta, TaskWorld, TrainSettings], Slope] | None = None,
    about: str = "",
) -> Trained:
    """Meta-train a learner in place.

    Args:
        learner: to be trained; one that nothing trains (`outer` "none") comes back as it is.
        world: family of tasks.
        settings: of the run.
        folder: for checkpoints; without one there are none.
        watch: is told what happens.
        outer: how, as its entry in the registry says.
        resume: go on from the checkpoint in the folder, if there is one.
        ranks: the processes of a parallel run.
        clock: seconds, for the limit and the figures.
        stop: asked before each outer step; True ends the run with a checkpoint.
        way: another one than that of `outer`, as `through_time` gives it.
        about: whatever else must be the same when a run is taken up again, as the world's settings.

    Raises:
        TrainingError: it cannot be trained so, does not converge, or cannot be resumed.
    """
    learner.to(settings.device)
    if (outer == "none" and way is None) or not any(True for _ in learner.parameters()):
        return Trained(learner.eval(), (), 0.0, "nothing to train")
    with seeded(settings.seed), _threads(settings.threads):
        slopes = (
            slope(learner, world, settings, outer) if way is None else way(learner, world, settings)
        )
        place = Place(folder, watch or Silent(), ranks or Ranks(), clock, about + outer)
        run = Run(learner, slopes, settings, place, averages=outer == "reptile" and way is None)
        if resume:
            run.resume()
        return run.go(stop)


@contextmanager
def _threads(many: int) -> Iterator[None]:
    """Set the threads of tensor operations for a while; 0 leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(many or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
