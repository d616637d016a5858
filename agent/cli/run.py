"""`adaptd run`: learn from a stream until told to stop."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import app, flagged, put_in, told
from agent.cli.options import Host, LogLevel, Port, Put

RUN = """\b
Examples:
  adaptd run                                 a page on the card world
  adaptd run settings.toml --port 8642       your own stream
  adaptd run --set agent.seed=7 --events 100000 --once
"""
PLACES = {
    "host": "web.host",
    "port": "web.port",
    "checkpoints": "checkpoint.folder",
    "log_level": "service.log_level",
}


@app.command(epilog=RUN)
def run(
    settings: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one, the card world is the stream.")
    ] = None,
    host: Host = None,
    port: Port = None,
    checkpoints: Annotated[
        str | None, typer.Option(help="Folder of the snapshots, or a URL as s3://bucket/prefix.")
    ] = None,
    events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many events were answered.")
    ] = None,
    once: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--once", help="Leave when the stream ends; else the page stays up.")
    ] = False,
    log_level: LogLevel = None,
    put: Put = None,
) -> None:
    """Learn from a stream until told to stop.

    Flags go over the environment (ADAPTD__WEB__PORT=0), and that over the file.
    """
    from agent.daemon import run_daemon  # noqa: PLC0415 (see the head of the package)
    from agent.settings import load  # noqa: PLC0415 (as above)

    given = flagged(PLACES, host=host, port=port, checkpoints=checkpoints, log_level=log_level)
    over = given | put_in(put or [])
    with told():
        found = load(settings, os.environ, over)
    raise typer.Exit(
        run_daemon(found, events, linger=not once, again=lambda: load(settings, os.environ, over))
    )
