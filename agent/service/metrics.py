"""What Prometheus sees: the one file that knows prometheus_client.

Counts and figures are those of the tally, taken at the scrape; only the histograms are filled step
by step. What is shown stands in the table of `agent.service.measured`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

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

from agent.service.health import Health
from agent.service.measured.family import Family, Seen, Values
from agent.service.measured.histogram import Histogram
from agent.service.measured.records import HISTOGRAMS, SECONDS, STAGES
from agent.service.measured.table import SECTIONS
from agent.service.report import Step
from agent.service.status import About
from agent.service.tally import Tally

WAIT: Final = "poll"  # the stage in which a batch has not arrived yet


class Exposition(Collector):
    """What /metrics answers: families with their values, and the figures of the process.

    Args:
        read: gives the families with their values, as they stand at a scrape.
    """

    def __init__(self, read: Callable[[], Iterator[tuple[Family[Any], Values]]]) -> None:
        self._read = read
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> tuple[bytes, str]:
        """Give the exposition and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    @override
    def collect(self) -> Iterator[Metric]:
        """Give every family, as it stands at the scrape."""
        for family, values in self._read():
            yield exposed(family, values)


class Metrics:
    """A watcher; `text` gives the exposition. `wall` is a clock, Unix seconds."""

    def __init__(
        self, about: About, tally: Tally, health: Health, wall: Callable[[], float]
    ) -> None:
        self._about, self._tally, self._health, self._wall = about, tally, health, wall
        self._histograms = {name: Histogram(bounds) for name, bounds in HISTOGRAMS.items()}
        self._answer = self._histograms["adaptd_answer_seconds"]
        self._batch = self._histograms["adaptd_batch_events"]
        self._delay = self._histograms["adaptd_label_delay_seconds"]
        self._stages = {stage: Histogram(SECONDS) for stage in STAGES}
        self._arrived: float | None = None  # the first batch that waits for its commit, monotonic
        self._commits = 0
        self.text = Exposition(self._values).text

    def __call__(self, step: Step) -> None:
        """Take one step's report."""
        for stage, spent in step.seconds.items():
            if stage in self._stages:
                self._stages[stage].one(spent)
        if len(step.scores):
            self._delay.many(step.scores.delay)
        if self._arrived is None and "encode" in step.seconds:
            spent = sum(spent for stage, spent in step.seconds.items() if stage != WAIT)
            self._arrived = step.now - spent
        if step.events:
            self._batch.one(step.events)
            if self._arrived is not None:  # of the first transaction it is not known
                self._answer.one(step.now - self._arrived)
        if not step.transactions or step.transactions != self._commits:
            self._arrived, self._commits = None, step.transactions

    def _values(self) -> Iterator[tuple[Family, Values]]:
        seen = Seen(
            about=self._about,
            goal=self._tally.goal,
            health=self._health,
            figures=self._tally.figures(),
            wall=self._wall(),
            histograms=self._histograms,
            stages=self._stages,
        )
        for families in SECTIONS.values():
            for family in families:
                yield family, family.read(seen)


def exposed(family: Family[Any], values: Values) -> Metric:
    """Give a family with its values, as prometheus_client has it; NaN is left out."""
    name, text = family.name, family.text.split(". ")[0].removesuffix(".")
    if family.kind == "info" and isinstance(values, Mapping):
        told = {label: str(value) for label, value in values.items()}
        return InfoMetricFamily(name.removesuffix("_info"), text, value=told)
    labels = [family.label] if family.label else []
    found: Any = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }[family.kind](name.removesuffix("_total"), text, labels=labels)
    every = values.items() if isinstance(values, Mapping) else [("", values)]
    for label, value in every:
        given = [label] if labels else []
        if isinstance(value, Histogram):
            found.add_metric(given, *value.buckets())
        elif not math.isnan(float(value)):
            found.add_metric(given, value)
    metric: Metric = found
    return metric
