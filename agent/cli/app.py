"""The application that commands join, and how a person is told of a fault."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

import agent
from agent.faults import SettingsError
from agent.toml import Text

WRONG = 2
FAILED = 1
WIDE = 160  # columns of a table that goes to a file

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


@contextmanager
def told(*wrong: type[Exception]) -> Iterator[None]:
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


@contextmanager
def failing(*kinds: type[Exception]) -> Iterator[None]:
    """End with a line and code 1 when a run that was rightly asked for fails."""
    try:
        yield
    except kinds as error:
        typer.echo(f"adaptd: {error}", err=True)
        raise typer.Exit(FAILED) from None


@contextmanager
def quietly(level: str) -> Iterator[None]:
    """Log to standard error from that level on: standard output is the command's own."""
    import structlog  # noqa: PLC0415 (see the head of the package)

    from agent.service.clocks import Clocks  # noqa: PLC0415 (as above)
    from agent.service.logs import configure  # noqa: PLC0415 (as above)

    before = structlog.get_config()
    configure(Clocks().wall, level)
    try:
        yield
    finally:
        structlog.configure(**before)


def put_in(texts: list[str], flag: str = "--set") -> dict[str, Text]:
    """Read PATH=VALUE."""
    given = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise typer.BadParameter(f"{text!r}; write it as agent.seed=7", param_hint=flag)
        given[path] = Text(value, flag)
    return given


def flagged(places: Mapping[str, str], **given: object) -> dict[str, Text]:
    """Give what flags say, by the place of what they set; those that were not given are None.

    Args:
        places: where what a flag sets has another name than the flag.
        given: flags by name, with underscores.
    """
    return {
        places.get(name, name): Text(str(it), f"--{name.replace('_', '-')}")
        for name, it in given.items()
        if it is not None
    }


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
