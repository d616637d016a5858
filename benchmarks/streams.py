"""The default agent on real streams, beside River models and no-change, each met in one run.

    python -m benchmarks.streams [FILE=TARGET ...] [--rows N] [--against RIVALS] [--label-delay D]

Test then train, labels at once unless told otherwise; every model in a process of its own, one
after another. "times" is the agent's events a second of model time over that model's.
"""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from agent.evaluate import wording
from agent.evaluate.command import Asked, evaluate
from agent.evaluate.guess import Wishes
from benchmarks import table

ELEC2 = "../shared/data/elec2.csv.gz=class"
RIVALS = (
    "river:forest.ARFClassifier",
    "river:tree.HoeffdingAdaptiveTreeClassifier",
    "river:naive_bayes.GaussianNB",
)


def measured(asked: Asked) -> list[table.Row]:
    """Run every model on one file, and give a row each; the agent's comes first."""
    with TemporaryDirectory() as folder:
        asked = replace(asked, json=Path(folder) / "out.json")
        evaluate(asked, Console(), Console(stderr=True))
        found = json.loads((Path(folder) / "out.json").read_text(encoding="utf-8"))
    return [_row(asked.path, one, found[0]) for one in found]


def _row(path: Path, one: dict[str, Any], agent: dict[str, Any]) -> table.Row:
    rate, peak = one["events_per_s"], one["peak_rss_bytes"]
    scored = ("accuracy", "kappa", "average_precision", "mae", "rmse", "r2")
    return {
        "stream": path.name.partition(".")[0],
        "model": one["name"],
        "events": one["events"],
        **{name: one[name] for name in ("log_loss", *scored) if agent[name] is not None},
        "events/s": round(rate) if rate else None,
        "times": agent["events_per_s"] / rate if rate else None,
        "peak MiB": round(peak / 2**20),
    }


def _filled(rows: list[table.Row]) -> list[table.Row]:
    """Give every row the columns of all, as streams differ in their figures."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    last = ("events/s", "times", "peak MiB")
    names = [name for name in names if name not in last] + list(last)
    return [{name: row.get(name) for name in names} for row in rows]


def main(
    streams: Annotated[list[str] | None, typer.Argument(metavar="FILE=TARGET")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Take only the first rows.")] = None,
    against: Annotated[str, typer.Option(help="Rivals, divided by commas.")] = ",".join(RIVALS),
    label_delay: Annotated[str | None, typer.Option(help="Events, or 7d of event time.")] = None,
    drop: Annotated[str | None, typer.Option(help="Columns to leave out, by commas.")] = None,
) -> None:
    """Write out/streams.json and out/streams.md."""
    found: list[table.Row] = []
    for one in streams or [ELEC2]:
        path, _, target = one.rpartition("=")
        asked = Asked(
            path=Path(path),
            wishes=Wishes(target=target, drop=tuple(wording.listed([drop or ""]))),
            delay=(None, None) if label_delay is None else wording.delay(label_delay),
            against=tuple(wording.listed([against])),
            rows=rows,
        )
        found += measured(asked)
    command = shlex.join(["python", "-m", "benchmarks.streams", *sys.argv[1:]])
    table.write("streams", _filled(found), command)


if __name__ == "__main__":
    typer.run(main)
