"""From runs to tables: a row a test and model, over all of its streams, changes and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Final, TypeAlias

from benchmarks.change import figures
from benchmarks.change.figures import NARROW, Recovery, Visit
from benchmarks.change.runs import TASKS, Result
from benchmarks.change.worlds import told
from benchmarks.field.peers import OURS
from benchmarks.field.scores import NAMES
from benchmarks.table import Cell, Row
from streams.worlds.tasks import Ints

Key: TypeAlias = tuple[str, str]
"""A test and a model."""
Found: TypeAlias = Mapping[Key, Sequence[Result]]

BEFORE: Final = {"usenet1": 100}  # events before a change over which a level is taken
USUAL: Final = 200
LATER: Final = 200  # labels after a change within which it is told in time
APART: Final = (OURS, TASKS, "no-change")  # no peers to be compared with
SHARES: Final = ("median", "mean", "mean curve", "to the peers' level")


def tables(found: Found, data: Path) -> dict[str, list[Row]]:
    """Give the tables by name: recovery, returns, alarms."""
    recovery = {
        key: _recoveries(runs, data, BEFORE.get(key[0], USUAL))
        for key, runs in found.items()
        if key[0] in {"abrupt", "usenet1"} and runs
    }
    rows = [_recovery(key, them, _common(key[0], recovery)) for key, them in recovery.items()]
    return {
        "recovery": _beside(rows),
        "returns": [
            _returns(key, _visits(runs, data))
            for key, runs in found.items()
            if key[0].startswith("returns") and runs
        ],
        "alarms": [*_alarms(found, data)],
    }


def shared(by_peer: Mapping[str, Mapping[str, Sequence[Result]]]) -> dict[str, list[Result]]:
    """Keep of each peer's runs, by stream, those on streams that all have who have any."""
    had = [{name for name, runs in them.items() if runs} for them in by_peer.values()]
    both = set.intersection(*filter(None, had)) if any(had) else set()
    return {
        peer: [one for name, runs in them.items() if name in both for one in runs]
        for peer, them in by_peer.items()
    }


def _tasks(run: Result, data: Path) -> Ints:
    return told(run["stream"], data).task_N[: run["labels"]]


def _recoveries(runs: Sequence[Result], data: Path, before: int) -> list[Recovery]:
    return [
        one for run in runs for one in figures.recoveries(run["right_N"], _tasks(run, data), before)
    ]


def _common(test: str, recovery: Mapping[Key, Sequence[Recovery]]) -> float | None:
    """Level before a change of that peer whose level is the highest."""
    levels = [
        figures.mean_level(them)
        for (name, peer), them in recovery.items()
        if name == test and peer not in APART
    ]
    return max(levels, default=None)


def _recovery(key: Key, them: Sequence[Recovery], common: float | None) -> dict[str, Cell]:
    events, curve_L = [one.events for one in them], figures.mean_curve(them)
    level = figures.mean_level(them)
    return {
        "test": key[0],
        "model": NAMES.get(key[1], key[1]),
        "changes": len(them),
        "level before": level,
        "first 50 after": float(curve_L[:50].mean()),
        "first 200 after": float(curve_L[:200].mean()),
        "never back": sum(not one.back for one in them),
        "median": float(median(events)),
        "mean": fmean(events),
        "mean curve": figures.events_until(curve_L, level, NARROW),
        "to the peers' level": common and figures.events_until(curve_L, common, NARROW),
    }


def _beside(rows: Sequence[Mapping[str, Cell]]) -> list[Row]:
    """Add to each row its events in shares of those of the best peer of its test."""
    return [
        {**row, **{f"{name} / best": _share(row, rows, name) for name in SHARES}} for row in rows
    ]


def _share(row: Mapping[str, Cell], rows: Sequence[Mapping[str, Cell]], name: str) -> float | None:
    apart = {NAMES.get(one, one) for one in APART}
    best = min(
        (
            float(other[name] or 0)
            for other in rows
            if other["test"] == row["test"] and other["model"] not in apart and other[name]
        ),
        default=None,
    )
    mine = row[name]
    return None if best is None or mine is None else float(mine) / best


def _visits(runs: Sequence[Result], data: Path) -> list[Visit]:
    return [one for run in runs for one in figures.visits(run["right_N"], _tasks(run, data), USUAL)]


def _returns(key: Key, them: Sequence[Visit]) -> Row:
    back = [one for one in them if not one.first]
    new = [one for one in them if one.first]
    mean, error = figures.with_error([100 * (one.early - one.left) for one in back])
    return {
        "test": key[0],
        "model": NAMES.get(key[1], key[1]),
        "returns": len(back),
        "when left": fmean(one.left for one in back),
        "first 50 on return": fmean(one.early for one in back),
        "points": mean,
        "standard error": error,
        "first 50 of a new task": fmean(one.early for one in new) if new else None,
    }


def _alarms(found: Found, data: Path) -> Iterator[Row]:
    """Tell of the changes that the agent with tasks noticed, and of those that it should have."""
    for (test, peer), runs in found.items():
        if peer != TASKS or not runs:
            continue
        edges = [figures.edges(_tasks(run, data))[1:-1] for run in runs]
        labels = sum(run["labels"] for run in runs)
        alarms = [figures.alarms(run["noticed"]) for run in runs]
        within = [
            any(0 < at - change <= LATER for at in times)
            for changes, times in zip(edges, alarms, strict=True)
            for change in changes
        ]
        many = sum(map(len, alarms))
        yield {
            "test": test,
            "streams": len(runs),
            "labels": labels,
            "changes": len(within),
            f"told within {LATER} labels": sum(within),
            "told in all": many,
            "of old tasks": sum(run["noticed"][-1][2] for run in runs if run["noticed"]),
            "in 10,000 labels": 1e4 * many / labels,
            "streams with any": sum(bool(one) for one in alarms),
        }
