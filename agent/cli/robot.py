"""`adaptd robot`: robots whose bodies change; they notice, adapt, and forget nothing."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.cli.app import FAILED, WIDE, app, failing, flagged, put_in, told
from agent.cli.options import Host, LogLevel, Port, Put

if TYPE_CHECKING:  # loaded when a command runs: `--help` stays quick
    from agent.robot.settings import RobotSettings

ROBOT = """\b
Examples:
  adaptd robot run --life "intact@0 invert:elbow@100 intact@300" --plot life.png
  adaptd robot list
  adaptd robot train planar-arm-context
  adaptd robot bench clock
"""
RUN = """\b
Examples:
  adaptd robot run --env adaptd/PlanarArm-v0 --life "intact@0 invert:elbow@100 intact@300"
  adaptd robot run --env adaptd/ChangingHalfCheetah-v0 --life life.toml --video life.mp4
  adaptd robot run robot.toml --checkpoints lives/1 --csv life.csv --set options.size=0.5
  adaptd robot run --env my_robot:MyRobot-v0 --controller random --steps 1000
"""
SERVE = """\b
Example:
  adaptd robot serve robot.toml --controller hold
"""
TRAIN = """\b
Examples:
  adaptd robot train
  adaptd robot train planar-arm-context --seed 1 --out weights
"""
BENCH = """\b
Examples:
  adaptd robot bench clock
  adaptd robot bench arm --seeds 5
  adaptd robot bench blind --seed 7
  adaptd robot bench others --robot Ant
