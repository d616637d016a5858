"""A million events of slowly changing tasks: does the agent stay as able to learn as it began?

    python -m benchmarks.million [EVENTS] [--tasks]

One generated stream: 14 features, 5 classes; a concept lasts 5,000 events on average; then comes a
new one or, as often, one of the last four returns; at once, or over 1,000 events in which rows of
both come mixed. It goes through the daemon's own test-then-train loop, from memory, labels riding
along. Tenths differ in difficulty, so an agent that is begun afresh learns the last tenth too: the
old one has to do no worse, also where the first 5,000 events, at which a new agent is learning to
walk, are left aside.

Writes out/million/million_samples.json (every hundredth), out/million.md (tenths),
out/million_fresh.md and a picture, out/million/million.png. Effective step, dormant units and rank
are the daemon's own figures.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from matplotlib.figure import Figure
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.prequential import Prequential
from agent.service.probes import ProbeSettings
from benchmarks import table
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Schema
from streams.worlds.drift.concepts import ConceptSettings, concept_scores
from streams.worlds.drift.course import Course
from streams.worlds.drift.inputs import InputSettings, inputs
from streams.worlds.drift.labels import LabelSettings, sampled
from streams.worlds.tasks import Floats, Ints

FEATURES, CLASSES = 14, 5
MEAN, MIXED, RECALLED = 5_000, 1_000, 4
WALKING = 5_000  # events, at most, in which an agent is new
FEED = 1_024
SAMPLES, TENTHS = 100, 10
SEED = 30_000_000
OUT = table.OUT / "million"
PLASTICITY = ("effective_step", "dormant_units", "effective_rank", "renewed_units")


@dataclass(frozen=True, slots=True)
class Sample:
    """What stood after so many events, in so many seconds of the loop, and of its processor time.

    `old_tasks` is the mean loss on what was learned at most 80,000 events ago, in nats.
    """

    events: int
    seconds: float
    cpu: float
    rss: int
    old_tasks: float | None
    plasticity: dict[str, float]


@dataclass(frozen=True, slots=True)
class Life:
    """An agent's way through a stream: samples, and what it had right and lost at each event."""

    samples: list[Sample]
    right_N: NDArray[np.bool_]
    loss_N: NDArray[np.float64]


def course(rows: int, draw: Generator) -> Course:
    """Draw concepts: new, or one of the last few again; changes at once, or mixed."""
    concept_N, at = np.zeros(rows, np.int64), 0
    met, now = 1, 0
    while (at := at + int(draw.uniform(0.5, 1.5) * MEAN)) < rows:
        before, recent = now, range(max(0, met - RECALLED - 1), met)
        old = [one for one in recent if one != now]
        new = not old or draw.random() < 1 / 2
        now = met if new else int(draw.choice(old))
        met += new
        concept_N[at:] = now
        if draw.random() < 1 / 2:
            end = min(at + MIXED, rows)
            still = draw.random(end - at) > np.arange(end - at) / MIXED
            concept_N[at:end] = np.where(still, before, now)
    return Course(concept_N, concept_N.astype(np.float64))


def stream(rows: int, seed: int = SEED) -> tuple[Floats, Ints, Ints]:
    """Draw features (NF), labels (N) and concepts (N)."""
    draw = default_rng(seed)
    way = course(rows, draw)
    made = inputs(InputSettings(FEATURES, rho=0.5), way.concept_N, draw)
    rule = ConceptSettings("network", "fresh", CLASSES, sharp=8.0)
    even = np.full(CLASSES, 1 / CLASSES)
    scores_NC = concept_scores(rule, way, made.z_NF, made.codes_NK, even, draw)
    return made.z_NF, sampled(scores_NC, LabelSettings(CLASSES, noise=0.05), draw), way.concept_N


def feeds(x_NF: Floats, y_N: Ints) -> Iterator[list[Event]]:
    """Give the stream as the daemon would read it, `FEED` events at a time."""
    for at in range(0, len(x_NF), FEED):
        both = zip(x_NF[at : at + FEED].tolist(), y_N[at : at + FEED].tolist(), strict=True)
        yield [
            Event(str(at + n), "", float(at + n), tuple(row), f"class {label}")
            for n, (row, label) in enumerate(both)
        ]


