"""`adaptd validate`: check settings, say every fault at once, and what would run."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.app import app, put_in, told
from agent.cli.letters import Form
from agent.cli.options import Put

if TYPE_CHECKING:  # loaded when the command runs: `--help` stays quick
    from agent.settings import Settings

VALIDATE = """\b
Examples:
  adaptd validate settings.toml
  adaptd validate settings.toml --format json
"""


@app.command(epilog=VALIDATE)
def validate(
    settings: Annotated[Path, typer.Argument(help="The TOML file to check.")],
    form: Form = "text",
    put: Put = None,
) -> None:
    """Check settings, with the environment over them: say every fault, or what would run.

    Nothing is opened: `adaptd doctor` does that. Leaves with 0 if they are good, with 2 if not.
    """
    from agent.settings import load  # noqa: PLC0415 (see the head of the package)

    with told():
        found = load(settings, os.environ, put_in(put or []))
    says = summary(found)
    if form == "json":
        typer.echo(json.dumps({"file": str(settings), **says}, indent=1))
        return
    typer.echo(f"{settings}: good ({found.source.kind} to {found.sink.kind})")
    for name, value in says.items():
        typer.echo(f"  {name:<10} {value}")


def summary(settings: "Settings") -> dict[str, str]:
    """Say in a few words what would run."""
    schema, agent, web = settings.schema, settings.agent, settings.web
    kinds = {kind: list(schema.fields.values()).count(kind) for kind in schema.fields.values()}
    features = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    beside = [*agent.experts, *agent.learners]
    where = settings.checkpoint
    every = f"every {where.every_records:,} records or {where.every_seconds:g} s"
    return {
        "stream": f"{len(schema.fields)} features ({features}), goal {schema.goal}",
        "source": _source(settings),
        "sink": _sink(settings),
        "shards": _shards(settings),
        "delivery": _delivery(settings),
        "store": f"{where.folder}, {every}, {where.keep} kept of a shard",
        "agent": f"on {agent.device}" + (f", with {', '.join(beside)} beside" if beside else ""),
        "page": f"http://{web.host}:{web.port or '(any free port)'}/",
    }


def _source(settings: "Settings") -> str:
    source = settings.source
    if source.kind == "kafka" and source.kafka is not None:
        one = source.kafka
        labels = f"labels {one.labels!r}" if one.labels is not None else "labels ride"
        return f"Kafka at {one.bootstrap}: events {one.events!r}, {labels}"
    if source.kind == "file" and source.file is not None:
        labels = f"labels {source.file.labels}" if source.file.labels else "labels ride"
        return f"file {source.file.path}, {labels}"
    return "the card world, a generator"


def _sink(settings: "Settings") -> str:
    from agent.parts import transactional  # noqa: PLC0415 (see the head of the package)

    sink, one = settings.sink, settings.sink.kafka or settings.source.kafka
    if sink.kind == "kafka" and one is not None:
        journal = f", journal {one.journal!r}" if transactional(settings) else ""
        answers = f"answers {one.predictions!r}, dead letters {one.refused!r}{journal}"
        return f"Kafka at {one.bootstrap}: {answers}"
    if sink.kind == "file":
        return f"files {sink.file.predictions} and {sink.file.refused}"
    return "nowhere: answers are dropped"


def _shards(settings: "Settings") -> str:
    one = settings.source.kafka if settings.source.kind == "kafka" else None
    if one is None:
        return "one state"
    if one.membership == "group":
        name = "" if one.instance is None else f" as {one.instance!r}"
        return f"a state for each partition that group {one.group!r} hands out{name}"
    return f"one state over all partitions, the only member of group {one.group!r}"


def _delivery(settings: "Settings") -> str:
    from agent.parts import transactional  # noqa: PLC0415 (see the head of the package)

    if transactional(settings):
        every = settings.service.commit_seconds
        return f"exactly once: answers, offsets and journal in a transaction every {every:g} s"
    if settings.sink.kind == "kafka":
        return "at least once: after a crash some answers come again"
    if settings.sink.kind == "file":
        return "files are cut back to the checkpoint after a crash"
    return "nothing is delivered"
