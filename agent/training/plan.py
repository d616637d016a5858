"""What a person asked `adaptd train` for, built and checked before anything runs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from agent.build import build
from agent.faults import Fault, SettingsError, nearest
from agent.learners.meta import Meta
from agent.learners.registry import Entry, every_learner
from agent.toml import Table, Text, overlay
from agent.training import keep
from agent.training.episodes import spec_of
from agent.training.episodic import Slope
from agent.training.settings import TrainSettings
from agent.training.through_time import TimeSettings, through_time
from agent.training.weights import plain, without_none
from streams.worlds.families import TASKS
from streams.worlds.tasks import TaskWorld


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for.

    Args:
        learner: its name.
        tasks: the world's name.
        out: folder of the run: checkpoint, history, weights and card.
        training: settings of the run by path, still to be read.
        options: of the learner, likewise.
        world: of the world, likewise.
        time: of training through time, likewise; None is training by episodes.
        resume: go on with the run in the folder.
        test_tasks: held-out tasks of the final table.
        command: as it was typed.
    """

    learner: str
    tasks: str
    out: Path
    training: Mapping[str, Text] = field(default_factory=dict)
    options: Mapping[str, Text] = field(default_factory=dict)
    world: Mapping[str, Text] = field(default_factory=dict)
    time: Mapping[str, Text] | None = None
    resume: bool = False
    test_tasks: int = 600
    command: str = ""


class Plan(NamedTuple):
    """Everything that was asked for, built and checked."""

    entry: Entry
    options: Any
    world: TaskWorld
    world_settings: Any
    settings: TrainSettings
    learner: Meta
    time: TimeSettings | None

    @property
    def way(self) -> Callable[[Meta, TaskWorld, TrainSettings], Slope] | None:
        """The way to train by, where it is not that of the learner's entry."""
        return None if self.time is None else through_time(self.time)

    def about(self, learner: str, tasks: str) -> str:
        """Say what else must be the same when the run is taken up again."""
        told = [learner, plain(self.options), tasks, plain(self.world_settings)]
        return json.dumps(told if self.time is None else [*told, plain(self.time)])


def plan(asked: Asked) -> Plan:
    """Build what was asked for; nothing has run then.

    Raises:
        SettingsError: names or settings that are not there, with the nearest that are.
        ValueError: the learner cannot predict what the tasks ask for.
    """
    entry = _named("--learner", asked.learner, every_learner())
    family = _named("--tasks", asked.tasks, TASKS)
    options = _read("learner", entry.options(), asked.options)
    world_settings = _read("tasks", family.settings, asked.world)
    settings = _read("training", TrainSettings(), asked.training)
    world = family.build(world_settings)
    learner = entry(spec_of(world), options)
    if not isinstance(learner, Meta):
        fault = Fault("--learner", asked.learner, "learns from streams alone; it has no weights")
        raise SettingsError([fault])
    time = None if asked.time is None else _read("time", TimeSettings(), asked.time)
    there = (asked.out / keep.FILE).exists()
    if there != asked.resume:
        said = "holds a run: go on with --resume" if there else "holds no run: leave out --resume"
        raise SettingsError([Fault("--out", str(asked.out), f"{said}, or give another folder")])
    return Plan(entry, options, world, world_settings, settings, learner, time)


def _named(flag: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise SettingsError([Fault(flag, name, nearest(name, known))])
    return known[name]


def _read(place: str, default: Any, given: Mapping[str, Text]) -> Any:
    """Lay what was given over a default, or over a kind whose settings have no defaults."""
    table: Table = {} if isinstance(default, type) else without_none(plain(default))
    kind = default if isinstance(default, type) else type(default)
    whole, faults = overlay(table, given)
    if faults:
        raise SettingsError(faults)
    try:
        return build(kind, whole)
    except SettingsError as error:
        raise SettingsError(
            [replace(fault, path=f"{place}.{fault.path}") for fault in error.faults]
        ) from None
