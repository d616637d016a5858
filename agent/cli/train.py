"""`adaptd train`: meta-train a learner over a family of tasks."""

import datetime as dt
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.app import FAILED, WIDE, app, put_in, told
from agent.toml import Text

TRAIN = """\b
Examples:
  adaptd train --learner maml --tasks sinusoid --out runs/maml
  adaptd train --learner alpaca --tasks sinusoid --shots 1..10 --out runs/alpaca
  adaptd train --learner prototypical --tasks mixtures --set-tasks ways=20 --out runs/proto
  adaptd train --learner maml --tasks sinusoid --out runs/maml --resume
  adaptd train --learner lstm --tasks sinusoid --through-time --out runs/lstm
  torchrun --nproc-per-node 2 -m agent train --learner maml --tasks sinusoid --out runs/maml
"""


@app.command(epilog=TRAIN)
def train(
    learner: Annotated[str, typer.Option(help="Which one; `adaptd learners` lists them.")],
    tasks: Annotated[str, typer.Option(help="A family of tasks, as sinusoid or omniglot.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, weights and card.")],
    iterations: Annotated[int | None, typer.Option(help="Outer steps.")] = None,
    tasks_per_step: Annotated[int | None, typer.Option(help="Tasks in one of them.")] = None,
    shots: Annotated[
        str | None, typer.Option(metavar="N|N..M", help="Support rows, a class or a task.")
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Query rows, a class or a task.")] = None,
    steps: Annotated[str | None, typer.Option(metavar="N|N..M", help="Inner steps.")] = None,
    rate: Annotated[float | None, typer.Option(help="Outer step size.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many validations without a new best.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all draws of tasks.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of tensor operations.")] = None,
    resume: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--resume", help="Go on with the run in the folder.")
    ] = False,
    test_tasks: Annotated[int, typer.Option(min=2, help="Tasks of the final table.")] = 600,
    put: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set an option of the learner."),
    ] = None,
    put_tasks: Annotated[
        list[str] | None,
        typer.Option("--set-tasks", metavar="PATH=VALUE", help="Set an option of the tasks."),
    ] = None,
    through_time: Annotated[  # noqa: FBT002 (a flag to typer)
        bool,
        typer.Option("--through-time", help="Train on streams of tasks that come and come back."),
    ] = False,
    put_time: Annotated[
        list[str] | None,
        typer.Option("--set-time", metavar="PATH=VALUE", help="Set an option of these streams."),
    ] = None,
    put_training: Annotated[
        list[str] | None,
        typer.Option("--set-training", metavar="PATH=VALUE", help="Set any option of the run."),
    ] = None,
) -> None:
    """Meta-train a learner, and hold it against fine-tuning and a start from scratch.

    Ctrl-C leaves a checkpoint; --resume goes on from it, to the same bits.
    """
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)

    from agent.training.command import run  # noqa: PLC0415 (as above)
    from agent.training.plan import Asked  # noqa: PLC0415 (as above)
    from agent.training.settings import TrainingError  # noqa: PLC0415 (as above)

    flags = {
        "iterations": iterations,
        "tasks_per_step": tasks_per_step,
        "shots": _span("--shots", shots),
        "queries": queries,
        "steps": _span("--steps", steps),
        "rate": rate,
        "patience": patience,
        "seconds": seconds,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    given = {
        name: Text(str(it), f"--{name.replace('_', '-')}")
        for name, it in flags.items()
        if it is not None
    }
    asked = Asked(
        learner=learner,
        tasks=tasks,
        out=out,
        training=given | put_in(put_training or [], "--set-training"),
        options=put_in(put or []),
        world=put_in(put_tasks or [], "--set-tasks"),
        time=put_in(put_time or [], "--set-time") if through_time or put_time else None,
        resume=resume,
        test_tasks=test_tasks,
        command=shlex.join(["adaptd", *sys.argv[1:]]),
    )
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    with told(ValueError, OSError):
        try:
            code = run(asked, console, Console(stderr=True), os.environ, _now)
        except TrainingError as error:
            typer.echo(f"adaptd: {error}", err=True)
            raise typer.Exit(FAILED) from None
    raise typer.Exit(code)


def _span(flag: str, text: str | None) -> str | None:
    """Read N or N..M, as a list of the first and the last."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}; write it as 5 or 1..5", param_hint=flag)
    return f"[{found[1]}, {found[2] or found[1]}]"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