"""
HERE = Path(__file__).parent.parent / "robot" / "weights"
BENCHES = ("arm", "inverted", "dead", "life", "trial", "clock", "others", "blind")
PLACES = {
    "checkpoints": "checkpoint.folder",
    "csv": "out.csv",
    "tensorboard": "out.tensorboard",
    "plot": "out.plot",
    "video": "out.video",
    "host": "web.host",
    "port": "web.port",
}
Drives = Annotated[str | None, typer.Option(help="What drives; `adaptd robot list` shows all.")]
Snapshots = Annotated[
    str | None, typer.Option(help="Folder or URL of snapshots; goes on from the newest.")
]
DRAWN = ("blind",)  # those whose bodies are drawn
ASKED = {"seed": DRAWN, "split": DRAWN, "robot": ("others", *DRAWN)}  # what goes with which
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="blind: draws the bodies; the operating system's by default."),
]
Split = Annotated[
    Literal["train", "validation", "held-out"] | None,
    typer.Option(help="blind: of which family; held-out by default."),
]
Alone = Annotated[
    str | None,
    typer.Option(help="others, blind: of one robot alone, by its name; by default all."),
]

robot = typer.Typer(
    name="robot",
    help="Robots whose bodies change: they notice, adapt, and forget nothing.",
    epilog=ROBOT,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(robot)


@robot.command(epilog=RUN)
def run(
    settings: Annotated[
        Path | None, typer.Argument(help="A TOML file; flags and ADAPTD__ROBOT__* go over it.")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="An environment's id; module:Name-v0 for one of your own.")
    ] = None,
    life: Annotated[
        str | None, typer.Option(help="body@step, divided by spaces; or a TOML file.")
    ] = None,
    controller: Drives = None,
    robots: Annotated[int | None, typer.Option(help="How many live this life at once.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of control in the whole life.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    checkpoints: Snapshots = None,
    csv: Annotated[Path | None, typer.Option(help="Write a line a robot and step.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the life: PNG, SVG or PDF.")] = None,
    video: Annotated[Path | None, typer.Option(help="Film the first robot: MP4.")] = None,
    host: Host = None,
    port: Port = None,
    real_time: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--real-time", help="Wait for the robot's own clock.")
    ] = False,
    stay: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--stay", help="Serve the page on when the life is over.")
    ] = False,
    log_level: LogLevel = None,
    put: Put = None,
) -> None:
    """Run robots through a life of changing bodies.

    Ctrl-C or SIGTERM ends in order, with a checkpoint where --checkpoints is given.
    """
    found = _settings(
        settings, put, env=env, life=life, controller=controller, robots=robots, steps=steps,
        seed=seed, checkpoints=checkpoints, csv=csv, tensorboard=tensorboard, plot=plot,
        video=video, host=host, port=port, real_time="true" if real_time else None,
        stay="true" if stay else None, log_level=log_level,
    )  # fmt: skip
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)

    from agent.robot.run import run_robots  # noqa: PLC0415 (as above)
    from agent.robot.trained import UntrainedError  # noqa: PLC0415 (as above)
    from agent.robot.world import WorldError  # noqa: PLC0415 (as above)
    from agent.service.snapshot import CheckpointError  # noqa: PLC0415 (as above)
    from agent.service.web import PortError  # noqa: PLC0415 (as above)

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    with told(WorldError, CheckpointError, PortError, UntrainedError):
        code = run_robots(found, console)
    raise typer.Exit(code)


@robot.command(epilog=SERVE)
def serve(
    settings: Annotated[Path, typer.Argument(help="A TOML file with [far.kafka].")],
    controller: Drives = None,
    checkpoints: Snapshots = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many answers.")] = None,
    host: Host = None,
    port: Port = None,
    log_level: LogLevel = None,
    put: Put = None,
) -> None:
    """Answer robots elsewhere: observations from a Kafka topic, actions to another.

    No observation is answered twice, and none that is older than a step of control.
    """
    found = _settings(
        settings, put, controller=controller, checkpoints=checkpoints, steps=steps, host=host,
        port=port, log_level=log_level,
    )  # fmt: skip
    from agent.robot.serve import serve_robots  # noqa: PLC0415 (see the head of the package)
    from agent.robot.trained import UntrainedError  # noqa: PLC0415 (as above)
    from agent.robot.world import WorldError  # noqa: PLC0415 (as above)
    from agent.service.snapshot import CheckpointError  # noqa: PLC0415 (as above)
    from agent.service.web import PortError  # noqa: PLC0415 (as above)
    from streams.source import AwayError, SourceError  # noqa: PLC0415 (as above)

    with (
        told(WorldError, CheckpointError, PortError, UntrainedError, SourceError),
        failing(AwayError),
    ):
        code = serve_robots(found)
    raise typer.Exit(code)


def _settings(path: Path | None, put: list[str] | None, **flags: object) -> "RobotSettings":
    """Read file, environment and flags; a fault ends with code 2."""
    from agent.robot.settings import load  # noqa: PLC0415 (see the head of the package)

    with told():
        return load(path, os.environ, flagged(PLACES, **flags) | put_in(put or []))


@robot.command("list")
def show() -> None:
    """List the robots, what can drive them, and what can be trained."""
    from rich.console import Console  # noqa: PLC0415 (see the head of the package)

    from agent.robot.listing import listed  # noqa: PLC0415 (as above)

    listed(Console(width=None if sys.stdout.isatty() else WIDE))


@robot.command(epilog=TRAIN)
def train(
    part: Annotated[
        str | None, typer.Argument(help="What to train; without one, say what there is.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="CPU-seconds it may take; by default as shipped.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Folder for weights and card; the package's own by default.")
    ] = HERE,
) -> None:
    """Train a part that ships with this package: weights, and a card that says how."""
    from agent.robot import trained  # noqa: PLC0415 (see the head of the package)

    if part is None:
        for one in trained.every_part().values():
            typer.echo(f"{one.name:28} {one.seconds:5.0f} s  {one.on:4} {one.of}")
        return
    with told(ValueError):
        one = trained.find(part)
    with failing(OSError, RuntimeError):
        card = trained.make(
            one, out, seconds or one.seconds, seed, lambda line: typer.echo(line, err=True)
        )
    for name, value in card.items():
        typer.echo(f"{name:12} {value}")
    typer.echo(f"weights and card are in {out}")


@robot.command(epilog=BENCH)
def bench(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(BENCHES)}.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many lives of each.")] = 5,
    seed: Seed = None,
    split: Split = None,
    robot: Alone = None,
) -> None:
    """Run a benchmark of robots; it needs the repository, not the package alone."""
    import importlib  # noqa: PLC0415 (the benchmarks are no part of the package)

    if name not in BENCHES:
        raise typer.BadParameter(f"{name!r}; give one of {', '.join(BENCHES)}", param_hint="NAME")
    given = {"seed": seed, "split": split, "robot": robot}
    asked = {key: it for key, it in given.items() if it is not None}
    for key in asked:
        if name not in ASKED[key]:
            raise typer.BadParameter(f"--{key} goes with {', '.join(ASKED[key])} alone")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(f"benchmarks.robots.{name}")
    except ModuleNotFoundError as error:
        typer.echo(
            f"adaptd: {error.name} is not here; run it where the repository lies: git clone, cd",
            err=True,
        )
        raise typer.Exit(FAILED) from None
    module.main(range(seeds), **asked)
