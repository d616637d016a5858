"""A long life over Kafka, exactly once: memory, lag and the time to an answer, minute by minute.

    python -m benchmarks.soak_kafka [MINUTES] [RATE] [PARTITIONS] [DAEMONS] [agent.block=64 ...]

`adaptd produce --live` writes the card world's events and their late labels at RATE a second, one
daemon or several of one group answer and learn, and a reader of what is committed takes the time
from each event's writing to its answer. One state learns from each partition (membership "group"),
or from the only one. All share the machine with the broker (tansu, in memory). Settings may be put
over the example's, by name.

The writer gives records `LINGER` milliseconds of company (a daemon's answers go out at its commits,
whatever that is): each fetch costs this broker the more the more batches a partition has ever had
(0.37 ms of a core for a thousand of them, whichever client asks), so that batches of a few records
would have the broker take a whole core after a minute.

Where the daemons cannot keep up (after a first minute the queue holds more than `BEHIND` seconds of
events, or grows beyond that later), that is said, and it begins anew at nine tenths of the rate
that it reached, until the queue stays bounded for all the minutes.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks import cards, table
from benchmarks.cards import CLOCKS, Reader
from tests.broker import Broker, started
from tests.daemon import Daemon, running

MINUTE = 60.0
EVERY = 10.0  # seconds between two samples
BEHIND = 10.0  # seconds of events that may wait
LINGER = 200  # milliseconds
TRIES = 6
FEW = 3  # samples that do not make a minute

Sample = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long, at how many events a second, over how many partitions, by how many daemons."""

    minutes: float
    rate: float
    partitions: int
    daemons: int


@dataclass
class Run:
    """What was seen at one rate."""

    rate: float
    samples: list[Sample] = field(default_factory=list)
    rows: list[table.Row] = field(default_factory=list)
    kept: bool = True
    reached: float = 0.0  # events a second, over the later half


def sample(daemons: Sequence[Daemon], others: Mapping[str, psutil.Process], began: float) -> Sample:
    """Ask the pages how far they are, and the system what the processes hold and use."""
    figures = [daemon.figures() for daemon in daemons]
    mine = [psutil.Process(daemon.process.pid) for daemon in daemons]

    def total(name: str) -> float:
        return float(sum(float("nan" if one.get(name) is None else one[name]) for one in figures))

    return {
        "seconds": time.monotonic() - began,
        "events": total("events"),
        "lag": total("lag"),
        "pending": total("pending"),
        "rss": float(sum(one.memory_info().rss for one in mine)),
        "files": float(sum(one.num_fds() for one in mine)),
        "cpu": sum(_used(one) for one in mine),
        **{f"{name} cpu": _used(one) for name, one in others.items()},
        **{f"{name} rss": float(one.memory_info().rss) for name, one in others.items()},
    }


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def soak(broker: Broker, plan: Plan, rate: float, given: dict[str, str]) -> Run:
    """Run at one rate, for so many minutes or until it is clear that it cannot keep up."""
    run = Run(rate)
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        more = {
            "checkpoint__every_seconds": "10.0",
            "source__kafka__membership": '"group"' if plan.partitions > 1 else '"all"',
            "source__kafka__linger_ms": str(LINGER),
            **given,
        }
        path, answers = cards.settings(folder, broker, plan.partitions, **more)
        daemons = [stack.enter_context(running(folder, str(path))) for _ in range(plan.daemons)]
        _share(daemons, plan.partitions)
        reader = stack.enter_context(Reader(broker.bootstrap, answers))
        writer = psutil.Process(stack.enter_context(cards.producing(path, rate)).pid)
        others = {"writer": writer}
        if broker.process is not None:
            others["broker"] = psutil.Process(broker.process.pid)
        while reader.count() == 0:
            time.sleep(0.05)
        began, wall = time.monotonic(), CLOCKS.wall()
        while run.kept and time.monotonic() - began < MINUTE * plan.minutes:
            time.sleep(EVERY)
            run.samples.append(sample(daemons, others, began))
            run.kept = _bounded(run)
            _say(run)
        run.rows = _by_minute(run, reader, wall)
        run.reached = _reached(run)
        spent = ", ".join(f"{name} {share:.2f}" for name, share in _cores(run).items())
        print(f"at {rate:,.0f}/s, of a core: {spent}")
        for daemon in daemons:
            if daemon.stop(120) != 0:
                raise SystemExit(f"it did not stop in order: {daemon.lines()[-3:]}")
    return run


def _share(daemons: Sequence[Daemon], partitions: int) -> None:
    """Wait until each has its part of the partitions."""
    until = time.monotonic() + MINUTE
    while sum(held := [_held(daemon) for daemon in daemons]) != partitions or 0 in held:
        if time.monotonic() > until:
            raise SystemExit(f"the group does not share {partitions} partitions out: {held}")
        time.sleep(0.5)


def _held(daemon: Daemon) -> int:
    return sum(
        int(float(line.split()[1]))
        for line in daemon.get("metrics")[1].decode().splitlines()
        if line.startswith("adaptd_shards ")
    )


