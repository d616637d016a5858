"""`adaptd pretrain`: meta-train the default agent's mixer on generated streams."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import app

HERE = Path(__file__).parent.parent / "continual" / "weights"
PRETRAIN = """\b
Examples:
  adaptd pretrain
  adaptd pretrain --goal numbers --streams 200
"""


@app.command("pretrain", epilog=PRETRAIN)
def command(
    goal: Annotated[str, typer.Option(help="classes, or numbers.")] = "classes",
    streams: Annotated[int, typer.Option(min=1, help="Generated streams to train on.")] = 400,
    held: Annotated[int, typer.Option(min=1, help="Held-out ones to judge by.")] = 40,
    rows: Annotated[int, typer.Option(min=64, help="Rows of each.")] = 1600,
    iterations: Annotated[int, typer.Option(min=1, help="Steps of Adam.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first stream, and the mixer.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="That go through streams.")] = 2,
    out: Annotated[
        Path, typer.Option(help="Folder for weights and card; the package's own by default.")
    ] = HERE,
) -> None:
    """Meta-train the default agent's mixer on generated drifting streams; a CPU will do."""
    if goal not in {"classes", "numbers"}:
        raise typer.BadParameter(f"{goal!r}: write classes or numbers", param_hint="--goal")
    from agent.continual.mixing import MixingSettings  # noqa: PLC0415 (torch, only when wanted)
    from agent.pretrain import PretrainSettings, pretrain  # noqa: PLC0415 (as above)

    settings = PretrainSettings(
        goal="numbers" if goal == "numbers" else "classes",
        streams=streams,
        held=held,
        rows=rows,
        seed=seed,
        processes=processes,
        mixing=MixingSettings(iterations=iterations),
    )
    card = pretrain(settings, out, lambda line: typer.echo(line, err=True))
    for name, loss in card["judged"].items():
        typer.echo(f"{loss:9.4f}  {name}")
    typer.echo(f"weights and card are in {out}")
