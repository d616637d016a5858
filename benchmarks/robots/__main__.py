"""Benchmarks of robots: python -m benchmarks.robots NAME [SEEDS], as `adaptd robot bench NAME`."""

from typing import Annotated

import typer

from agent.cli.robot import BENCHES, Alone, Seed, Split, bench


def run(
    name: Annotated[str, typer.Argument(help=", ".join(BENCHES))],
    seeds: Annotated[int, typer.Argument(min=1, help="How many of each.")] = 5,
    seed: Seed = None,
    split: Split = None,
    robot: Alone = None,
) -> None:
    """Run one, print its table, and write out/robots-NAME.json."""
    bench(name, seeds, seed, split, robot)


if __name__ == "__main__":
    typer.run(run)
