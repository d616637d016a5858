"""`adaptd learners`: every learner with its family, source, goals and size."""

import dataclasses
import json as encoder
import sys
from typing import Annotated

import typer

from agent.cli.app import WIDE, app

LEARNERS_EXAMPLE = """\b
Examples:
  adaptd learners
  adaptd learners --features 784 --classes 20 --json
"""


@app.command(epilog=LEARNERS_EXAMPLE)
def learners(
    features: Annotated[int, typer.Option(min=1, help="Width of a row, for the sizes.")] = 8,
    classes: Annotated[int, typer.Option(min=2, help="Classes, for the sizes.")] = 5,
    json: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--json", help="One array of objects, for scripts.")
    ] = False,
) -> None:
    """List every learner: family, source, what it predicts, how large its state is.

    State: of one task (one user, sensor or partition). Meta-parameters are shared by all tasks.
    """
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)
    from rich.table import Table  # noqa: PLC0415 (as above)

    from agent.catalogue import catalogue  # noqa: PLC0415 (as above)

    items = list(catalogue(features, classes))
    if json:
        typer.echo(encoder.dumps([dataclasses.asdict(item) for item in items], indent=1))
        return
    table = Table(box=None, header_style="bold")
    for column in ("name", "family", "predicts", "meta-trained by"):
        table.add_column(column, no_wrap=True)
    table.add_column("parameters", justify="right")
    table.add_column("state", justify="right")
    table.add_column("source")
    for item in items:
        row = (item.name, item.family, ", ".join(item.goals), item.outer)
        table.add_row(*row, f"{item.parameters:,}", _bytes(item.state_bytes), item.paper)
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    typer.echo('any River model too: [agent] experts = ["forest.ARFClassifier"] in the settings')


def _bytes(count: int) -> str:
    """A size as a person reads it."""
    kib = 1024
    if count < kib:
        return f"{count} B"
    return f"{count / kib:.1f} KiB" if count < kib * kib else f"{count / kib / kib:.1f} MiB"
