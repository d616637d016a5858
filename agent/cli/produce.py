"""`adaptd produce`: a load of card payments and late labels, written to Kafka."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import app, put_in, told
from agent.cli.options import Put

PRODUCE = """\b
Examples:
  adaptd produce deploy/examples/cards.toml --rate 5000
  adaptd produce cards.toml --events 100000 --set source.world.seed=7
  adaptd produce cards.toml --rate 100 --live
"""


@app.command(epilog=PRODUCE)
def produce(
    settings: Annotated[
        Path, typer.Argument(help="The TOML file of the daemon that is to read it.")
    ],
    rate: Annotated[
        float, typer.Option(min=0, help="Events a second; 0 writes as many as can be written.")
    ] = 0.0,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many; labels due later stay unwritten.")
    ] = None,
    live: Annotated[  # noqa: FBT002 (a flag to typer)
        bool,
        typer.Option(
            "--live", help="Today's times and ids of this run; else a seed gives the same bytes."
        ),
    ] = False,
    put: Put = None,
) -> None:
    """Write the card world's events and late labels to the Kafka topics of a settings file.

    Keyed by card, so that a label lies in the partition of its event. Labels come beside the
    events, as many as are due. SIGTERM waits until all is acknowledged and leaves with 0.
    """
    from agent.produce import Load, run_produce  # noqa: PLC0415 (see the head of the package)
    from agent.settings import load  # noqa: PLC0415 (as above)

    with told():
        found = load(settings, os.environ, put_in(put or []))
        code = run_produce(found, Load(rate, events, live))
    raise typer.Exit(code)
