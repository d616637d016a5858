"""One run of one model over one stream in a process of its own, kept in files of its own.

It goes the way of `benchmarks.field`: the same rows, the same encoders, the same makers.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from agent.evaluate.measures import Ledger
from agent.evaluate.plan import Model, Plan
from benchmarks.change.worlds import Told, told
from benchmarks.field.peers import OURS, library, made
from benchmarks.field.runs import ALONE, BATCH, WAIT
from benchmarks.field.streams import read
from benchmarks.table import OUT

Result: TypeAlias = dict[str, Any]

RUNS: Final = OUT / "change" / "runs"
TASKS: Final = f"{OURS}-tasks"  # the agent with a mixture over tasks at its table
STEP: Final = 50  # records between two looks at the tasks that it believes in


@dataclass(frozen=True, slots=True)
class Job:
    """What is run.

    Args:
        stream, peer: by name.
        seed: of models that draw.
        limit_s: CPU-seconds after which it stops where it stands.
        data: the folder of the real streams.
    """

    stream: str
    peer: str
    seed: int = 0
    limit_s: float = 1800.0
    data: str = "../shared/data"

    @property
    def path(self) -> Path:
        """Where its result lies; truths and guesses lie beside it, as .npz."""
        return RUNS / f"{self.stream}-{self.peer}-{self.seed}.json"


def apart(job: Job, python: str) -> Result | None:
    """Run it in a process of its own, unless its result is there; None where it failed."""
    if not job.path.exists():
        told(job.stream, Path(job.data))
        job.path.parent.mkdir(parents=True, exist_ok=True)
        command = [python, "-m", "benchmarks.change.runs", json.dumps(asdict(job))]
        try:
            wait = job.limit_s * WAIT
            subprocess.run(command, check=True, timeout=wait, env=os.environ | ALONE)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None  # it has told why
    found: Result = json.loads(job.path.read_text(encoding="utf-8"))
    return found


def main(job: Job) -> None:
    """Run a job here; keep its figures, and truth and guess of every label."""
    one = told(job.stream, Path(job.data))
    plan = Plan(read(one.stream, one.file), batch=STEP if job.peer == TASKS else BATCH)
    ledger, passed = _passed(job, plan, one)
    columns = ledger.columns()[:2].astype(np.int16)
    np.savez_compressed(job.path.with_suffix(".npz"), truth_guess=columns)
    whole = asdict(job) | {"library": _library(job.peer), "labels": columns.shape[1]} | passed
    job.path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _library(peer: str) -> str:
    return OURS if peer == TASKS else library(peer, "classes")


def _passed(job: Job, plan: Plan, one: Told) -> tuple[Ledger, Result]:
    """Test then train; say in how many seconds, and which changes of the task were noticed."""
    model = _made(job, plan, one)
    source, ledger, cpu = plan.file(), Ledger("classes"), 0.0
    noticed: list[tuple[int, int, int]] = []  # labels so far, new tasks, returned ones
    labels = 0
    while not source.ended() and cpu < job.limit_s:
        records = source.poll(plan.batch, 0.0)
        before = time.process_time()
        scores = model.feed(records)
        cpu += time.process_time() - before
        ledger.add(scores)
        labels += len(scores)
        if (seen := _tasks(model)) and (not noticed or noticed[-1][1:] != seen):
            noticed.append((labels, *seen))
    source.close()
    return ledger, {"cpu_s": cpu, "noticed": noticed}


def _made(job: Job, plan: Plan, one: Told) -> Model:
    if job.peer != TASKS:
        return made(job.peer, replace(plan, batch=BATCH), one.stream, one.file, job.seed)
    from agent.continual.default import AgentSettings  # noqa: PLC0415 (peers go without torch)
    from agent.evaluate.ours import Agent  # noqa: PLC0415 (as above)

    return Agent.of(plan, AgentSettings(seed=job.seed, tasks=True), threads=1).make()


def _tasks(model: Model) -> tuple[int, int] | None:
    """How many changes of the task were noticed so far, to new ones and to old."""
    report = model.agent.tasks() if hasattr(model, "agent") else None
    return None if report is None else (report.changes["new"], report.changes["returned"])


def kept(name: str, peer: str) -> list[Result]:
    """Give the results that are there, with what was right (N)."""
    found: list[Result] = []
    for path in sorted(RUNS.glob(f"{name}-{peer}-*.json")):
        if path.stem.removeprefix(f"{name}-{peer}-").isdigit():
            truth, guess = np.load(path.with_suffix(".npz"))["truth_guess"]
            one: Result = json.loads(path.read_text(encoding="utf-8"))
            found.append(one | {"right_N": truth == guess})
    return found


def run(arguments: Sequence[str]) -> None:
    """As a process of its own."""
    main(Job(**json.loads(arguments[0])))


if __name__ == "__main__":
    run(sys.argv[1:])
