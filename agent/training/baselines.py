"""What meta-learning is held against: the same network, fine-tuned or from scratch.

Fine-tuning: plain training on all meta-training tasks at once with the same budget of iterations,
then gradient steps on a task's support. Scratch: gradient steps from a random start. Both take
steps of the size that suits them best on the validation tasks, as in Finn et al. 2017, section 5.1.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from agent.learners.base import Learner, Spec
from agent.learners.meta import Meta
from agent.learners.registry import Entry, Outer, every_learner
from agent.training.assess import assess
from agent.training.settings import TrainingError, TrainSettings
from agent.training.trainer import Trained, train
from streams.worlds.tasks import TaskWorld

STAND_IN = "maml"
"""Whose network and steps stand in for a baseline that is not registered."""

FACTORS, STEPS, TRIED_ON = (0.1, 0.3, 1.0, 3.0, 10.0), (1, 5, 10), 60
"""Inner rates that a baseline tries, times its own; steps and tasks that it tries them on."""


def baseline(name: str, spec: Spec, options: object) -> Learner:
    """Make a baseline with the body of a learner's options, where both have one.

    Raises:
        ValueError: it cannot predict what is asked.
    """
    return _entry(name)(spec, _with_body(_entry(name), options))


def _entry(name: str) -> Entry:
    known = every_learner()
    return known.get(name, known[STAND_IN])


def _with_body(entry: Entry, options: object) -> object:
    own: Any = entry.options()
    body = getattr(options, "body", None)
    if body is None or not is_dataclass(own) or isinstance(own, type):
        return own
    if "body" not in {field.name for field in fields(own)}:
        return own
    return replace(own, body=body)


def pretrained(
    spec: Spec, options: object, world: TaskWorld, settings: TrainSettings,
    *, folder: Path | None = None, **more: Any,
) -> tuple[Learner, str]:  # fmt: skip
    """Give the fine-tuned baseline, trained, and a remark where it could not be.

    Args:
        spec: what is asked for.
        options: of the learner that it is held against.
        world: family of tasks.
        settings: of that learner's run: it gets the same.
        folder: where its checkpoint is kept; a finished one of the same run is used again.
        more: as `train` takes it.
    """
    joint: Outer = "joint"
    plain = replace(settings, optimizer="auto", schedule="auto", rate=None)
    for resume in (True, False):
        learner = baseline("finetune", spec, options)
        if not isinstance(learner, Meta):
            return learner, ""
        try:
            done: Trained = train(
                learner, world, plain, folder=folder, outer=joint, resume=resume, **more
            )
        except TrainingError as error:
            if resume and folder is not None:
                continue
            return baseline("finetune", spec, options), f"finetune is not pre-trained: {error}"
        return done.learner, "" if done.finished else "finetune is not trained to its end"
    raise AssertionError("the second turn always ends")  # pragma: no cover


def rivals(
    spec: Spec, options: object, tuned: Learner, world: TaskWorld, settings: TrainSettings
) -> Mapping[str, Learner]:
    """Give the baselines by name: the pre-trained one, and the start from scratch.

    Each takes steps of the size that suits it best on the validation tasks.
    """
    found = {"finetune": tuned, "scratch": baseline("scratch", spec, options)}
    return {
        name: at_its_best(name, learner, _with_body(_entry(name), options), world, settings)
        for name, learner in found.items()
    }


def at_its_best(
    name: str, learner: Learner, options: Any, world: TaskWorld, settings: TrainSettings
) -> Learner:
    """Give a baseline the inner rate, of those tried, that does best on the validation tasks."""
    if not isinstance(learner, Meta) or not hasattr(options, "rate"):
        return learner
    best, least = learner, math.inf
    sign = 1 if learner.spec.regression else -1
    for factor in FACTORS:
        one = _entry(name)(learner.spec, replace(options, rate=options.rate * factor))
        assert isinstance(one, Meta)  # noqa: S101 - as the one that it is made like
        one.load_state_dict(learner.state_dict())
        scores = assess(
            one.to(settings.device), world, "validation", tasks=TRIED_ON,
            shots=[settings.shots[1]], steps=STEPS, queries=settings.queries,
            seed=settings.seed, device=settings.device,
        )  # fmt: skip
        value = sign * sum(score.mean for score in scores)
        if value < least:
            best, least = one, value
    return best
