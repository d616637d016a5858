"""The command line: what a person types, and what they are told when it cannot be.

Each command imports what it runs on when it is called: `--help` stays quick, and a process that
only holds a rival of `evaluate` does not load torch.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import agent
from agent.faults import SettingsError
from agent.toml import Text

WRONG = 2
FAILED = 1
WIDE = 160  # columns of a table that goes to a file

RUN = """\b
Examples:
  adaptd run                                 a page on the card world
  adaptd run settings.toml --port 8642       your own stream
  adaptd run --set agent.seed=7 --events 100000 --once
"""
EVALUATE = """\b
Examples:
  adaptd evaluate elec2.csv.gz --target class
  adaptd evaluate fraud.csv --target fraud --label-delay 7d --time when
  adaptd evaluate power.csv --target kwh --against river:forest.ARFRegressor
  adaptd evaluate elec2.csv.gz --target class --report elec2.html --json elec2.json \\
    --against 'river:preprocessing.StandardScaler | linear_model.LogisticRegression'
"""
VALIDATE = """\b
Example:
  adaptd validate settings.toml
"""
LEARNERS_EXAMPLE = """\b
Example:
  adaptd learners
"""

app = typer.Typer(
    name="adaptd",
    help="A daemon that goes on learning: it predicts every event of a stream, learns from each"
    " label when it comes, and says how it fares.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class Goal(StrEnum):
    """What a target is."""

    classes = "classes"
    number = "number"


def main() -> None:
    """Run the command that was typed."""
    app()


@contextmanager
def _told(*wrong: type[Exception]) -> Iterator[None]:
    """End with a line a fault and code 2, instead of a traceback."""
    try:
        yield
    except SettingsError as error:
        for fault in error.faults:
            typer.echo(f"adaptd: {fault.line()}", err=True)
        raise typer.Exit(WRONG) from None
    except wrong as error:
        typer.echo(f"adaptd: {error}", err=True)
        raise typer.Exit(WRONG) from None


def _version(asked: bool) -> None:  # noqa: FBT001 (typer's callback)
    if asked:
        typer.echo(f"adaptd {agent.__version__}")
        raise typer.Exit


@app.callback()
def _adaptd(
    version: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Come before every command."""
    del version


@app.command(epilog=RUN)
def run(
    settings: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one, the card world is the stream.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address of the page and /metrics.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of both; 0 takes any free one.")] = None,
    checkpoints: Annotated[Path | None, typer.Option(help="Folder of the snapshots.")] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many events were answered.")
    ] = None,
    once: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--once", help="Leave when the stream ends; else the page stays up.")
    ] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    put: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set any setting; repeatable."),
    ] = None,
) -> None:
    """Learn from a stream until told to stop.

    Flags go over the environment (ADAPTD__WEB__PORT=0), and that over the file.
    """
    from agent.daemon import run_daemon  # noqa: PLC0415 (see the head of this file)
    from agent.settings import load  # noqa: PLC0415 (as above)

    flags = {
        "web.host": ("--host", host),
        "web.port": ("--port", port),
        "checkpoint.folder": ("--checkpoints", checkpoints),
        "service.log_level": ("--log-level", log_level),
    }
    given = {path: Text(str(it), flag) for path, (flag, it) in flags.items() if it is not None}
    with _told():
        found = load(settings, os.environ, given | _put(put or []))
    raise typer.Exit(run_daemon(found, events, linger=not once))


def _put(texts: list[str]) -> dict[str, Text]:
    """Read PATH=VALUE."""
    given = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise typer.BadParameter(f"{text!r}; write it as agent.seed=7", param_hint="--set")
        given[path] = Text(value, "--set")
    return given


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
    from rich.console import Console  # noqa: PLC0415 (see the head of this file)

    from agent.evaluate import wording  # noqa: PLC0415 (as above)
    from agent.evaluate.command import Asked  # noqa: PLC0415 (as above)
    from agent.evaluate.command import evaluate as run_all  # noqa: PLC0415 (as above)
    from agent.evaluate.guess import Wishes  # noqa: PLC0415 (as above)
    from agent.settings import load  # noqa: PLC0415 (as above)
    from streams.source import SourceError  # noqa: PLC0415 (as above)

    with _told(ValueError, SourceError, OSError):
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


@app.command(epilog=VALIDATE)
def validate(
    settings: Annotated[Path, typer.Argument(help="The TOML file to check.")],
) -> None:
    """Check settings, with the environment over them, and say every fault with its place.

    Leaves with 0 if they are good, with 2 if not.
    """
    from agent.settings import load  # noqa: PLC0415 (see the head of this file)

    with _told():
        found = load(settings, os.environ)
    features = f"{len(found.schema.fields)} features, goal {found.schema.goal}"
    typer.echo(f"{settings}: good ({found.source.kind} to {found.sink.kind}, {features})")


@app.command(epilog=LEARNERS_EXAMPLE)
def learners() -> None:
    """List the learners, and how to seat any River model beside them."""
    from agent.continual import default  # noqa: PLC0415 (see the head of this file)
    from agent.learners.registry import LEARNERS  # noqa: PLC0415 (as above)

    del default  # it was imported so that its learners are registered
    for name in sorted(LEARNERS):
        typer.echo(name)
    typer.echo('any River model: [agent] experts = ["forest.ARFClassifier"] in the settings')
