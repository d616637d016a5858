"""`adaptd evaluate`: guess, run every model, tell."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from agent.continual.default import AgentSettings
from agent.evaluate.apart import apart
from agent.evaluate.contest import Entry
from agent.evaluate.guess import WishError, Wishes, guess
from agent.evaluate.ours import Agent
from agent.evaluate.plan import Entrant, Plan, Result
from agent.evaluate.report import FORMATS, report
from agent.evaluate.table import remarks, table

STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for.

    Args:
        path: the file.
        wishes: what is known of it.
        delay: events, or seconds of event time, that labels come late.
        against: rivals by name; without "no-change" it is added.
        rows: events taken at most.
        seed: of rivals that draw.
        agent: the default agent's settings.
        threads: for its tensors.
        json: where one object a model goes; "-" is standard output.
        report: where the page or picture goes.
    """

    path: Path
    wishes: Wishes
    delay: tuple[int | None, float | None] = (None, None)
    against: tuple[str, ...] = ()
    rows: int | None = None
    seed: int = 0
    agent: AgentSettings = field(default_factory=AgentSettings)
    threads: int = 1
    json: Path | None = None
    report: Path | None = None


def evaluate(asked: Asked, out: Console, err: Console) -> bool:
    """Run it; say whether every model came through.

    Raises:
        WishError: what was asked for cannot be; nothing has run then.
        RiverNameError: a rival's name means no model of this goal; nothing has run then.
        SourceError: the file cannot be read.
        OSError: a result cannot be written.
    """
    _check(asked)
    plan = _plan(asked)
    entrants = _entrants(asked, plan)
    for line in plan.guess.said:
        err.print(f"  {line}", style="dim", markup=False, highlight=False)
    results = _run(plan, entrants, err)
    if asked.json == STDOUT:
        out.file.write(_json(results))
    else:
        out.print(table(results, out.width))
    for line in remarks(results):
        err.print(line, style="yellow", markup=False, highlight=False)
    _write(asked, plan, results, err)
    return all(one.error is None for one in results)


def _check(asked: Asked) -> None:
    if asked.report is not None and asked.report.suffix not in FORMATS:
        raise WishError(f"--report {asked.report}: name it {' or '.join(FORMATS)}")
    for flag, path in (("--json", asked.json), ("--report", asked.report)):
        if path is not None and not path.parent.is_dir():
            raise WishError(f"{flag} {path}: there is no folder {path.parent}; make it first")


def _plan(asked: Asked) -> Plan:
    found = guess(asked.path, asked.wishes)
    events, seconds = asked.delay
    if seconds is not None and found.schema.time is None:
        raise WishError(
            "--label-delay in event time needs a column with the time; name one with --time, or"
            " give the delay as a number of events"
        )
    return Plan(found, events, seconds, asked.rows)


def _entrants(asked: Asked, plan: Plan) -> list[Entrant]:
    names = dict.fromkeys(("no-change", *asked.against))
    rivals = [Entry(name, plan.guess.schema, asked.seed) for name in names]
    for one in rivals:
        one.make()
    return [Agent.of(plan, asked.agent, asked.threads), *rivals]


def _run(plan: Plan, entrants: Sequence[Entrant], err: Console) -> list[Result]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        tasks = {one.name: bar.add_task(one.name, total=1.0, start=False) for one in entrants}

        def told(name: str, share: float) -> None:
            bar.update(tasks[name], completed=share)

        results = []
        for one in entrants:
            bar.start_task(tasks[one.name])
            results.append(apart(plan, one, told))
            if not err.is_terminal:
                err.print(f"{one.name}: done", markup=False, highlight=False)
        return results


def _json(results: Sequence[Result]) -> str:
    return json.dumps([one.row() for one in results], indent=2, allow_nan=False) + "\n"


def _write(asked: Asked, plan: Plan, results: Sequence[Result], err: Console) -> None:
    if asked.json is not None and asked.json != STDOUT:
        asked.json.write_text(_json(results), encoding="utf-8")
        err.print(f"wrote {asked.json}", markup=False, highlight=False)
    if asked.report is not None:
        title = f"{asked.path.name}: {plan.guess.schema.target}"
        report(asked.report, title, plan.guess.said, results)
        err.print(f"wrote {asked.report}", markup=False, highlight=False)
