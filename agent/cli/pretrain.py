"""`adaptd pretrain`: meta-train the default agent on generated streams."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.app import app

HERE = Path(__file__).parent.parent / "continual" / "weights"
PRETRAIN = """\b
Examples:
  adaptd pretrain
  adaptd pretrain --goal numbers --streams 200
  adaptd pretrain --part starts --rows 2000
"""


@app.command("pretrain", epilog=PRETRAIN)
def command(
    goal: Annotated[str, typer.Option(help="classes, or numbers.")] = "classes",
    part: Annotated[
        str, typer.Option(help="mixer, or starts: those of attention and network, which it hears.")
    ] = "mixer",
    streams: Annotated[int, typer.Option(min=1, help="Generated streams to train on.")] = 400,
    held: Annotated[int, typer.Option(min=1, help="Held-out ones to judge by.")] = 40,
    rows: Annotated[int, typer.Option(min=64, help="Rows of each.")] = 1600,
    iterations: Annotated[int, typer.Option(min=1, help="The mixer's steps of Adam.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of the first stream, and all draws.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="That go through streams.")] = 2,
    out: Annotated[
        Path, typer.Option(help="Folder for weights and card; the package's own by default.")
    ] = HERE,
) -> None:
    """Meta-train the default agent's mixer, or the starts of its voices, on generated streams.

    A CPU will do. New starts make the mixer stale: train it after them.
    """
    if goal not in {"classes", "numbers"}:
        raise typer.BadParameter(f"{goal!r}: write classes or numbers", param_hint="--goal")
    if part not in {"mixer", "starts"}:
        raise typer.BadParameter(f"{part!r}: write mixer or starts", param_hint="--part")
    counts: dict[str, Any] = {"held": held, "rows": rows, "seed": seed, "processes": processes}
    if part == "starts":
        _starts(goal, streams, counts, out)
    else:
        _mixer(goal, streams, iterations, counts, out)
    typer.echo(f"weights and card are in {out}")


def _mixer(goal: Any, streams: int, iterations: int, counts: dict[str, Any], out: Path) -> None:
    from agent.continual.mixing import MixingSettings  # noqa: PLC0415 (torch, only when wanted)
    from agent.pretrain import PretrainSettings, pretrain  # noqa: PLC0415 (as above)

    mixing = MixingSettings(iterations=iterations)
    settings = PretrainSettings(goal=goal, streams=streams, mixing=mixing, **counts)
    card = pretrain(settings, out, lambda line: typer.echo(line, err=True))
    for name, loss in card["judged"].items():
        typer.echo(f"{loss:9.4f}  {name}")


def _starts(goal: Any, streams: int, counts: dict[str, Any], out: Path) -> None:
    from agent.continual.evolving import StartsSettings  # noqa: PLC0415 (torch, only when wanted)
    from agent.pretrain_starts import PrestartSettings, prestart  # noqa: PLC0415 (as above)

    each = min(streams, StartsSettings().streams)
    starts = StartsSettings(steps=max(streams // each, 1), streams=each)
    settings = PrestartSettings(goal=goal, starts=starts, **counts)
    card = prestart(settings, out, lambda line: typer.echo(line, err=True))
    typer.echo("    plain     found  difference  standard error")
    for name, judged in card["judged"].items():
        typer.echo("  ".join(f"{value:9.4f}" for value in judged.values()) + f"  {name}")
