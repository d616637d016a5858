"""`adaptd evaluate`: predict each row of a file before learning it, and compare with others."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import FAILED, WIDE, app, told
from agent.toml import Text

EVALUATE = """\b
Examples:
  adaptd evaluate elec2.csv.gz --target class
  adaptd evaluate fraud.csv --target fraud --label-delay 7d --time when
  adaptd evaluate power.csv --target kwh --against river:forest.ARFRegressor
  adaptd evaluate elec2.csv.gz --target class --report elec2.html --json elec2.json \\
    --against 'river:preprocessing.StandardScaler | linear_model.LogisticRegression'
"""


class Goal(StrEnum):
    """What a target is."""

    classes = "classes"
    number = "number"


@app.command(epilog=EVALUATE)
def evaluate(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSON lines; gzip or plain.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    goal: Annotated[
        Goal | None, typer.Option(help="Whether the target is one; guessed if not given.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the event time.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--id", metavar="COLUMN", help="The column that names an event; no feature."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMNS", help="Columns to leave out, divided by commas; repeatable."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="COLUMN=KIND",
            help="What a column holds: numeric, categorical, tokens or time; repeatable.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHARACTER", help="What divides CSV cells, as ';' or tab; guessed if not given."
        ),
    ] = None,
    label_delay: Annotated[
        str | None,
        typer.Option(
            metavar="DELAY",
            help="Labels come late: 100 (events), or 30s, 15m, 12h, 7d of event time.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RIVALS",
            help="Rivals, divided by commas: river:MODEL, majority; no-change is always there."
            " Words that a model cannot take are given to it as ones.",
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Take only the first rows.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every model that draws.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file whose [agent] is evaluated.")
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write one object a model; - is standard output."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write curves: a page (.html) or a picture (.png).")
    ] = None,
) -> None:
    """Predict each row of a file before learning it, and compare with others.

    Progressive validation: every figure is of predictions made before the label was known. Each
    model has a pass and a process of its own, so its rate and memory are its own.
    """
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)

    from agent.evaluate import wording  # noqa: PLC0415 (as above)
    from agent.evaluate.command import Asked  # noqa: PLC0415 (as above)
    from agent.evaluate.command import evaluate as run_all  # noqa: PLC0415 (as above)
    from agent.evaluate.guess import Wishes  # noqa: PLC0415 (as above)
    from agent.settings import load  # noqa: PLC0415 (as above)
    from streams.source import SourceError  # noqa: PLC0415 (as above)

    with told(ValueError, SourceError, OSError):
        flags = {} if seed is None else {"agent.seed": Text(str(seed), "--seed")}
        whole = load(settings, os.environ, flags)
        wishes = Wishes(
            target=target,
            goal=None if goal is None else goal.value,
            time=time,
            id=name,
            drop=tuple(wording.listed(drop or [])),
            kinds=wording.kinds(kind or []),
            delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
        )
        asked = Asked(
            path=file,
            wishes=wishes,
            delay=(None, None) if label_delay is None else wording.delay(label_delay),
            against=tuple(wording.listed(against or [])),
            rows=rows,
            seed=whole.agent.seed,
            agent=whole.agent,
            threads=whole.service.threads,
            json=json,
            report=report,
        )
        good = run_all(
            asked, Console(width=None if sys.stdout.isatty() else WIDE), Console(stderr=True)
        )
    raise typer.Exit(0 if good else FAILED)
