"""The planar arm through a life A, B, A, C, B: how near its tip is to targets, after each change.

A is the intact arm, B and C are held-out bodies; nobody tells of changes, nothing is reset, and a
new target comes every 2 s. Figures are centimetres from the target in the second second after the
target came (steps 25 to 50 of 50): of the first target after a change ("1 to 2 s"), and of those
that follow ("later"). Each body is B once and C once for every seed.

Shapes: T steps, N robots.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agent.robot.make_reaching import PlanOptions, planned
from benchmarks.robots.arm_rows import ROBOT, Way, ways
from benchmarks.table import header
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

STRETCH, TARGET = 100, 50  # steps of a body, and of a target
APART = 2  # places in the list of bodies between B and C
ALL = 1  # so many first rows are judged on all held-out bodies, the others on the prototype's
PROTOTYPE = 5  # the first so many held-out bodies are those that the prototype was judged on
OUT = Path("out/robots-arm.json")
CALM = 1000  # steps of a robot whose body never changes
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lived:
    """What happened to N robots.

    Args:
        apart_TN: centimetres from the target after each step.
        told: changes that were told of: step, robot, kind.
    """

    apart_TN: Floats
    told: tuple[tuple[int, int, str], ...]


def live(way: Way, order: Sequence[Sequence[Body]], stretch: int, seed: int) -> Lived:
    """Let N robots live through stretches of bodies, one body a robot in each."""
    torch.set_num_threads(1)
    robots, controller = len(order[0]), way.controller
    fleet = Fleet(ROBOT, order[0], seed=seed)
    obs_NO, draw = torch.from_numpy(fleet.reset()), torch.Generator().manual_seed(seed)
    state, apart, told = controller.begin(robots), [], []
    for step in range(stretch * len(order)):
        if step % stretch == 0:
            bodies = order[step // stretch]
            fleet.embody(range(robots), bodies)
            state = way.inform(state, bodies) if way.inform else state
        state, action_NA = controller.act(state, obs_NO, draw)
        seen_NO, reward_N, _ = fleet.step(action_NA.numpy())
        next_NO = torch.from_numpy(seen_NO)
        state, noticed = controller.learn(state, obs_NO, action_NA, next_NO)
        told += [(step, robot, kind) for robot, kind in enumerate(noticed.change) if kind]
        obs_NO = next_NO
        apart.append(-100 * reward_N.astype(np.float64))
    return Lived(np.stack(apart), tuple(told))


def settled(apart_TN: Floats) -> Floats:
    """Mean of the second half of each target's time, shape (targets, N)."""
    whole = apart_TN.reshape(-1, TARGET, apart_TN.shape[1])
    halves: Floats = whole[:, TARGET // 2 :].mean(1)
    return halves


def life(way: Way, seed: int, held: Sequence[Body]) -> dict[str, Floats]:
    """Centimetres by stretch: A, B, A, C, B; first target and later ones, each of shape N."""
    other = [*held[APART:], *held[:APART]]
    intact = [Body()] * len(held)
    lived = live(way, [intact, held, intact, other, held], STRETCH, seed)
    each = settled(lived.apart_TN).reshape(5, STRETCH // TARGET, -1)
    found = {}
    for name, stretch in zip(("A", "B", "A again", "C", "B again"), each, strict=True):
        found[f"{name}, 1 to 2 s"], found[f"{name}, later"] = stretch[0], stretch[1:].mean(0)
    return found


def unchanged(seeds: Sequence[int]) -> dict[str, float]:
    """Centimetres of arms that stay intact, at the targets of "A again" in `life`."""
    intact = [Body()] * len(FAMILIES[ROBOT].named("held-out"))
    of = []
    for seed in seeds:
        way = Way(planned("context", PlanOptions(), ROBOT))
        of.append(settled(live(way, [intact] * 3, STRETCH, seed).apart_TN)[-STRETCH // TARGET :])
    first, later = np.stack([one[0] for one in of]), np.stack([one[1:] for one in of])
    return {
        "1 to 2 s": float(first.mean()), "1 to 2 s, median": float(np.median(first)),
        "later": float(later.mean()), "later, median": float(np.median(later)),
    }  # fmt: skip


def figures(found: Sequence[Mapping[str, Floats]]) -> dict[str, float]:
    """The columns of the table, from all seeds' lives."""
    one = {name: np.stack([some[name] for some in found]) for name in found[0]}
    bodies = one["B, later"].shape[1]
    in_c = np.roll(np.arange(bodies), -APART)
    columns = {"intact before": float(one["A, later"].mean())}
    columns["intact before, median"] = float(np.median(one["A, later"]))
    for when in ("1 to 2 s", "later"):
        b, c = one[f"B, {when}"], one[f"C, {when}"]
        of = np.concatenate([b, c[:, np.argsort(in_c)]])
        columns[f"held-out {when}"] = float(of[:, :PROTOTYPE].mean())
        columns[f"held-out {when}, median"] = float(np.median(of[:, :PROTOTYPE]))
        columns[f"hard three {when}"] = (
            float(of[:, PROTOTYPE:].mean()) if bodies > PROTOTYPE else nan
        )
        columns[f"B again {when}"] = float(one[f"B again, {when}"][:, :PROTOTYPE].mean())
        columns[f"intact again {when}"] = float(one[f"A again, {when}"].mean())
        columns[f"intact again {when}, median"] = float(np.median(one[f"A again, {when}"]))
    return columns


def by_body(found: Sequence[Mapping[str, Floats]]) -> dict[str, list[float]]:
    """Of each held-out body, first target and later ones, as B."""
    bodies = found[0]["B, later"].shape[0]
    names = [str(body) for body in FAMILIES[ROBOT].named("held-out")[:bodies]]
    first, later = (
        np.stack([some[f"B, {when}"] for some in found]).mean(0) for when in ("1 to 2 s", "later")
    )
    return {
        name: [round(float(a), 2), round(float(b), 2)]
        for name, a, b in zip(names, first, later, strict=True)
    }


def noticed(seed: int) -> dict[str, float]:
    """How changes are told: of the life's, and of robots whose bodies never change."""
    held = FAMILIES[ROBOT].named("held-out")[:PROTOTYPE]
    intact = [Body()] * len(held)
    way = Way(planned("context", PlanOptions(), ROBOT))
    lived = live(way, [intact, held, intact], STRETCH, seed)
    steps = {(robot, at): kind for at, robot, kind in reversed(lived.told)}
    found: list[float] = []
    right = 0
    for robot in range(len(held)):
        for change in (1, 2):
            near = [
                at for (who, at) in steps
                if who == robot and change * STRETCH <= at < (change + 1) * STRETCH
            ]  # fmt: skip
            found.append(min(near) - change * STRETCH + 1 if near else np.inf)
            right += bool(near) and steps[robot, min(near)] == ("new", "returned")[change - 1]
    calm = [Body(), *FAMILIES[ROBOT].named("validation")]
    alarms = len(live(way, [calm], CALM, seed).told)
    return {
        "changes": len(found), "told": int(np.isfinite(found).sum()), "kind right": right,
        "median step": float(np.median(found)), "alarms": alarms, "calm steps": CALM * len(calm),
    }  # fmt: skip


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the tables and write them."""
    table, bodies = {}, {}
    held = FAMILIES[ROBOT].named("held-out")
    for place, name in enumerate(ways(0)):
        some = held if place < ALL else held[:PROTOTYPE]
        found = [life(ways(seed)[name](), seed, some) for seed in seeds]
        table[name], bodies[name] = figures(found), by_body(found)
        print(name, {key: round(value, 2) for key, value in table[name].items()}, flush=True)
    told = [noticed(seed) for seed in seeds]
    report(table, bodies, {key: [one[key] for one in told] for key in told[0]}, unchanged(seeds))


def report(
    table: Mapping[str, Mapping[str, float]],
    bodies: Mapping[str, Mapping[str, Sequence[float]]],
    told: Mapping[str, Sequence[float]],
    calm: Mapping[str, float],
) -> None:
    """Print what was measured, and write it."""
    columns = list(next(iter(table.values())))
    print("\nCentimetres from the target\n\n| way | " + " | ".join(columns) + " |")
    print("|---" + "|---:" * len(columns) + "|")
    for name, row in table.items():
        print("| " + " | ".join([name, *(_cell(row[one]) for one in columns)]) + " |")
    names = list(next(iter(bodies.values())))
    print(
        "\n| way, 1 to 2 s / later | " + " | ".join(names) + " |\n|---" + "|---:" * len(names) + "|"
    )
    for name, each in bodies.items():
        cells = [f"{first:.2f} / {later:.2f}" for first, later in each.values()]
        cells += ["" for _ in names[len(cells) :]]
        print("| " + " | ".join([name, *cells]) + " |")
    print("\nIntact arms that never change, at the targets of the intact again:", dict(calm))
    whole = {key: float(np.sum(some)) for key, some in told.items() if key != "median step"}
    print(
        f"\nChanges: {whole['told']:g} of {whole['changes']:g} told of, {whole['kind right']:g} by"
        f" the right kind at once, after {np.median(told['median step']):g} steps (median);"
        f" {whole['alarms']:g} told of in {whole['calm steps']:,.0f} steps without one"
    )
    text = {
        "header": header("python -m benchmarks.robots arm"),
        "rows": table,
        "1 to 2 s after the change": _each(bodies, 0),
        "later": _each(bodies, 1),
        "changes": told,
        "never changed": calm,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(text, indent=1).replace("NaN", "null") + "\n", encoding="utf-8")


def _each(
    bodies: Mapping[str, Mapping[str, Sequence[float]]], at: int
) -> dict[str, dict[str, float]]:
    """Give one of the two figures of each body."""
    return {way: {body: two[at] for body, two in each.items()} for way, each in bodies.items()}


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
