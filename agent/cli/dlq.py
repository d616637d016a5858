"""`adaptd dlq`: dead letters listed and shown; `agent.cli.requeue` puts them back."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from agent.cli.app import WIDE, app, failing, quietly, told
from agent.cli.letters import (
    Form,
    moment,
    opened,
    plain,
    say_json,
    say_letter,
    stamp,
    told_letter,
    told_sums,
)

if TYPE_CHECKING:  # loaded when a command runs: `--help` stays quick
    from agent.deadletters import Sum

DLQ = """\b
Examples:
  adaptd dlq list settings.toml
  adaptd dlq show refused.jsonl --reason bad-value --limit 3
  adaptd dlq requeue settings.toml --reason oversize --dry-run
"""
LIST = """\b
Examples:
  adaptd dlq list settings.toml --since 2h
  adaptd dlq list refused.jsonl --format json
"""
SHOW = """\b
Example:
  adaptd dlq show settings.toml --reason undecodable --limit 5
"""

Place: TypeAlias = Annotated[
    Path, typer.Argument(help="A settings file (.toml), or a file of dead letters.")
]
Reason: TypeAlias = Annotated[str | None, typer.Option(help="Letters of that reason alone.")]
Since: TypeAlias = Annotated[
    str | None, typer.Option(help="Written since: 30m, 2h, 7d ago, or 2026-11-23T03:00 (UTC).")
]

dlq = typer.Typer(
    name="dlq",
    help="Dead letters: list them, show them, put them back after a fix.",
    epilog=DLQ,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(dlq)


@dlq.command("list", epilog=LIST)
def list_(
    place: Place,
    reason: Reason = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="Examples of each reason.")] = 1,
    form: Form = "text",
) -> None:
    """Count dead letters by reason, with examples.

    Those that were put back are counted beside.
    """
    from agent.deadletters import Wanted, summed  # noqa: PLC0415 (see the head of the package)
    from streams.source import SourceError  # noqa: PLC0415 (as above)

    with (
        quietly("error"),
        told(),
        failing(SourceError),
        opened(place, moment(since)) as (name, letters),
    ):
        sums = summed(Wanted(reason).of(letters), limit)
    if form == "json":
        say_json(told_sums(sums, name))
    else:
        _say_sums(sums, name)


def _say_sums(sums: "dict[str, Sum]", name: str) -> None:
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)
    from rich.table import Table  # noqa: PLC0415 (as above)

    total = sum(one.letters for one in sums.values())
    typer.echo(f"{name}: {total:,} dead letters")
    if not sums:
        return
    table = Table(box=None, header_style="bold")
    for column in ("reason", "letters", "put back", "cut short", "first", "last"):
        right = column in {"letters", "put back", "cut short"}
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for reason, one in sums.items():
        counts = (f"{count:,}" for count in (one.letters, one.put_back, one.cut))
        table.add_row(plain(reason), *counts, stamp(one.first) or "", stamp(one.last) or "")
    Console(width=None if sys.stdout.isatty() else WIDE, markup=False).print(table)
    for one in sums.values():
        for letter in one.examples:
            typer.echo("")
            say_letter(letter)


@dlq.command(epilog=SHOW)
def show(
    place: Place,
    reason: Reason = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="So many letters at most.")] = 20,
    form: Form = "text",
) -> None:
    """Show dead letters whole: why, where from, and their bytes.

    With --format json one object a line.
    """
    from agent.deadletters import Wanted  # noqa: PLC0415 (see the head of the package)
    from streams.source import SourceError  # noqa: PLC0415 (as above)

    with (
        quietly("error"),
        told(),
        failing(SourceError),
        opened(place, moment(since)) as (_, letters),
    ):
        for letter in Wanted(reason, limit).of(letters):
            if form == "json":
                typer.echo(json.dumps(told_letter(letter)))
            else:
                say_letter(letter)