def lived(x_NF: Floats, y_N: Ints, settings: AgentSettings, samples: int = SAMPLES) -> Life:
    """Take an agent through the stream."""
    schema = Schema({f"x{n}": "numeric" for n in range(x_NF.shape[1])})
    loop = Prequential.build(
        schema, settings, EncoderSettings(), PendingSettings(), probes=ProbeSettings()
    )
    every = max(1, len(x_NF) // samples)
    found: list[Sample] = []
    right_N, loss_N = np.full(len(x_NF), fill_value=False), np.full(len(x_NF), np.nan)
    seconds, cpu, done = 0.0, 0.0, 0
    for feed in feeds(x_NF, y_N):
        began, ran = time.perf_counter(), time.process_time()
        fed = loop.feed(feed)
        seconds += time.perf_counter() - began
        cpu += time.process_time() - ran
        before, done = done, done + len(feed)
        right_N[before:done] = fed.scores.truth == fed.scores.guess
        loss_N[before:done] = fed.scores.loss
        if done // every > before // every:
            found.append(sample(loop, done, seconds, cpu))
            print(f"{done:,} events, {seconds:.0f} s", flush=True)
    return Life(found, right_N, loss_N)


def sample(loop: Prequential, events: int, seconds: float, cpu: float) -> Sample:
    """Look at the process and at the daemon's own figures."""
    memory = loop.memory()
    forgotten = None if math.isnan(memory.loss) else memory.loss
    rss = psutil.Process().memory_info().rss
    return Sample(events, seconds, cpu, rss, forgotten, dict(memory.plasticity))


def tenths(life: Life) -> list[table.Row]:
    """Lay a life out: means over each tenth, and how things stood at its end."""
    rows: list[table.Row] = []
    size, seconds, cpu = len(life.right_N) // TENTHS, 0.0, 0.0
    for n in range(TENTHS):
        cut = slice(n * size, (n + 1) * size)
        last = min(life.samples, key=lambda one: abs(one.events - (n + 1) * size))
        rows.append(
            {
                "events": f"{cut.start:,} to {cut.stop:,}",
                **_means(life, cut),
                "events/s": round(size / (last.seconds - seconds)),
                "events/CPU s": round(size / (last.cpu - cpu)),
                "RSS MiB": round(last.rss / 2**20),
                "loss on old tasks": last.old_tasks,
                **{name.replace("_", " "): last.plasticity.get(name) for name in PLASTICITY},
            }
        )
        seconds, cpu = last.seconds, last.cpu
    return rows


def _means(life: Life, cut: slice) -> dict[str, float]:
    return {
        "accuracy": 100 * float(life.right_N[cut].mean()),
        "log loss": float(life.loss_N[cut].mean()),
    }


def beside(old: Life, fresh: Life) -> list[table.Row]:
    """Set the last events of an old agent beside one that is begun afresh there."""
    size = len(fresh.right_N)
    start, walking = len(old.right_N) - size, min(WALKING, size // 2)
    late = Life([], old.right_N[start:], old.loss_N[start:])
    rows: list[table.Row] = []
    for what, cut in (("all", slice(0, size)), ("without the first", slice(walking, size))):
        mine, other = _means(late, cut), _means(fresh, cut)
        each = {f"{name}, old": mine[name] for name in mine}
        each |= {f"{name}, fresh": other[name] for name in other}
        rows.append({"of the last tenth": what, "events": cut.stop - cut.start, **each})
    return rows


def picture(life: Life, path: Path) -> None:
    """Draw accuracy by hundredth, and the samples."""
    size = max(1, len(life.right_N) // SAMPLES)
    by = life.right_N[: size * SAMPLES].reshape(-1, size).mean(1)
    events = [one.events for one in life.samples]
    lines: list[tuple[str, Sequence[float], Sequence[float | None]]] = [
        ("accuracy", list(size * np.arange(1, len(by) + 1)), by.tolist()),
        ("RSS, MiB", events, [one.rss / 2**20 for one in life.samples]),
        ("loss on old tasks", events, [one.old_tasks for one in life.samples]),
        *(
            (name.replace("_", " "), events, [one.plasticity.get(name) for one in life.samples])
            for name in PLASTICITY
        ),
    ]
    figure = Figure(figsize=(8, 11), layout="constrained")
    for axes, (name, at, values) in zip(
        figure.subplots(len(lines), sharex=True), lines, strict=True
    ):
        axes.plot(at, [math.nan if value is None else value for value in values])
        axes.set_ylabel(name, fontsize=8)
    figure.savefig(path)


def main(
    events: Annotated[int, typer.Argument()] = 1_000_000,
    tasks: Annotated[bool, typer.Option(help="A mixture over tasks at the table.")] = False,  # noqa: FBT002 (a flag)
) -> None:
    """Live it, begin the last tenth afresh, and write it all."""
    torch.set_num_threads(1)
    settings, name = (
        AgentSettings(tasks=tasks, device="cpu"),
        "million_tasks" if tasks else "million",
    )
    x_NF, y_N, _ = stream(events)
    old = lived(x_NF, y_N, settings)
    start = events - events // TENTHS
    fresh = lived(x_NF[start:], y_N[start:], settings, SAMPLES // TENTHS)
    OUT.mkdir(parents=True, exist_ok=True)
    told = json.dumps([asdict(one) for one in old.samples], indent=1)
    (OUT / f"{name}_samples.json").write_text(told + "\n", encoding="utf-8")
    picture(old, OUT / f"{name}.png")
    command = f"python -m benchmarks.million {events}" + " --tasks" * tasks
    table.write(name, tenths(old), command)
    table.write(f"{name}_fresh", beside(old, fresh), command)


if __name__ == "__main__":
    typer.run(main)
