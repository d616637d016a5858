"""Benchmarks of robots: python -m benchmarks.robots arm|inverted|dead|life|trial|clock [SEEDS]."""

import importlib
from typing import Annotated

import typer

NAMES = ("arm", "inverted", "dead", "life", "trial", "clock")


def run(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    seeds: Annotated[int, typer.Argument(min=1, help="How many of each.")] = 5,
) -> None:
    """Run one, print its table, and write out/robots-NAME.json."""
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r}; give one of {', '.join(NAMES)}", param_hint="NAME")
    importlib.import_module(f"benchmarks.robots.{name}").main(range(seeds))


if __name__ == "__main__":
    typer.run(run)
