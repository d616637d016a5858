"""`adaptd dlq requeue`: dead letters put back into the topics that they came from."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.app import FAILED, failing, quietly, told
from agent.cli.dlq import Reason, Since, dlq
from agent.cli.letters import Form, kafka_of, moment, plain, say_json, settings_of, told_outcome
from agent.faults import Fault, SettingsError

if TYPE_CHECKING:  # loaded when the command runs: `--help` stays quick
    from agent.deadletters import Outcome, Requeue
    from agent.settings import Settings
    from streams.kafka.settings import KafkaSettings
    from streams.letters import Letter

REQUEUE = """\b
Examples:
  adaptd dlq requeue settings.toml --dry-run
  adaptd dlq requeue settings.toml --reason bad-value --edit "jq -c '.amount |= tonumber'"
"""


@dlq.command(epilog=REQUEUE)
def requeue(
    settings: Annotated[Path, typer.Argument(help="The settings file (.toml) of the daemon.")],
    reason: Reason = None,
    since: Since = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many letters at most are put back.")
    ] = None,
    edit: Annotated[
        str | None,
        typer.Option(metavar="CMD", help="A filter: a record's bytes in, the mended ones out."),
    ] = None,
    dry_run: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--dry-run", help="Say what would become of each; write nothing.")
    ] = False,
    anyway: Annotated[  # noqa: FBT002 (a flag to typer)
        bool, typer.Option("--anyway", help="Put back also what would be refused again.")
    ] = False,
    form: Form = "text",
) -> None:
    """Put dead letters back into the topic and partition that they came from, each once.

    A record and the receipt for its letter are written in one transaction, so a second run, also
    after a crash, passes over what was put back. What these settings would refuse again stays.
    Leaves with 1 if some could not be put back.
    """
    from streams.source import SourceError  # noqa: PLC0415 (see the head of the package)

    after = moment(since)
    with quietly("error"), told(ValueError), failing(SourceError), ExitStack() as stack:
        found = _loaded(settings)
        source = _cluster(found, settings)
        how = _how(found, source, edit, stack, anyway=anyway, dry=dry_run)
        letters = _letters(source, after, reason, stack)
        outcome = how.run(letters, limit)
    if form == "json":
        say_json(told_outcome(outcome, dry=dry_run))
    else:
        _say(outcome, dry=dry_run)
    raise typer.Exit(FAILED if outcome.left else 0)


def _loaded(path: Path) -> "Settings":
    if path.suffix != ".toml":
        remedy = "letters go back into topics; give the daemon's settings file (.toml)"
        raise SettingsError([Fault(str(path), "", remedy)])
    return settings_of(path)


def _cluster(settings: "Settings", path: Path) -> "KafkaSettings":
    """Give the cluster of events, labels and dead letters.

    Raises:
        SettingsError: there is none, or they lie in two.
    """
    kafka, source = kafka_of(settings, path), settings.source.kafka
    if kafka is None or source is None or settings.source.kind != "kafka":
        place, remedy = "source.kind and sink.kind", "letters go back from topic to topic; mend"
        fault = Fault(f"{path}: {place}", "", f"{remedy} the records in the files they came from")
        raise SettingsError([fault])
    if kafka.bootstrap != source.bootstrap:
        remedy = "another cluster than source.kafka's: no transaction spans both"
        raise SettingsError([Fault(f"{path}: sink.kafka.bootstrap", kafka.bootstrap, remedy)])
    return replace(source, refused=kafka.refused)


def _how(
    settings: "Settings",
    source: "KafkaSettings",
    edit: str | None,
    stack: ExitStack,
    *,
    anyway: bool,
    dry: bool,
) -> "Requeue":
    """Connect to what letters go back into; that fences off whoever else puts back."""
    from agent.deadletters import Requeue  # noqa: PLC0415 (see the head of the package)
    from agent.edit import filtered  # noqa: PLC0415 (as above)
    from streams.formats import open_codec  # noqa: PLC0415 (as above)
    from streams.kafka.letters import Originals  # noqa: PLC0415 (as above)
    from streams.kafka.putback import PutBack  # noqa: PLC0415 (as above)

    mend = None if edit is None else filtered(edit)
    return Requeue(
        events=source.events,
        labels=source.labels,
        codec=open_codec(settings.schema, settings.source.format),
        most=source.max_output_bytes,
        find=stack.enter_context(closing(Originals(source))).find,
        edit=mend,
        put=None if dry else stack.enter_context(closing(PutBack(source))).put,
        anyway=anyway,
    )


def _letters(
    source: "KafkaSettings", since: float | None, reason: str | None, stack: ExitStack
) -> "Iterator[Letter]":
    from agent.deadletters import Wanted  # noqa: PLC0415 (see the head of the package)
    from streams.kafka.letters import KafkaLetters  # noqa: PLC0415 (as above)

    return Wanted(reason).of(stack.enter_context(closing(KafkaLetters(source))).letters(since))


def _say(outcome: "Outcome", *, dry: bool) -> None:
    if not outcome.fates:
        typer.echo("no dead letters")
    for fate, count in outcome.fates.most_common():
        word = "would be put back" if dry and fate == "put back" else fate
        letter, why = outcome.examples.get(fate, (None, ""))
        first = f"  (first: {letter.at}: {plain(why)[:200]})" if letter and why else ""
        typer.echo(f"{count:7,} {word}{first}")
