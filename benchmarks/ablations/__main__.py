"""What each part of the default agent is worth: the agent without it, on generated streams.

    python -m benchmarks.ablations [--quick] [--seeds 5] [--goal classes]
    python -m benchmarks.ablations --table

Streams are drawn with seeds that no training has used, of all kinds of change and all rules, held
out ones among them, recurring ones as often as each other kind; a seed means other streams and
another agent. What is there for a long life is also judged on long streams of concepts that return.
Every variant goes through the same streams, so differences are paired: a figure is the mean
difference from the whole agent, with its standard error over streams times seeds.

The mixer that ships knows the whole agent's voices. Where some are left out it knows them by name
and reads zeros for them, as it did for guests in training, but it was not trained for that table:
what a family is worth is a little overstated.

out/ablations/GOAL/SEED-STREAM.json holds the figures of one stream; remove it to run it again.
Time is CPU time of one thread, of parts that were timed one by one.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from agent.pretrain import HELD_FROM, encoded
from benchmarks import table
from benchmarks.ablations import figures
from benchmarks.ablations.figures import Figures
from benchmarks.ablations.played import Played, Table
from benchmarks.ablations.variants import AGENT, LONG, TASKS, Variant
from streams.worlds.drift import KINDS, Drifting, drifting

FIRST = 2 * HELD_FROM  # seeds of streams, from here on
APART = 100_000  # from one seed's first stream to the next one's
RUNS = table.OUT / "ablations"
GOALS = {"classes": 14, "numbers": 7, "long": 2}
"""Streams a seed; long ones have `LONGER` times the rows, and old concepts return in all."""
LONGER = 4

Kept = dict[tuple[int, int], Figures]
"""Figures by seed and stream."""


def main(
    quick: Annotated[bool, typer.Option(help="One seed, few and short streams.")] = False,  # noqa: FBT002 (a flag)
    seeds: Annotated[int, typer.Option(help="Of streams and agents.")] = 5,
    rows: Annotated[int, typer.Option(help="Of a stream.")] = 2000,
    goal: Annotated[str, typer.Option(help="classes, numbers or long; all if not given.")] = "",
    only: Annotated[bool, typer.Option("--table", help="Run nothing.")] = False,  # noqa: FBT002 (a flag)
) -> None:
    """Run what is missing, then write out/ablations_*.md and .json."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    folder, share = (RUNS / "quick", 2) if quick else (RUNS, 1)
    seeds, rows = (1, 1500) if quick else (seeds, rows)
    goals = [goal] if goal else list(GOALS)
    for seed in () if only else range(seeds):
        for one in goals:
            run(folder / one, one, seed, GOALS[one] // share, rows)
    for one in goals:
        for name, variants in (("agent", _asked(one)), ("tasks", TASKS)):
            told = rows_of(gathered(folder / one), variants)
            suffix = "_quick" if quick else ""
            if told:
                table.write(f"ablations_{name}_{one}{suffix}", told, _command(quick=quick))


def _asked(goal: str) -> Sequence[Variant]:
    return LONG if goal == "long" else AGENT


def _command(*, quick: bool) -> str:
    return "python -m benchmarks.ablations" + " --quick" * quick


def run(folder: Path, goal: str, seed: int, streams: int, rows: int) -> None:
    """Go through one seed's streams with every variant that is not kept yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(streams):
        began, file = time.perf_counter(), folder / f"{seed}-{at}.json"
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        left = [one for one in (*_asked(goal), *TASKS) if one.what not in kept]
        if not left:
            continue
        made = drawn(goal, seed, at, rows)
        seat = Table(encoded(made), seed)
        with torch.inference_mode():
            for one in left:
                played = seat.play(one)
                kept[one.what] = None if played is None else told(made, played)
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        seconds = time.perf_counter() - began
        print(f"{goal} {seed}-{at}: {made.kind}, {made.rule}, {seconds:.0f} s", flush=True)


def drawn(goal: str, seed: int, at: int, rows: int) -> Drifting:
    """Draw a stream; kinds of change take turns, but for long ones."""
    first, numbers = FIRST + APART * seed + at, goal == "numbers"
    if goal == "long":
        return drifting(first + APART // 2, LONGER * rows, ("recurring",), regression=False)
    return drifting(first, rows, (KINDS[at % len(KINDS)],), regression=numbers)


def told(made: Drifting, played: Played) -> dict[str, Any]:
    """Give the figures of one run."""
    rows = len(played.loss_N)
    found: dict[str, Any] = {
        "kind": made.kind,
        "rule": made.rule,
        "classes": made.classes,
        "features": made.x_NF.shape[1],
        "loss": float(played.loss_N.mean()),
        "µs": 1e6 * played.seconds / rows,
    }
    changed = figures.after_changes(made.concept_N)[:rows]
    if made.kind in {"abrupt", "recurring"} and changed.any():
        found["after"] = float(played.loss_N[changed].mean())
    if made.classes:
        right = played.truth_N == played.said_N
        found["accuracy"] = 100 * float(right.mean())
        found["kappa"] = 100 * figures.kappa(played.truth_N, played.said_N)
    return found


def rows_of(runs: Mapping[str, Kept], variants: Sequence[Variant]) -> list[table.Row]:
    """Lay out what is kept, each variant beside the first."""
    base = runs.get(variants[0].what, {})
    if not base:
        return []
    names = ("loss", "accuracy", "kappa", "after", "µs")
    every = [figures.mean(list(base.values()), name) for name in names]
    first = [None if value is None else f"{value:.4g}" for value in every]
    head: table.Row = {"variant": variants[0].what, **dict(zip(names, first, strict=True)), "": ""}
    return [head, *(_beside(one, runs[one.what], base) for one in variants[1:] if one.what in runs)]


def _beside(variant: Variant, mine: Kept, base: Kept) -> table.Row:
    apart = {
        name: figures.paired(mine, base, name)
        for name in ("loss", "accuracy", "kappa", "after", "µs")
    }
    digits = {"loss": 4, "accuracy": 2, "kappa": 2, "after": 4, "µs": 0}
    told = {name: figures.shown(value, digits[name]) for name, value in apart.items()}
    return {"variant": variant.what, **told, "": figures.verdict(apart["loss"], more=variant.more)}


def gathered(folder: Path) -> dict[str, Kept]:
    """Give all figures that are kept, by variant."""
    found: dict[str, Kept] = {}
    for file in sorted(folder.glob("*-*.json")):
        seed, at = map(int, file.stem.split("-"))
        for what, one in json.loads(file.read_text(encoding="utf-8")).items():
            if one is not None:
                found.setdefault(what, {})[seed, at] = one
    return found


if __name__ == "__main__":
    typer.run(main)
