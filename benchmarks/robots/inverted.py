"""HalfCheetah whose motors turn the other way in mid-run: how fast it is itself again.

Robots run intact, motors are inverted at step 100 without a reset, and nobody tells them. What is
measured: reward a step from 2.5 s to 7.5 s after the change, against that of robots that stay
intact over the same steps; steps until the gains are right; changes told of where none was.

Shapes: T steps, N robots.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.robot.train_cheetah import ROBOT
from benchmarks.robots.lives import Floats, Ran, identified, live
from benchmarks.robots.ways import SLOW, ways
from benchmarks.table import header
from envs.body import Body
from envs.families import FAMILIES
from envs.life import Life

AT, STEPS, ROBOTS, FEW = 100, 250, 16, 4
FIRST, LATER = slice(AT, AT + 50), slice(AT + 50, AT + 150)
OUT = Path("out/robots-inverted.json")


@dataclass(frozen=True, slots=True)
class Group:
    """Robots of a run that live the same life."""

    name: str
    rows: slice


def bodies() -> list[Body]:
    """Give the held-out bodies on which motors are inverted and nothing else."""
    return [
        body
        for body in FAMILIES[ROBOT].named("held-out")
        if {kind for kind, _, _ in body.faults} == {"gear"} and set(body.gear.values()) == {-1.0}
    ]


def groups(some: Sequence[Body], robots: int) -> tuple[list[Group], list[Life]]:
    """Give robots that stay intact, and some for each body."""
    lives = [Life()] * robots
    named = [Group("intact", slice(0, robots))]
    for body in some:
        named.append(Group(str(body), slice(len(lives), len(lives) + robots)))
        lives += [Life(((0, Body()), (AT, body)))] * robots
    return named, lives


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the tables and write them."""
    rows: dict[str, dict[str, list[float]]] = {}
    found: list[tuple[Ran, list[Group]]] = []
    for seed in seeds:
        for name, make in ways(seed, specialists=False).items():
            named, lives = groups(bodies(), FEW if name in SLOW else ROBOTS)
            ran = live(ROBOT, make, lives, STEPS, seed)
            for group in named:
                of = rows.setdefault(name, {}).setdefault(group.name, [])
                of.append(float(ran.reward_TN[LATER, group.rows].mean()))
            if name == "self-model":
                found.append((ran, named))
                first = rows.setdefault("self-model, first 2.5 s", {})
                for group in named:
                    one = float(ran.reward_TN[FIRST, group.rows].mean())
                    first.setdefault(group.name, []).append(one)
        write(rows, found, seed + 1 - seeds[0])
    report(rows, found)


def report(rows: dict[str, dict[str, list[float]]], found: list[tuple[Ran, list[Group]]]) -> None:
    """Print what was measured."""
    intact = float(np.mean(rows["self-model"]["intact"]))
    names = list(rows["self-model"])
    print(f"Reward a step, 2.5 to 7.5 s after the change, and % of the intact {intact:.2f}\n")
    print("| way | " + " | ".join(names) + " |\n|---" + "|---:" * len(names) + "|")
    for way, of in rows.items():
        cells = [f"{np.mean(of[name]):.2f} ({np.mean(of[name]) / intact:.0%})" for name in names]
        print("| " + " | ".join([way, *cells]) + " |")
    steps = _all_steps(found)
    print("\n| body | steps to identify: median | 90 % | all |\n|---|---:|---:|---:|")
    for name, some in steps.items():
        print(f"| {name} | {np.median(some):g} | {_high(some, 0.9):g} | {some.max():g} |")
    alarms, lived = alarms_of(found)
    print(f"\nChanges told of where none was: {alarms} in {lived:,} steps")


def write(
    rows: dict[str, dict[str, list[float]]], found: list[tuple[Ran, list[Group]]], seeds: int
) -> None:
    """Write what was measured so far."""
    intact = float(np.mean(rows["self-model"]["intact"]))
    steps, (alarms, lived) = _all_steps(found), alarms_of(found)
    told = {
        "header": header("python -m benchmarks.robots inverted"),
        "seeds": seeds, "robots": ROBOTS, "intact": intact, "reward a step": rows,
        "steps to identify": {
            name: {"median": float(np.median(some)), "90%": _high(some, 0.9),
                   "most": float(some.max())} for name, some in steps.items()
        },
        "false alarms": alarms, "steps without a change": lived,
    }  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def alarms_of(found: Sequence[tuple[Ran, list[Group]]]) -> tuple[int, int]:
    """Count changes told of in robots that stay intact, and in the others before their change."""
    alarms = lived = 0
    for ran, named in found:
        for group in named:
            until = len(ran.told_TN) if group.name == "intact" else AT
            quiet: NDArray[np.bool_] = ran.told_TN[:until, group.rows]
            alarms, lived = alarms + int(quiet.sum()), lived + quiet.size
    return alarms, lived


def _all_steps(found: Sequence[tuple[Ran, list[Group]]]) -> dict[str, Floats]:
    names = [group.name for group in found[0][1][1:]]
    return {
        name: np.concatenate([_steps(ran, named, name) for ran, named in found]) for name in names
    }


def _steps(ran: Ran, named: Sequence[Group], name: str) -> Floats:
    (group,) = (one for one in named if one.name == name)
    return identified(ran, AT, group.rows)


def _high(some: Floats, share: float) -> float:
    return float(np.quantile(some, share, method="higher"))
