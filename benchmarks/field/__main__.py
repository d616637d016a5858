"""The field on real streams: the agent and its peers, one event at a time, test then train.

    python -m benchmarks.field run [--peers arf,hat] [--streams elec2] [--delays 0,100,1000]
    python -m benchmarks.field table

Every run has a process of its own and leaves out/field/runs/STREAM-PEER-DELAY-SEED.json: what was
interrupted goes on where it stood. Runs come peer by peer in the order given, small streams first.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import table
from benchmarks.field import scores
from benchmarks.field.peers import CODED, FIELD, OURS
from benchmarks.field.runs import RUNS, Job, Result, apart, at
from benchmarks.field.streams import DATA, Stream, every_stream, prepared, read

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def run(
    peers: Annotated[str, typer.Option(help="By name, divided by commas.")] = "",
    streams: Annotated[str, typer.Option(help="By name; all if not given.")] = "",
    delays: Annotated[str, typer.Option(help="Events that labels come late.")] = "0",
    seeds: Annotated[int, typer.Option(help="Runs of each, from seed 0 on.")] = 1,
    rows: Annotated[int | None, typer.Option(help="Taken at most.")] = None,
    longest: Annotated[int | None, typer.Option(help="Leave out streams of more rows.")] = None,
    limit: Annotated[float, typer.Option(help="Seconds a run, at most.")] = 1800.0,
    beside: Annotated[
        int, typer.Option(help="After each run of the agent, ARF on so many first rows: its rate.")
    ] = 0,
    again: Annotated[bool, typer.Option(help="Also run what was run before.")] = False,  # noqa: FBT002 (a flag)
    python: Annotated[str, typer.Option(help="What runs the peers.")] = sys.executable,
    data: Annotated[Path, typer.Option(help="The folder of the streams.")] = DATA,
) -> None:
    """Run what has not been run yet."""
    known = every_stream(data)
    chosen = [known[name] for name in streams.split(",")] if streams else list(known.values())
    sized = sorted((_rows(prepared(one, data)), one.name) for one in chosen)
    kept = [known[name] for size, name in sized if longest is None or size <= longest]
    for delay in delays.split(","):
        for job in _jobs(kept, _wordy(kept, data), peers, int(delay), seeds):
            whole = Job(job.stream, job.peer, job.delay, job.seed, rows, limit, str(data))
            who = sys.executable if job.peer == OURS else python
            if again:
                whole.path.unlink(missing_ok=True)
            _tell(whole, found := apart(whole, whole.path, who))
            if found is not None and beside and job.peer == OURS:
                _beside(whole, beside, python)


def _wordy(streams: list[Stream], data: Path) -> set[str]:
    """Name those with categorical features; to others it is all one how words are given."""
    kinds = {one.name: read(one, prepared(one, data)).schema.fields.values() for one in streams}
    return {name for name, them in kinds.items() if "categorical" in them}


def _jobs(
    streams: list[Stream], wordy: set[str], peers: str, delay: int, seeds: int
) -> Iterator[Job]:
    names = peers.split(",") if peers else list(dict.fromkeys(sum(FIELD.values(), ())))
    for peer in names:
        for stream in streams:
            if peer.endswith(CODED) and stream.name not in wordy:
                continue
            if peer in (OURS, *FIELD[stream.goal]):
                yield from (Job(stream.name, peer, delay, seed) for seed in range(seeds))


def _beside(job: Job, rows: int, python: str) -> None:
    """Keep ARF's rate, taken right after the agent's, with the agent's result."""
    kept = json.loads(job.path.read_text(encoding="utf-8"))
    if "arf_events" in kept:
        return
    path = RUNS.parent / "beside.json"
    path.unlink(missing_ok=True)
    found = apart(Job(job.stream, "arf", 0, 0, rows, job.limit_s, job.data), path, python)
    if found is not None:
        kept |= {f"arf_{name}": found[name] for name in ("events", "seconds", "cpu_s")}
        job.path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _tell(job: Job, found: Result | None) -> None:
    said = "failed"
    if found is not None:
        figures = ("accuracy", "kappa", "average_precision", "mae", "events_per_s", "events")
        said = " ".join(f"{name} {found[name]:.4g}" for name in figures if found[name] is not None)
    print(f"{job.path.stem}: {said}", flush=True)


def _rows(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines) - 1


@app.command(name="table")
def tables(delay: Annotated[int, typer.Option(help="Events that labels come late.")] = 0) -> None:
    """Write out/field.md, out/field_ranks.md, out/field_best.md, and .json, of one delay."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RUNS.glob("*.json"))]
    rows = scores.by_stream([one for one in found if one["delay"] == delay], at)
    if not rows:
        raise SystemExit(f"nothing in {RUNS} has a delay of {delay}: run it first")
    command = shlex.join(["python", "-m", "benchmarks.field", *sys.argv[1:]])
    mark = f"_{delay}" if delay else ""
    table.write(f"field{mark}", rows, command)
    table.write(f"field_ranks{mark}", scores.by_model(rows), command)
    if best := scores.beside_best(rows, OURS):
        table.write(f"field_best{mark}", best, command)


if __name__ == "__main__":
    app()
