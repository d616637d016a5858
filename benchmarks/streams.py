"""The default agent on real streams, beside River models and no-change, each met in one run.

    python -m benchmarks.streams [FILE=TARGET ...] [--against RIVALS] [any option of evaluate]

For each stream it runs `adaptd evaluate`: test then train, labels at once unless told otherwise,
every model in a process of its own, one after another. "times" is the agent's events a second of
model time over that model's.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks import table

ELEC2 = "../shared/data/elec2.csv.gz=class"
RIVALS = (
    "river:forest.ARFClassifier",
    "river:tree.HoeffdingAdaptiveTreeClassifier",
    "river:naive_bayes.GaussianNB",
)
SCORES = ("accuracy", "kappa", "log_loss", "average_precision", "mae", "rmse", "r2")
COSTS = ("events/s", "times", "peak MiB")


def measured(path: Path, target: str, against: str, options: list[str]) -> list[table.Row]:
    """Run every model on one file, and give a row each; the agent's comes first."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "agent", "evaluate", str(path), "--target", target]
        command += ["--against", against, "--json", str(out), *options]
        code = subprocess.run(command, check=False).returncode  # it has told why
        if not out.exists():
            raise SystemExit(code)
        found = json.loads(out.read_text(encoding="utf-8"))
    return [_row(path, one, found[0]) for one in found]


def _row(path: Path, one: dict[str, Any], agent: dict[str, Any]) -> table.Row:
    rate = one["events_per_s"]
    return {
        "stream": path.name.partition(".")[0],
        "model": one["name"],
        "events": one["events"],
        **{name: one[name] for name in SCORES if agent[name] is not None},
        "events/s": rate and round(rate),
        "times": rate and agent["events_per_s"] / rate,
        "peak MiB": round(one["peak_rss_bytes"] / 2**20),
    }


def _alike(rows: list[table.Row]) -> list[table.Row]:
    """Give every row the columns of all: streams differ in their figures."""
    scores = [name for name in SCORES if any(name in row for row in rows)]
    names = ("stream", "model", "events", *scores, *COSTS)
    return [{name: row.get(name) for name in names} for row in rows]


def main(
    words: typer.Context,
    against: Annotated[str, typer.Option(help="Rivals, divided by commas.")] = ",".join(RIVALS),
) -> None:
    """Write out/streams.json and out/streams.md."""
    cut = next((at for at, word in enumerate(words.args) if word.startswith("-")), len(words.args))
    found: list[table.Row] = []
    for stream in words.args[:cut] or [ELEC2]:
        path, _, target = stream.rpartition("=")
        found += measured(Path(path), target, against, words.args[cut:])
    command = shlex.join(["python", "-m", "benchmarks.streams", *sys.argv[1:]])
    table.write("streams", _alike(found), command)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(main)
    app()
