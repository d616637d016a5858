"""The way to an outer gradient, for each `Outer` of the registry."""

from agent.learners.meta import Meta
from agent.learners.registry import Outer
from agent.training.average import Averaging
from agent.training.episodic import Episodic, Slope
from agent.training.joint import Together
from agent.training.settings import TrainSettings
from streams.worlds.tasks import TaskWorld


def slope(learner: Meta, world: TaskWorld, settings: TrainSettings, outer: Outer) -> Slope:
    """Give the slope that a learner is trained by."""
    if outer == "joint":
        return Together(learner, world, settings)
    kind = Averaging if outer == "reptile" else Episodic
    return kind(learner, world, settings, ordered=outer == "sequences")
