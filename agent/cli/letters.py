"""Where dead letters lie, opened by what a person named; and how they are told to a person."""

import datetime as dt
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from agent.faults import Fault, SettingsError

if TYPE_CHECKING:  # loaded when a command runs: `--help` stays quick
    from agent.deadletters import Outcome, Sum
    from agent.settings import Settings
    from streams.kafka.settings import KafkaSettings
    from streams.letters import Letter

Form: TypeAlias = Annotated[Literal["text", "json"], typer.Option("--format", help="How to tell.")]

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
SHOWN = 2000  # characters of a record that are shown


def moment(text: str | None) -> float | None:
    """Read "2h" (so long ago) or "2026-11-23T03:00" (UTC unless it says) as Unix seconds."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if ago is not None:
        return dt.datetime.now(dt.UTC).timestamp() - float(ago[1]) * SECONDS[ago[2]]
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; write 30m, 2h, 7d, or 2026-11-23T03:00", param_hint="--since"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def settings_of(place: Path) -> "Settings":
    """Load a settings file. Raises `SettingsError`."""
    from agent.settings import load  # noqa: PLC0415 (torch, only when wanted)

    return load(place, os.environ)


def kafka_of(settings: "Settings", place: Path) -> "KafkaSettings | None":
    """Give the cluster whose topic takes dead letters; None where a file does."""
    if settings.sink.kind == "kafka":
        return settings.sink.kafka or settings.source.kafka
    if settings.sink.kind == "file":
        return None
    remedy = 'dead letters are dropped; give sink.kind = "kafka" or "file"'
    raise SettingsError([Fault(f"{place}: sink.kind", '"none"', remedy)])


@contextmanager
def opened(place: Path, since: float | None) -> "Iterator[tuple[str, Iterator[Letter]]]":
    """Give the name of a place and its letters: of a settings file, or of a file of letters.

    Raises:
        SettingsError: the settings cannot be used, or letters of a file are wanted by time.
        SourceError: the letters cannot be read.
    """
    from streams.kafka.letters import KafkaLetters  # noqa: PLC0415 (Kafka's client, as above)
    from streams.letters import from_file  # noqa: PLC0415 (as above)

    file = place
    if place.suffix == ".toml":
        settings = settings_of(place)
        kafka = kafka_of(settings, place)
        if kafka is not None:
            with closing(KafkaLetters(kafka)) as topic:
                yield f"topic {kafka.refused} at {kafka.bootstrap}", topic.letters(since)
            return
        file = settings.sink.file.refused
    if since is not None:
        remedy = "letters in a file bear no time; leave it out"
        raise SettingsError([Fault("--since", str(file), remedy)])
    yield str(file), from_file(file)


def told_sums(sums: "dict[str, Sum]", place: str) -> dict[str, Any]:
    """Give sums for scripts."""
    reasons = [
        {
            "reason": reason,
            "letters": one.letters,
            "put_back": one.put_back,
            "cut_short": one.cut,
            "first": stamp(one.first),
            "last": stamp(one.last),
            "examples": [told_letter(letter) for letter in one.examples],
        }
        for reason, one in sums.items()
    ]
    return {"place": place, "letters": sum(one.letters for one in sums.values()),
            "reasons": reasons}  # fmt: skip


def told_letter(letter: "Letter") -> dict[str, Any]:
    """Give a letter for scripts; bytes that are no UTF-8 as `raw_hex`."""
    told: dict[str, Any] = {
        "at": letter.at,
        "time": stamp(letter.time),
        "reason": letter.reason,
        "detail": letter.detail,
        "where": letter.where,
        "bytes": letter.length,
        "cut_short": letter.cut,
        "put_back": letter.put_back,
    }
    try:
        return told | {"raw": letter.raw.decode()}
    except UnicodeDecodeError:
        return told | {"raw_hex": letter.raw.hex()}


def told_outcome(outcome: "Outcome", *, dry: bool) -> dict[str, Any]:
    """Give what became of letters, for scripts."""
    examples = {
        fate: {"at": letter.at, "where": letter.where, "why": why}
        for fate, (letter, why) in outcome.examples.items()
    }
    return {"dry_run": dry, "fates": dict(outcome.fates), "examples": examples}


def say_letter(letter: "Letter") -> None:
    """Print a letter for a person."""
    back = "  (put back)" if letter.put_back else ""
    typer.echo(f"{letter.at}  {stamp(letter.time) or ''}  {plain(letter.reason)}{back}")
    typer.echo(f"  where   {plain(letter.where)}")
    typer.echo(f"  detail  {plain(letter.detail)}")
    text = plain(letter.raw.decode("utf-8", "backslashreplace"))
    rest = f" ... ({len(letter.raw)} of {letter.length} bytes are here)" if letter.cut else ""
    rest = rest or (f" ... ({letter.length} bytes)" if len(text) > SHOWN else "")
    typer.echo(f"  record  {text[:SHOWN]}{rest}")


def say_json(value: object) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, indent=1))


def plain(text: str) -> str:
    r"""Show control characters as escapes: a record may come from anyone.

    >>> plain("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def stamp(seconds: float | None) -> str | None:
    """Give Unix seconds as UTC, to the second.

    >>> stamp(0.0)
    '1970-01-01T00:00:00Z'
    """
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
