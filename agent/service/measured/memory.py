"""The tasks in the stream, what is still known of old ones, and how ready it is to learn."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.service.measured.family import Family, Seen, Values

if TYPE_CHECKING:  # it stands on torch, which the rivals of `evaluate` do without
    from agent.continual.changes import TaskReport

SHOWN = 8  # tasks with a series of their own, the most probable ones
CHANGES = ("new", "returned")


def _believed(read: "Callable[[TaskReport], float]") -> Callable[[Seen], Values]:
    return lambda at: math.nan if at.step.tasks is None else read(at.step.tasks)


def _plastic(kind: str) -> Callable[[Seen], Values]:
    return lambda at: at.step.memory.plasticity.get(kind, math.nan)


def _changes(at: Seen) -> Mapping[str, float]:
    return {**dict.fromkeys(CHANGES, 0), **(at.figures.changed if at.figures else {})}


def _posterior(at: Seen) -> Mapping[str, float]:
    """By task, the most probable ones; then the others together, then a new one."""
    if at.step.tasks is None:
        return {}
    every = sorted(at.step.tasks.posterior.items(), key=lambda one: -one[1])
    found = {str(number): share for number, share in every[:SHOWN]}
    others, known = sum(share for _, share in every[SHOWN:]), sum(share for _, share in every)
    return found | {"others": others, "new": max(0.0, 1.0 - known)}


FAMILIES = (
    Family(
        "adaptd_tasks", "gauge", "tasks",
        "Tasks remembered, the current one included; 0 where agent.tasks is off.",
        lambda at: at.step.tasks.tasks if at.step.tasks else 0,
    ),
    Family(
        "adaptd_current_task", "gauge", "", "Number of the task that is being learned.",
        _believed(lambda one: one.current),
    ),
    Family(
        "adaptd_task_probability_ratio", "gauge", "ratio",
        "Probability that the stream is in the current task.",
        _believed(lambda one: one.probability),
    ),
    Family(
        "adaptd_task_posterior_ratio", "gauge", "ratio",
        "Probability of each task remembered, by its number. At most 8 of them; then those of the"
        " others together and of a new one.",
        _posterior, "task",
    ),
    Family(
        "adaptd_task_hazard_ratio", "gauge", "ratio",
        "How probable a change of the task is thought to be, per label.",
        _believed(lambda one: one.hazard),
    ),
    Family(
        "adaptd_task_changes_total", "counter", "changes",
        "Changes of the task that were noticed: to a new one, or to an old one that returned.",
        _changes, "kind",
    ),
    Family(
        "adaptd_probed_tasks", "gauge", "tasks", "Old tasks of which rows are kept as probes.",
        lambda at: len(at.step.memory.tasks),
    ),
    Family(
        "adaptd_probe_loss_nats", "gauge", "nats", "Mean log loss today on rows of old tasks.",
        lambda at: at.step.memory.loss,
    ),
    Family(
        "adaptd_forgetting_nats", "gauge", "nats",
        "Mean rise of the loss on rows of old tasks since each was left.",
        lambda at: at.step.memory.forgetting,
    ),
    Family(
        "adaptd_effective_step_size", "gauge", "",
        "Plasticity: geometric mean of the network's step sizes. Near 0 it no longer learns.",
        _plastic("effective_step"),
    ),
    Family(
        "adaptd_dormant_units_ratio", "gauge", "ratio",
        "Plasticity: share of hidden units that hardly ever fire.", _plastic("dormant_units"),
    ),
    Family(
        "adaptd_effective_rank", "gauge", "",
        "Plasticity: dimensions that the hidden layer makes use of.", _plastic("effective_rank"),
    ),
    Family(
        "adaptd_renewed_units", "gauge", "units",
        "Plasticity: hidden units that were begun anew so far.", _plastic("renewed_units"),
    ),
)  # fmt: skip
