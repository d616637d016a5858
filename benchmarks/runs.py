"""Meta-training many learners side by side, a process each; what is done is kept and not repeated.

out/TABLE/NAME-SEED.json holds one run; remove it to run it again.
"""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import torch

from agent.learners.base import Learner, Spec
from agent.learners.registry import every_learner
from agent.training.episodes import spec_of
from agent.training.settings import TrainSettings
from agent.training.trainer import train
from benchmarks.table import OUT
from streams.worlds.tasks import TaskWorld

Result: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How one learner is trained where the table's common way does not fit it.

    Args:
        options: of the learner; a dict stands for a dataclass within.
        settings: of the training.
    """

    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


def changed(value: Any, changes: dict[str, Any]) -> Any:
    """Give a dataclass with other values, also within, leaving out those that it has not."""
    known = {one.name for one in dataclasses.fields(value)}
    return dataclasses.replace(
        value,
        **{
            name: changed(getattr(value, name), new) if isinstance(new, dict) else new
            for name, new in changes.items()
            if name in known
        },
    )


def made(name: str, spec: Spec, options: dict[str, Any]) -> Learner:
    """Make a learner with some options set."""
    entry = every_learner()[name]
    return entry(spec, changed(entry.options(), options))


def trained(
    name: str, world: TaskWorld, settings: TrainSettings, options: dict[str, Any]
) -> tuple[Any, Result]:
    """Meta-train a learner as its entry says, its limit in CPU-seconds; say at what cost."""
    learner = made(name, spec_of(world), {"seed": settings.seed} | options)
    began = time.process_time()
    outer = every_learner()[name].outer
    done = train(learner, world, settings, outer=outer, clock=time.process_time)  # type: ignore[arg-type]  # a baseline comes back as it is
    return done.learner, {
        "cpu_s": time.process_time() - began,
        "stopped": done.stopped,
        "iterations": done.history[-1].iteration if done.history else 0,
        "parameters": sum(one.numel() for one in getattr(learner, "parameters", list)()),
        "settings": dataclasses.asdict(settings),
        "options": options,
    }


def run_all(
    table: str, jobs: Iterable[tuple[str, int]], work: Callable[[str, int], Result], processes: int
) -> None:
    """Run what has not been run yet, so many at a time."""
    (OUT / table).mkdir(parents=True, exist_ok=True)
    left = [job for job in jobs if not _path(table, job).exists()]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        running = {pool.submit(_one, work, *job): job for job in left}
        for ended in as_completed(running):
            job = running[ended]
            if (wrong := ended.exception()) is not None:
                print(f"{job}: {type(wrong).__name__}: {wrong}", flush=True)
                continue
            text = json.dumps(ended.result(), indent=1)
            _path(table, job).write_text(text + "\n", encoding="utf-8")
            print(f"{job}: {ended.result()['figures']}", flush=True)


def gathered(table: str, jobs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Result]:
    """Give the results that are there, by name and seed."""
    paths = {job: _path(table, job) for job in jobs}
    there = {job: path for job, path in paths.items() if path.exists()}
    return {job: json.loads(path.read_text(encoding="utf-8")) for job, path in there.items()}


def _path(table: str, job: tuple[str, int]) -> Path:
    return OUT / table / f"{job[0]}-{job[1]}.json"


def _one(work: Callable[[str, int], Result], name: str, seed: int) -> Result:
    torch.set_num_threads(1)
    return work(name, seed)


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of those that are there."""
    there = [one for one in values if one is not None]
    return sum(there) / len(there) if there else None
