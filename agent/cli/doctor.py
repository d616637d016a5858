"""`adaptd doctor`: could a daemon run with these settings, here and now."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.app import FAILED, WRONG, app, put_in, quietly
from agent.cli.letters import Form, plain
from agent.cli.options import Put
from agent.toml import Text

if TYPE_CHECKING:  # loaded when the command runs: `--help` stays quick
    from agent.doctor.finding import Finding

DOCTOR = """\b
Examples:
  adaptd doctor settings.toml
  adaptd doctor settings.toml --format json --timeout 5
"""


@app.command(epilog=DOCTOR)
def doctor(
    settings: Annotated[
        Path | None, typer.Argument(help="The TOML file; without one, those of `adaptd run`.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that each check may take.")
    ] = 20.0,
    form: Form = "text",
    put: Put = None,
) -> None:
    """Check settings, brokers, topics, permissions, the store, clock, device and port.

    Nothing is written but a probe in the store, which is removed, and an empty transaction. Leaves
    with 1 if a check failed, with 2 if the settings cannot be used.
    """
    code, findings = 0, []
    with quietly("error"):
        for finding in _findings(settings, put_in(put or []), timeout):
            findings.append(finding)
            if form == "text":
                _say(finding)
            if finding.verdict == "fail":
                code = max(code, WRONG if finding.check == "settings" else FAILED)
    counts = Counter(one.verdict for one in findings)
    if form == "json":
        typer.echo(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        typer.echo(f"{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed")
    raise typer.Exit(code)


def _findings(path: Path | None, given: dict[str, Text], timeout: float) -> "Iterator[Finding]":
    from agent.cli.validate import summary  # noqa: PLC0415 (see the head of the package)
    from agent.doctor.examine import examined  # noqa: PLC0415 (as above)
    from agent.doctor.finding import Finding, good  # noqa: PLC0415 (as above)
    from agent.faults import SettingsError  # noqa: PLC0415 (as above)
    from agent.settings import load  # noqa: PLC0415 (as above)

    try:
        settings = load(path, os.environ, given)
    except SettingsError as error:
        for fault in error.faults:
            said = f"{fault.path}: {fault.said}".removesuffix(": ")
            yield Finding("settings", "fail", said, fault.remedy)
        return
    kinds = f"{settings.source.kind} to {settings.sink.kind}"
    yield good("settings", f"{kinds}; {summary(settings)['delivery'].partition(':')[0]}")
    yield from examined(settings, timeout)


def _say(finding: "Finding") -> None:
    remedy = f"; {plain(finding.remedy)}" if finding.remedy else ""
    typer.echo(f"{finding.verdict:<5} {finding.check:<12} {plain(finding.said)}{remedy}")
