"""Whether it runs, is ready, and what of its work is durable."""

import math
from collections.abc import Callable, Mapping

from agent.service.health import Phase
from agent.service.measured.family import Family, Seen, Values
from agent.service.report import Checkpoint

PHASES: tuple[Phase, ...] = ("starting", "running", "draining", "ended")


def _phases(at: Seen) -> Mapping[str, float]:
    return {phase: float(phase == at.health.phase) for phase in PHASES}


def _saved(read: Callable[[Checkpoint], float]) -> Callable[[Seen], Values]:
    return lambda at: math.nan if at.step.checkpoint is None else read(at.step.checkpoint)


def _age(at: Seen) -> float:
    return math.nan if at.step.checkpoint is None else at.wall - at.step.checkpoint.wall


FAMILIES = (
    Family(
        "adaptd_build_info", "info", "", "What runs: version, and goal of the stream.",
        lambda at: {"version": at.about.version, "goal": at.goal},
    ),
    Family(
        "adaptd_ready", "gauge", "", "1 when ready for traffic, else 0. /readyz gives the reasons.",
        lambda at: float(at.health.ready().ok),
    ),
    Family(
        "adaptd_alive", "gauge", "",
        "1 while the loop comes round often enough, else 0. As /healthz says.",
        lambda at: float(at.health.alive().ok),
    ),
    Family(
        "adaptd_phase", "gauge", "", "1 for the phase that the daemon is in, 0 for the others.",
        _phases, "phase",
    ),
    Family(
        "adaptd_progress_age_seconds", "gauge", "seconds", "Since the loop last came round.",
        lambda at: at.health.age(),
    ),
    Family(
        "adaptd_checkpoint_age_seconds", "gauge", "seconds",
        "Since the state of the last durable checkpoint. None is taken while no records come.",
        _age,
    ),
    Family(
        "adaptd_checkpoint_write_seconds", "gauge", "seconds",
        "How long writing the last checkpoint took.", _saved(lambda one: one.seconds),
    ),
    Family(
        "adaptd_checkpoint_bytes", "gauge", "bytes", "Size of the last checkpoint.",
        _saved(lambda one: one.bytes),
    ),
    Family(
        "adaptd_checkpoint_failures_total", "counter", "checkpoints",
        "Checkpoints that could not be written.", lambda at: at.step.checkpoint_failures,
    ),
    Family(
        "adaptd_shards", "gauge", "shards",
        "States that this process holds: one, or one a partition.", lambda at: at.step.shards,
    ),
    Family(
        "adaptd_rebalances_total", "counter", "rebalances",
        "Times that partitions came or went with the consumer group.",
        lambda at: at.step.rebalances,
    ),
    Family(
        "adaptd_paused_partitions", "gauge", "partitions",
        "Partitions that backpressure holds back now.", lambda at: at.step.paused,
    ),
    Family(
        "adaptd_transactions_total", "counter", "transactions",
        "Kafka transactions committed.", lambda at: at.step.transactions,
    ),
    Family(
        "adaptd_producer_recreations_total", "counter", "producers",
        "Kafka producers made anew after an error that ended one.",
        lambda at: at.step.recreations,
    ),
    Family(
        "adaptd_rewinds_total", "counter", "rewinds",
        "Times that the loop went back to the last commit and took its records again.",
        lambda at: at.step.rewinds,
    ),
)  # fmt: skip
