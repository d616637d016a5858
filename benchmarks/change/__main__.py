"""After a change: how soon accuracy is back, what is left of old tasks, and false alarms.

    python -m benchmarks.change run [--peers adaptd,arf] [--tests abrupt,returns]
    python -m benchmarks.change table

Every run has a process of its own and leaves out/change/runs/STREAM-PEER-SEED.json, with what was
right beside it: what was interrupted goes on where it stood. Runs come peer by peer.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks import table
from benchmarks.change import summary
from benchmarks.change.runs import TASKS, Job, Result, apart, kept
from benchmarks.change.worlds import STILLS, TESTS, names
from benchmarks.field.peers import OURS
from benchmarks.field.streams import DATA

PEERS: Final = (OURS, TASKS, "no-change", "hat", "knn", "arf", "lb", "srp")
SEEDS: Final = {"usenet1": 3}  # runs of a model; of the others there are many streams

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def run(
    peers: Annotated[str, typer.Option(help="By name, divided by commas.")] = ",".join(PEERS),
    tests: Annotated[str, typer.Option(help="By name, divided by commas.")] = ",".join(TESTS),
    first: Annotated[int | None, typer.Option(help="Streams of a test; all if not given.")] = None,
    limit: Annotated[float, typer.Option(help="CPU-seconds a run, at most.")] = 1800.0,
    again: Annotated[bool, typer.Option(help="Also run what was run before.")] = False,  # noqa: FBT002 (a flag)
    python: Annotated[str, typer.Option(help="What runs the peers.")] = sys.executable,
    data: Annotated[Path, typer.Option(help="The folder of the real streams.")] = DATA,
) -> None:
    """Run what has not been run yet."""
    for peer in peers.split(","):
        ours = peer in {OURS, TASKS}
        for test in tests.split(","):
            if test in STILLS and peer != TASKS:
                continue  # nobody else tells of changes
            for name in names(test)[:first]:
                for seed in range(SEEDS.get(test, 1)):
                    job = Job(name, peer, seed, limit, str(data))
                    if again:
                        job.path.unlink(missing_ok=True)
                    _tell(job, apart(job, sys.executable if ours else python))


def _tell(job: Job, found: Result | None) -> None:
    said = "failed" if found is None else f"{found['labels']:,} labels, {found['cpu_s']:.1f} CPU-s"
    print(f"{job.path.stem}: {said}", flush=True)


@app.command(name="table")
def tables(
    first: Annotated[int | None, typer.Option(help="Streams of a test; all if not given.")] = None,
    data: Annotated[Path, typer.Option(help="The folder of the real streams.")] = DATA,
) -> None:
    """Write out/change_recovery, out/change_returns and out/change_alarms, .md and .json.

    Of each test those streams count through which every model went that went through any.
    """
    command = shlex.join(["python", "-m", "benchmarks.change", *sys.argv[1:]])
    found: dict[tuple[str, str], list[Result]] = {}
    for test in TESTS:
        by_peer = {peer: {name: kept(name, peer) for name in names(test)[:first]} for peer in PEERS}
        found |= {(test, peer): runs for peer, runs in summary.shared(by_peer).items()}
    for what, rows in summary.tables(found, data).items():
        if rows:
            table.write(f"change_{what}", rows, command)


if __name__ == "__main__":
    app()
