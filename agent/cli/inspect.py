"""`adaptd inspect`: what is in checkpoints, and whether they are whole."""

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.app import FAILED, app, failing, quietly, told
from agent.cli.letters import Form, plain, stamp

if TYPE_CHECKING:  # loaded when the command runs: `--help` stays quick
    from agent.inspection import Agent, Contents, Shard
    from agent.service.store import Options
    from agent.service.store_survey import Examined

INSPECT = """\b
Examples:
  adaptd inspect checkpoints
  adaptd inspect checkpoints/shard-0007/checkpoint-000000000042-1a2b3c4d
  adaptd inspect s3://bucket/cards --shard 0007 --format json
  adaptd inspect settings.toml
"""
VOICES = 8  # experts that are named
POSITIONS = 12  # parts whose position is told


@app.command(epilog=INSPECT)
def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|FOLDER|URL|SETTINGS",
            help="A checkpoint, a store of them, or the settings file (.toml) that names it.",
        ),
    ],
    shard: Annotated[str | None, typer.Option(help="One shard alone: all, or 0007.")] = None,
    form: Form = "text",
) -> None:
    """Say what is in checkpoints, by shard, and verify each.

    Leaves with 1 if one is damaged.
    """
    from agent.inspection import inspected  # noqa: PLC0415 (see the head of the package)
    from agent.service.snapshot import CheckpointError  # noqa: PLC0415 (as above)

    with quietly("error"), told(), failing(CheckpointError):
        place, options = store_of(target)
        shards = inspected(place, options, shard=shard)
    now = dt.datetime.now(dt.UTC).timestamp()
    if form == "json":
        typer.echo(json.dumps([_told(one, now) for one in shards], indent=1))
    else:
        _say_all(shards, now)
    raise typer.Exit(FAILED if any(one.damaged for one in shards) else 0)


def store_of(target: str) -> "tuple[str, Options]":
    """Give the store that is meant, and the options of its client.

    Raises:
        SettingsError: it is a settings file that cannot be used.
    """
    if not target.endswith(".toml"):
        return target, {}
    from agent.settings import load  # noqa: PLC0415 (see the head of the package)

    checkpoint = load(Path(target), os.environ).checkpoint
    return str(checkpoint.folder), checkpoint.options


def _told(shard: "Shard", now: float) -> dict[str, Any]:
    """Give a shard for scripts; numbers that are none become null."""
    newest, contents = shard.newest, shard.contents
    told = {
        "shard": shard.name,
        "checkpoints": [_verified(one) for one in shard.checkpoints],
        "damaged": shard.damaged,
        "unfinished": shard.unfinished,
        "newest": None if newest is None else newest.name,
        "age": None if newest is None else now - newest.body.get("created", now),
        "contents": None if contents is None else asdict(contents),
    }
    return dict(_finite(told))


def _verified(one: "Examined") -> dict[str, Any]:
    known = {name: one.body.get(name) for name in ("created", "bytes")}
    return {"name": one.name, "path": one.path, "whole": one.whole, "why": one.why, **known}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value - value != 0 else value


def _say_all(shards: "list[Shard]", now: float) -> None:
    for shard in shards:
        typer.echo(f"shard {shard.name}")
        for one in shard.checkpoints:
            typer.echo(f"  {one.name}  {_line(one)}")
        if shard.unfinished:
            typer.echo(f"  {shard.unfinished} unfinished: being written, or left by a crash")
        if shard.newest is not None and shard.contents is not None:
            age = aged(now - shard.newest.body.get("created", now))
            typer.echo(f"  in {shard.newest.name}, {age} old:")
            _say_contents(shard.contents)
    count = sum(len(one.checkpoints) for one in shards)
    damaged = sum(one.damaged for one in shards)
    typer.echo(f"{count} checkpoints, {count - damaged} whole, {damaged} damaged")


def _line(one: "Examined") -> str:
    if not one.whole:
        return f"DAMAGED  {one.why}"
    return f"whole  {stamp(one.body.get('created'))}  {sized(one.body['bytes'])}"


def _say_contents(found: "Contents") -> None:
    robot = found.settings.get("controller")
    if robot is None:
        _say("records", f"{found.records:,}, {found.learned:,} labels learned")
    else:
        life = (plain(str(found.settings.get(name, ""))) for name in ("env", "life"))
        _say("robot", ", ".join([*filter(None, life), f"driven by {plain(str(robot))}"]))
    counts = (f"{count:,} {plain(name)}" for name, count in found.labels.items() if count)
    _say("labels", ", ".join(counts))
    parts = [f"{plain(part)} {at:,}" for part, at in found.position.items()]
    more = f", and {len(parts) - POSITIONS} more" if len(parts) > POSITIONS else ""
    _say("position", ", ".join(parts[:POSITIONS]) + more)
    _say("classes", ", ".join(map(plain, found.classes)))
    _say("settings", f"{found.settings_sha256[:16]} ({len(found.settings)} that shape the state)")
    if robot is None and isinstance(found.agent, str):
        _say("agent", f"cannot be told: {found.agent}")
    elif not isinstance(found.agent, str):
        _say_agent(found.agent)
    for at, one in enumerate(found.biggest):
        shape = "x".join(map(str, one.shape)) or "one"
        first = f"{found.tensors} tensors" if at == 0 else ""
        _say(first, f"{sized(one.bytes):>10}  {one.name}  {shape} {one.kind}")


def _say_agent(agent: "Agent") -> None:
    _say("state", agent.fingerprint)
    _say(
        "pending", f"{agent.pending:,} events wait for labels, {agent.waiting:,} labels for events"
    )
    voices = [f"{weight:.3f} {plain(name)}" for name, weight in agent.voices.items()]
    more = f", and {len(voices) - VOICES} more" if len(voices) > VOICES else ""
    _say("experts", ", ".join(voices[:VOICES]) + more)
    resets = (f"{count:,} {plain(name)}" for name, count in agent.faults.items() if count)
    _say("begun anew", ", ".join(resets))
    if agent.tasks is None:
        _say("tasks", "not looked for (agent.tasks = false)")
    else:
        tasks = agent.tasks
        changes = ", ".join(f"{count} {kind}" for kind, count in tasks.changes.items())
        now = f"now at {tasks.current} with probability {tasks.probability:.3f}"
        _say("tasks", f"{tasks.tasks} remembered, {now}; changes: {changes}")
    if agent.memory.tasks:
        _say("probes", f"{len(agent.memory.tasks)} old tasks, mean loss {agent.memory.loss:.3f}")


def _say(name: str, text: str) -> None:
    if text:
        typer.echo(f"    {name:<11} {text}")


def sized(count: int) -> str:
    """Give a size as a person reads it.

    >>> sized(900), sized(8_865_539)
    ('900 B', '8.5 MiB')
    """
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:  # noqa: PLR2004 (bytes in a KiB)
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"


def aged(seconds: float) -> str:
    """Give a span as a person reads it.

    >>> aged(42), aged(600), aged(100_000), aged(-5)
    ('42 s', '10 min', '28 h', '-5 s')
    """
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
