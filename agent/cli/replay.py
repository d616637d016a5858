"""`adaptd replay`: what a checkpoint would have answered to a file of events."""

import datetime as dt
import json
import math
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.cli.app import app, failing, quietly, told
from agent.cli.inspect import aged, store_of
from agent.cli.letters import Form
from agent.faults import Fault, SettingsError

if TYPE_CHECKING:  # loaded when the command runs: `--help` stays quick
    from agent.replay import Replayed
    from agent.service.snapshot import Json

REPLAY = """\b
Examples:
  adaptd replay --checkpoint checkpoints --events yesterday.jsonl
  adaptd replay --checkpoint s3://bucket/cards --shard 0003 --events e.csv --labels l.csv
  adaptd replay --checkpoint checkpoints/checkpoint-000000000042-1a2b3c4d --events e.jsonl \\
      --no-learn --out said.jsonl --format json
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed."""

    checkpoint: str
    events: Path
    labels: Path | None
    settings: Path | None
    shard: str
    out: Path | None
    learn: bool
    limit: int | None
    device: Literal["cpu", "cuda"] | None


@app.command(epilog=REPLAY)
def replay(
    checkpoint: Annotated[
        str, typer.Option(help="A checkpoint; or a store, for its newest whole one.")
    ],
    events: Annotated[Path, typer.Option(help="CSV or JSON lines, in the order of time.")],
    labels: Annotated[
        Path | None, typer.Option(help="Labels by event id, where they do not ride.")
    ] = None,
    shard: Annotated[str, typer.Option(help="Of which state: all, or 0003.")] = "all",
    settings: Annotated[
        Path | None, typer.Option(help="The TOML file; without it, those of the manifest.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the answers there, one JSON object a line.")
    ] = None,
    learn: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--learn/--no-learn", help="Whether it learns on; else it stays frozen.")
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None, typer.Option(help="Where it runs; else as set.")
    ] = None,
    form: Form = "text",
) -> None:
    """Restore a checkpoint and show what it would have answered to a file of events.

    The checkpoint stays as it is. Learning, it answers each event and then learns from its label,
    as the daemon does; frozen, labels only score.
    """
    from agent.service.snapshot import CheckpointError  # noqa: PLC0415 (see the package's head)
    from streams.source import SourceError  # noqa: PLC0415 (as above)

    asked = _Asked(checkpoint, events, labels, settings, shard, out, learn, limit, device)
    with quietly("warning"), told(), failing(CheckpointError, SourceError):
        path, body, came = _replayed(asked)
    if form == "json":
        typer.echo(json.dumps(_told(asked, path, body, came), indent=1))
    else:
        _say(asked, path, body, came)


def _replayed(asked: _Asked) -> "tuple[str, Json, Replayed]":
    from agent.inspection import newest  # noqa: PLC0415 (see the head of the package)
    from agent.replay import Frozen, replay  # noqa: PLC0415 (as above)
    from agent.revive import revived  # noqa: PLC0415 (as above)
    from agent.service.prequential import Prequential  # noqa: PLC0415 (as above)
    from agent.settings import load  # noqa: PLC0415 (as above)
    from streams.codec import Codec  # noqa: PLC0415 (as above)
    from streams.files import FileSettings, FileSource  # noqa: PLC0415 (as above)

    known = None if asked.settings is None else load(asked.settings, os.environ)
    place, options = store_of(asked.checkpoint)
    options = options or (known.checkpoint.options if known is not None else {})
    path, arrays, body = newest(place, options, asked.shard)
    kind = Prequential if asked.learn else Frozen
    agent, found = revived(body, arrays, known, asked.device, kind)
    labels = None if asked.labels is None else str(asked.labels)
    files = FileSettings(str(asked.events), labels=labels)
    source = FileSource(files, Codec(found.schema), lambda: 0.0, lambda _: None)
    with closing(source), _written(asked.out) as out:
        came = replay(agent, source, found.schema.goal, _taking(out), asked.limit)
    return path, body, came


@contextmanager
def _written(out: Path | None) -> "Iterator[IO[bytes] | None]":
    if out is None:
        yield None
        return
    try:
        with out.open("wb") as file:
            yield file
    except OSError as error:
        raise SettingsError([Fault("--out", str(out), str(error.strerror))]) from error


def _taking(out: "IO[bytes] | None") -> Any:
    from streams.codec import encode_prediction  # noqa: PLC0415 (see the head of the package)

    def take(predictions: Any) -> None:
        if out is not None:
            out.writelines(encode_prediction(one) + b"\n" for one in predictions)

    return take


def _now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()


def _told(asked: _Asked, path: str, body: "Json", came: "Replayed") -> dict[str, Any]:
    figures = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(came.card).items()
    }
    return {
        "checkpoint": path,
        "records_before": body["meta"]["learner"]["records"],
        "learned": asked.learn,
        "events": came.events,
        "known": came.known,
        "refused": dict(came.refused),
        "classes": list(came.classes),
        "seconds": round(came.seconds, 3),
        "figures": figures,
    }


def _say(asked: _Asked, path: str, body: "Json", came: "Replayed") -> None:
    age, records = aged(_now() - body["created"]), body["meta"]["learner"]["records"]
    typer.echo(f"checkpoint  {path}, {age} old, after {records:,} records")
    how = "learning" if asked.learn else "frozen"
    rate = f"{came.events / came.seconds:,.0f} a second" if came.seconds else "none"
    typer.echo(f"events      {came.events:,} answered, {how}, {rate}")
    if came.known:
        typer.echo(f"known       {came.known:,} of them, which it had met: not learned again")
    for reason, count in came.refused.most_common():
        typer.echo(f"refused     {count:,} {reason}")
    figures = asdict(came.card)
    labels = figures.pop("labels")
    typer.echo(f"labels      {labels:,} joined" + ("" if labels else ": nothing to score by"))
    for name, value in figures.items():
        if not math.isnan(value):
            typer.echo(f"  {name.replace('_', ' '):<18} {value:.4f}")
    if asked.out is not None:
        typer.echo(f"answers     {asked.out}")
