"""`adaptd validate`: check settings and say every fault at once."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import app, told

VALIDATE = """\b
Example:
  adaptd validate settings.toml
"""


@app.command(epilog=VALIDATE)
def validate(
    settings: Annotated[Path, typer.Argument(help="The TOML file to check.")],
) -> None:
    """Check settings, with the environment over them, and say every fault with its place.

    Leaves with 0 if they are good, with 2 if not.
    """
    from agent.settings import load  # noqa: PLC0415 (see the head of the package)

    with told():
        found = load(settings, os.environ)
    features = f"{len(found.schema.fields)} features, goal {found.schema.goal}"
    typer.echo(f"{settings}: good ({found.source.kind} to {found.sink.kind}, {features})")
