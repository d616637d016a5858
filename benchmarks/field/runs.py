"""One run of one model over one stream, within its limits, kept in a file of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.measures import Ledger, figures
from agent.evaluate.plan import Plan
from agent.evaluate.run import peak_rss
from benchmarks.field.peers import OURS, library, made
from benchmarks.field.streams import Stream, every_stream, judge_of, prepared, read
from benchmarks.table import OUT
from streams.records import Event, Record

Result: TypeAlias = dict[str, Any]

RUNS: Final = OUT / "field" / "runs"
WAIT: Final = 20.0  # seconds of a clock on the wall for each CPU-second, where others run too
ALONE: Final = {"OMP_NUM_THREADS": "1", "CAPYMOA_JVM_ARGS": "-Xmx8g -Xss10M -XX:+UseSerialGC"}
BATCH: Final = 256  # records fed at a time to a peer; ours takes what `adaptd evaluate` gives it


@dataclass(frozen=True, slots=True)
class Job:
    """What is run.

    Args:
        stream, peer: by name.
        delay: events that labels come late.
        seed: of models that draw.
        rows: taken at most, fewer than the stream's own where a peer is slow.
        limit_s: CPU-seconds after which it stops where it stands.
        data: the folder of the streams.
    """

    stream: str
    peer: str
    delay: int = 0
    seed: int = 0
    rows: int | None = None
    limit_s: float = 1800.0
    data: str = "../shared/data"

    @property
    def path(self) -> Path:
        """Where its result lies."""
        return RUNS / f"{self.stream}-{self.peer}-{self.delay}-{self.seed}.json"


def apart(job: Job, path: Path, python: str) -> Result | None:
    """Run it in a process of its own, unless its result is there; None where it failed."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [python, "-m", "benchmarks.field.runs", str(path)]
        try:
            subprocess.run(
                [*command, json.dumps(asdict(job))],
                check=True,
                timeout=job.limit_s * WAIT,
                env=os.environ | ALONE,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None  # it has told why
    found: Result = json.loads(path.read_text(encoding="utf-8"))
    return found


def measured(job: Job) -> tuple[Result, Ledger]:
    """Run it here."""
    stream = every_stream(Path(job.data))[job.stream]
    file = prepared(stream, Path(job.data))
    plan = Plan(read(stream, file), job.delay or None, rows=job.rows)
    if job.peer != OURS:
        plan = replace(plan, batch=BATCH)
    ledger, passed = _passed(job, plan, stream, file)
    return {
        **asdict(job),
        "library": library(job.peer, stream.goal),
        "judge": judge_of(stream, file),
        **passed,
        "labels": ledger.columns().shape[1],
        **ledger.figures(),
        "events_per_s": passed["events"] / passed["seconds"],
        "peak_rss_bytes": peak_rss(),
    }, ledger


def _passed(job: Job, plan: Plan, stream: Stream, file: Path) -> tuple[Ledger, Result]:
    """Test then train; say how many events, in how many seconds of the model, and if all."""
    model = made(job.peer, plan, stream, file, job.seed)
    source = plan.delayed(plan.file())
    ledger, events, spent, cpu = Ledger(plan.guess.schema.goal), 0, 0.0, 0.0
    while not source.ended() and cpu < job.limit_s:
        records = source.poll(plan.batch, 0.0)
        before = time.perf_counter(), time.process_time()
        ledger.add(model.feed(records))
        spent += time.perf_counter() - before[0]
        cpu += time.process_time() - before[1]
        events += _events(records)
    whole = source.ended() and (job.rows is None or events < job.rows)
    source.close()
    return ledger, {"events": events, "all": whole, "seconds": spent, "cpu_s": cpu}


def _events(records: Sequence[Record]) -> int:
    return sum(isinstance(record, Event) for record in records)


@cache
def _columns(path: Path) -> NDArray[np.float64]:
    kept = np.load(path)["truth_guess_score"].astype(np.float64)
    return np.insert(kept, 2, np.nan, axis=0)


def at(run: Result, labels: int) -> float | None:
    """Give the figure that judges a run's stream, over its first so many labels."""
    judge = run["judge"]
    if labels >= run["labels"]:
        return cast("float | None", run[judge])
    job = Job(run["stream"], run["peer"], run["delay"], run["seed"])
    columns = _columns(job.path.with_suffix(".npz"))
    return figures("number" if judge == "mae" else "classes", columns[:, :labels])[judge]


def main(path: Path, job: Job) -> None:
    """Run a job, and keep its figures and, beside them, truth, guess and score of every label."""
    found, ledger = measured(job)
    columns = ledger.columns()[[0, 1, 3]].astype(np.float32)
    np.savez_compressed(path.with_suffix(".npz"), truth_guess_score=columns)
    text = json.dumps(found, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Job(**json.loads(sys.argv[2])))
