"""What Prometheus sees: the one file that knows prometheus_client.

Counts and figures are those of the tally, taken at the scrape; only the two histograms count by
themselves, a step at a time. No label carries an id or a key, so the number of series is bounded
by the settings, not by the traffic.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from agent.service.figures import Figures
from agent.service.health import Health
from agent.service.report import Column, Memory, Step
from agent.service.scorecard import METRICS
from agent.service.status import About
from agent.service.tally import Tally

if TYPE_CHECKING:  # it stands on torch, which the rivals of `evaluate` do without
    from agent.continual.changes import TaskReport


OUTCOMES = ("joined", "orphan", "duplicate", "expired")
STAGES = ("poll", "encode", "learn", "publish")
KINDS = 16  # of plasticity, at most
STAGE_BUCKETS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DELAY_BUCKETS = (0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
SCORES = {
    "loss": "Mean log loss of what was said before the label was known, in nats",
    "accuracy": "Share of labels that were said right beforehand",
    "kappa": "Agreement with the labels beyond chance",
    "average_precision": "Average precision of the rarer of two classes",
    "mae": "Mean absolute error in the target's unit",
    "rmse": "Root of the mean squared error in the target's unit",
    "r2": "Share of the target's variance that was explained beforehand",
}


class Metrics(Collector):
    """A watcher; `text` gives the exposition. `wall` is a clock, Unix seconds."""

    def __init__(
        self, about: About, tally: Tally, health: Health, wall: Callable[[], float]
    ) -> None:
        self._about = about
        self._tally = tally
        self._health = health
        self._wall = wall
        self._delay = _Counts(DELAY_BUCKETS)
        self._stages = {stage: _Counts(STAGE_BUCKETS) for stage in STAGES}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def __call__(self, step: Step) -> None:
        """Take one step's report."""
        for stage, seconds in step.seconds.items():
            if stage in self._stages:
                self._stages[stage].one(seconds)
        if len(step.scores):
            self._delay.many(step.scores.delay)

    def text(self) -> tuple[bytes, str]:
        """Give the exposition and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    @override
    def collect(self) -> Iterator[Metric]:
        """Give every family, as it stands at the scrape."""
        about = {"version": self._about.version, "goal": self._tally.goal}
        yield InfoMetricFamily("adaptd_build", "What runs", value=about)
        yield from _health(self._health)
        yield self._delay.family(
            "adaptd_label_delay_seconds", "Event time from an event to its label"
        )
        yield _stage_family(self._stages)
        figures = self._tally.figures()
        yield from _counters(figures)
        if figures is not None:
            yield from _gauges(figures)
            yield from _scores(figures, METRICS[self._tally.goal])
            yield from _memory(figures.step.memory)
            yield from _tasks(figures.step.tasks)
            yield from _checkpoint(figures, self._wall())


class _Counts:
    """A histogram's buckets. Written by the loop alone; a scrape may miss the step under way."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def one(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def many(self, values: Column) -> None:
        where = np.searchsorted(self._bounds, values, side="left")
        added = np.bincount(where, minlength=len(self._counts)).tolist()
        self._counts = [old + new for old, new in zip(self._counts, added, strict=True)]
        self._sum += float(values.sum())

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Give cumulative counts by upper bound, and the sum."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True)), self._sum

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Give a family of this histogram alone."""
        buckets, total = self.buckets()
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=total)


def _stage_family(stages: Mapping[str, _Counts]) -> Metric:
    text = "Time that a stage of one step took"
    family = HistogramMetricFamily("adaptd_stage_seconds", text, labels=["stage"])
    for stage, counts in stages.items():
        family.add_metric([stage], *counts.buckets())
    return family


def _health(health: Health) -> Iterator[Metric]:
    yield _gauge("adaptd_ready", "1 when ready for traffic, else 0", float(health.ready().ok))
    yield _gauge("adaptd_progress_age_seconds", "Since the loop last came round", health.age())
    yield _gauge("adaptd_uptime_seconds", "Since the daemon started", health.uptime())


def _counters(figures: Figures | None) -> Iterator[Metric]:
    events, predictions, drifts = (
        (figures.events, figures.predictions, figures.drifts) if figures else (0, 0, 0)
    )
    failures = figures.step.checkpoint_failures if figures else 0
    yield _counter("adaptd_checkpoint_failures", "Checkpoints not written", failures)
    labels = {**dict.fromkeys(OUTCOMES, 0), **(figures.labels if figures else {})}
    yield _counter("adaptd_events", "Events read and predicted", events)
    yield _counter("adaptd_predictions", "Answers handed to the sink", predictions)
    yield _counter("adaptd_drifts", "Rises of the loss that were noticed", drifts)
    yield _counters_by("adaptd_labels", "Labels by what became of them", "outcome", labels)
    refused = figures.refused if figures else {}
    yield _counters_by("adaptd_refused", "Records refused, by reason", "reason", refused)


def _gauges(figures: Figures) -> Iterator[Metric]:
    step = figures.step
    yield _gauge("adaptd_pending_events", "Events that wait for their label", step.pending)
    yield _gauge("adaptd_lag_records", "Records known to wait in the source", step.lag)
    yield _gauge("adaptd_event_time_seconds", "The latest event time seen (Unix)", step.event_time)
    weights = GaugeMetricFamily("adaptd_expert_weight", "Share of the vote", labels=["expert"])
    for name, weight in figures.voices.items():
        weights.add_metric([name], weight)
    yield weights


def _scores(figures: Figures, metrics: tuple[str, ...]) -> Iterator[Metric]:
    for name in ("loss", *metrics):
        family = GaugeMetricFamily(f"adaptd_prequential_{name}", SCORES[name], labels=["over"])
        for over, card in (("window", figures.window), ("run", figures.run)):
            family.add_metric([over], getattr(card, name))
        yield family


def _memory(memory: Memory) -> Iterator[Metric]:
    yield _gauge("adaptd_probes", "Old tasks of which rows are kept", len(memory.tasks))
    yield _gauge("adaptd_probe_loss", "Mean log loss today on rows of old tasks", memory.loss)
    text = "Mean rise of the loss on rows of old tasks since each was left"
    yield _gauge("adaptd_forgetting", text, memory.forgetting)
    text = "How ready the network is to learn: steps, dormant units, rank"
    family = GaugeMetricFamily("adaptd_plasticity", text, labels=["kind"])
    for kind, value in list(memory.plasticity.items())[:KINDS]:
        family.add_metric([kind], value)
    yield family


def _tasks(tasks: "TaskReport | None") -> Iterator[Metric]:
    if tasks is None:
        return
    text = "Changes of the task that were noticed: new ones, and old ones that returned"
    yield _counters_by("adaptd_task_changes", text, "kind", tasks.changes)
    yield _gauge("adaptd_tasks", "Tasks remembered, the current one included", tasks.tasks)
    yield _gauge("adaptd_task", "Number of the current task", tasks.current)
    text = "Probability of the current task, a ratio"
    yield _gauge("adaptd_task_probability", text, tasks.probability)
    text = "How probable a change of the task is thought to be, per label"
    yield _gauge("adaptd_task_hazard", text, tasks.hazard)


def _checkpoint(figures: Figures, wall: float) -> Iterator[Metric]:
    checkpoint = figures.step.checkpoint
    if checkpoint is None:
        return
    age, size, seconds = wall - checkpoint.wall, checkpoint.bytes, checkpoint.seconds
    yield _gauge("adaptd_checkpoint_age_seconds", "Since the last durable checkpoint", age)
    yield _gauge("adaptd_checkpoint_size_bytes", "Its size", size)
    yield _gauge("adaptd_checkpoint_write_seconds", "How long writing it took", seconds)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters_by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
