"""What the metrics cost: percent of one core at 20,000 labelled events a second.

    python -m benchmarks.metrics_cost [BATCH...]

A minute's reports of the loop are made beforehand, then told to the figures behind page and metrics
and to the metrics as fast as they go, with a scrape a second (Prometheus does one in 15). CPU
seconds over the minute are the cost.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.report import Step
from agent.service.status import About
from agent.service.tally import Tally
from tests.steps import START, class_scores, synthetic_run, task_report

RATE = 20_000
SECONDS = 60
BATCHES = (32, 100, 500, 2_000)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of a minute's steps, and of its scrapes; what a scrape gave."""

    figures: float
    metrics: float
    scrapes: float
    bytes: int


def steps(batch: int) -> Iterator[Step]:
    """Reports of a minute, each of `batch` events with their labels."""
    rng = np.random.default_rng(0)
    scores = [class_scores(rng, batch, 0.05, 1.0) for _ in range(50)]
    base = replace(next(synthetic_run()), tasks=task_report((0, 1, 0, 2), 0.9))
    for index in range(SECONDS * RATE // batch):
        at = index * batch / RATE
        yield replace(
            base,
            now=at,
            wall=START + at,
            events=batch,
            predictions=batch,
            labels={"joined": batch, "orphan": 0, "duplicate": 0, "expired": 0},
            scores=scores[index % len(scores)],
        )


def cost(batch: int) -> Cost:
    """Measure one size of batch."""
    tally = Tally("classes")
    metrics = Metrics(About("1", "a benchmark"), tally, Health(time.monotonic), lambda: START)
    figures = told = scraped = 0.0
    size, due = 0, 1.0
    for step in steps(batch):
        start = time.process_time()
        tally(step)
        between = time.process_time()
        metrics(step)
        done = time.process_time()
        figures, told = figures + between - start, told + done - between
        if step.now >= due:
            size, due = len(metrics.text()[0]), due + 1.0
            scraped += time.process_time() - done
    return Cost(figures, told, scraped, size)


def main() -> None:
    """Print a line for each size of batch."""
    print(f"{'events a batch':>14} {'figures':>9} {'metrics':>9} {'a scrape':>9} {'together':>9}")
    for batch in map(int, sys.argv[1:] or BATCHES):
        one = cost(batch)
        parts = (one.figures / SECONDS, one.metrics / SECONDS)
        together, scrape = sum(parts) + one.scrapes / SECONDS / 15, one.scrapes / SECONDS * 1000
        print(
            f"{batch:>14} {parts[0]:>9.2%} {parts[1]:>9.2%}"
            f" {scrape:>6.1f} ms {together:>9.2%}   {one.bytes / 1024:.0f} KiB"
        )


if __name__ == "__main__":
    main()