def _cores(run: Run) -> dict[str, float]:
    """Give how much of a core each process used, over the later half."""
    half, last = run.samples[(len(run.samples) - 1) // 2], run.samples[-1]
    seconds = max(1.0, last["seconds"] - half["seconds"])
    names = {"cpu": "daemons", "writer cpu": "writer", "broker cpu": "broker"}
    return {
        name: round((last[key] - half[key]) / seconds, 2)
        for key, name in names.items()
        if key in last
    }


def _reached(run: Run) -> float:
    """Give events a second over the later half: where a queue stands, as fast as it can."""
    half, last = run.samples[(len(run.samples) - 1) // 2], run.samples[-1]
    return (last["events"] - half["events"]) / max(1.0, last["seconds"] - half["seconds"])


def _bounded(run: Run) -> bool:
    """Say whether the queue is no longer than it may be; the first minute does not count."""
    last = run.samples[-1]
    return last["seconds"] < MINUTE or not last["lag"] > 2 * BEHIND * run.rate  # events and labels


def _by_minute(run: Run, reader: Reader, wall: float) -> list[table.Row]:
    """Put samples and answers together, a row a minute."""
    came, took = reader.times()
    rows: list[table.Row] = []
    for minute in range(int(run.samples[-1]["seconds"] // MINUTE) + 1):
        mine = [one for one in run.samples if one["seconds"] // MINUTE == minute]
        kept = took[(came - wall) // MINUTE == minute]
        if rows and len(mine) < FEW:  # the end of the last one
            continue
        rows.append(
            {
                "minute": minute + 1,
                "answers": len(kept),
                **cards.quantiles(kept),
                "lag, most": int(np.nanmax([one["lag"] for one in mine])),
                "MiB, most": round(max(one["rss"] for one in mine) / 2**20),
                "files": int(mine[-1]["files"]),
                "waiting for labels": int(mine[-1]["pending"]),
            }
        )
    return rows


def _say(run: Run) -> None:
    one = run.samples[-1]
    print(
        f"{one['seconds']:6.0f} s: {one['events']:,.0f} answered, {one['lag']:,.0f} waiting,"
        f" {one['rss'] / 2**20:,.0f} MiB",
        flush=True,
    )


def summary(runs: list[Run], wanted: float) -> table.Row:
    """Put the last run into one row."""
    run = runs[-1]
    late = run.rows[1:] or run.rows
    mib = [one["rss"] / 2**20 for one in run.samples]

    def column(name: str) -> list[float]:
        return [float(row[name] or 0.0) for row in late]

    return {
        "asked for, events/s": wanted,
        "kept up with, events/s": run.rate if run.kept else None,
        "not with": ", ".join(f"{one.rate:,.0f}" for one in runs if not one.kept) or "-",
        "minutes": round(run.samples[-1]["seconds"] / MINUTE, 1),
        "p50 s, median minute": float(np.median(column("p50 s"))),
        "p99 s, worst minute": max(column("p99 s")),
        "worst s": max(column("worst s")),
        "lag, most": max(column("lag, most")),
        "MiB after a minute": round(mib[min(5, len(mib) - 1)]),
        "MiB at the end": round(mib[-1]),
        "MiB at most": round(max(mib)),
        **{f"{name}, of a core": share for name, share in _cores(run).items()},
    }


def main(plan: Plan, words: list[str]) -> None:
    """Write out/soak_kafka.json, out/soak_kafka_minutes.json and out/soak_kafka_samples.json."""
    numbers = f"{plan.minutes:g} {plan.rate:g} {plan.partitions} {plan.daemons}"
    command = " ".join(["python -m benchmarks.soak_kafka", numbers, *words])
    given = {name.replace(".", "__"): value for name, value in (w.split("=", 1) for w in words)}
    runs: list[Run] = []
    asked = plan.rate
    while len(runs) < TRIES:
        with started() as broker:  # afresh: one in memory keeps all that was ever written
            runs.append(soak(broker, plan, asked, given))
        if runs[-1].kept:
            break
        asked = round(0.9 * min(runs[-1].reached, asked))
        print(f"it cannot keep {runs[-1].rate:,.0f}/s here; now {asked:,}/s", flush=True)
    table.OUT.mkdir(exist_ok=True)
    whole = json.dumps([{"rate": run.rate, "samples": run.samples} for run in runs], indent=1)
    (table.OUT / "soak_kafka_samples.json").write_text(whole, encoding="utf-8")
    table.write("soak_kafka_minutes", runs[-1].rows, command)
    table.write("soak_kafka", [summary(runs, plan.rate)], command)


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:] if "=" not in word]
    minutes, rate, partitions, daemons = numbers + [30.0, 5000.0, 12.0, 1.0][len(numbers) :]
    chosen = Plan(minutes, rate, int(partitions), int(daemons))
    main(chosen, [word for word in sys.argv[1:] if "=" in word])
