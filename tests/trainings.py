"""Small worlds and learners to train."""

from dataclasses import replace

from typing_extensions import override

from agent.learners.meta import Meta
from agent.learners.registry import every_learner
from agent.nets.body import BodySettings
from agent.training.episodes import spec_of
from agent.training.settings import TrainSettings
from agent.training.watch import Silent
from streams.worlds.families import TASKS
from streams.worlds.tasks import TaskWorld

SMALL = TrainSettings(
    iterations=12, tasks_per_step=4, shots=(1, 5), queries=5, steps=(1, 2),
    validate_every=5, validation_tasks=8, checkpoint_every=3,
)  # fmt: skip


def world(name: str = "sinusoid") -> TaskWorld:
    family = TASKS[name]
    return family.build(family.settings())


def learner(name: str, of: TaskWorld, **options: object) -> Meta:
    entry = every_learner()[name]
    own = replace(entry.options(), body=BodySettings(hidden=(8,)), **options)
    made = entry(spec_of(of), own)
    assert isinstance(made, Meta)
    return made


class KilledError(RuntimeError):
    """Stands for the end of the process."""


class Killer(Silent):
    """Ends a run in the middle."""

    def __init__(self, at: int) -> None:
        self._at = at

    @override
    def stepped(self, iteration: int) -> None:
        if iteration == self._at:
            raise KilledError
