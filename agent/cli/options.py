"""Options that several commands have."""

from typing import Annotated, TypeAlias

import typer

Host: TypeAlias = Annotated[str | None, typer.Option(help="Address of the page and /metrics.")]
Port: TypeAlias = Annotated[int | None, typer.Option(help="Port of both; 0 takes any free one.")]
LogLevel: TypeAlias = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
Put: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set any setting; repeatable."),
]
