"""Ant, Hopper, Swimmer and Walker2d whose bodies change in mid-run: return, falls, what is noticed.

Robots run intact, their bodies change at step 200 without a reset, and nobody tells them. What is
measured from a while after the change on: reward a step, and falls, each of which ends an episode
(the robot begins anew on the body that it has). Beside the self-model: the same policy told the
true gains, told those of the next motor, and taken for intact; a robust policy that is told
nothing; Ant's trot; one that holds still, and one that moves at random.

Shapes: T steps, N robots.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from agent.control.controller import Controller
from agent.robot import train_runner, trot
from agent.robot.controllers import RobotSpec, find
from agent.robot.runner import RUNNERS, Runner
from agent.robot.trained import shipped
from benchmarks.robots.inverted import Group
from benchmarks.robots.lives import Ran, live
from benchmarks.robots.rivals import Told
from benchmarks.robots.ways import Make
from benchmarks.table import header
from envs.body import Body
from envs.families import FAMILIES
from envs.family import Split
from envs.life import Life
from envs.robots import ROBOTS

AT, STEPS, EACH = 200, 600, 8
LATER = slice(AT + 50, STEPS)
OUT = Path("out/robots-others.json")
OWN = "self-model"

Table: TypeAlias = dict[str, dict[str, list[float]]]


def ways(runner: Runner) -> Mapping[str, Make]:
    """Give the ways by the names that tables use."""
    robot = ROBOTS[runner.robot]
    spec = RobotSpec(robot.name, robot.observations, robot.actions, robot.dt)

    def told(*, frozen: bool = False, wrong: bool = False) -> Controller:
        model = train_runner.selfmodel(runner, shipped(f"{runner.part}-self"))
        return Told(train_runner.policies(runner, None), model, frozen=frozen, wrong=wrong)

    found: dict[str, Make] = {
        OWN: lambda: find(f"{runner.part}/self")(spec),
        "told the truth": told,
        "told wrongly": lambda: told(wrong=True),
        "robust": lambda: find(f"{runner.part}/robust")(spec),
        "taken for intact": lambda: told(frozen=True),
    }
    if runner.robot == trot.ROBOT:
        found["trot"] = lambda: find("ant/trot")(spec)
    return found | {name: partial(find(name), spec) for name in ("hold", "random")}


def groups(runner: Runner, split: Split, each: int) -> tuple[list[Group], list[Life]]:
    """Give robots that stay intact, and some for each body of a split."""
    bodies = FAMILIES[runner.robot].named(split)
    every = [Life(), *(Life(((0, Body()), (AT, body))) for body in bodies)]
    names = ["intact", *map(str, bodies)]
    named = [Group(name, slice(row * each, (row + 1) * each)) for row, name in enumerate(names)]
    return named, [life for life in every for _ in range(each)]


@dataclass(slots=True)
class Found:
    """What was measured of a robot, a figure a seed.

    Args:
        reward: a step, by body and way.
        falls: in 1,000 steps, likewise.
        noticed: robots that told of a change, and steps until they did, by body.
        alarms: changes told of where none was, and steps lived so.
    """

    reward: Table = field(default_factory=dict)
    falls: Table = field(default_factory=dict)
    noticed: dict[str, list[float]] = field(default_factory=dict)
    alarms: list[int] = field(default_factory=lambda: [0, 0])

    def take(self, way: str, ran: Ran, named: Sequence[Group]) -> None:
        """Take in what happened to robots under a way."""
        for group in named:
            rows = group.rows
            reward = self.reward.setdefault(group.name, {}).setdefault(way, [])
            reward.append(float(ran.reward_TN[LATER, rows].mean()))
            falls = self.falls.setdefault(group.name, {}).setdefault(way, [])
            falls.append(1000 * float(ran.fallen_TN[LATER, rows].mean()))
            if way == OWN:
                self._told(group, ran)

    def _told(self, group: Group, ran: Ran) -> None:
        told_TN = ran.told_TN[:, group.rows]
        quiet_TN = told_TN if group.name == "intact" else told_TN[:AT]
        self.alarms[0] += int(quiet_TN.sum())
        self.alarms[1] += quiet_TN.size
        if group.name != "intact":
            after_TN = told_TN[AT:]
            first_N = np.where(after_TN.any(0), after_TN.argmax(0) + 1.0, np.inf)
            self.noticed.setdefault(group.name, []).extend(first_N.tolist())

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give a line for each body."""
        for name, of in self.reward.items():
            line: dict[str, Any] = dict(of)
            line |= {f"falls, {way}": list(some) for way, some in self.falls[name].items()}
            if first := self.noticed.get(name):
                some = [one for one in first if np.isfinite(one)]
                line["noticed"] = f"{len(some) / len(first):.0%}"
                line["after, steps"] = float(np.median(some)) if some else None
            yield name, line


def main(
    seeds: Sequence[int] = range(5),
    split: Split = "held-out",
    each: int = EACH,
    robot: str | None = None,
) -> None:
    """Print the tables and write them; what was found so far after each seed.

    Raises:
        ValueError: there is no such robot, or it is none that runs.
    """
    if robot not in {None, *RUNNERS}:
        raise ValueError(f"robot is {robot!r}; give one of {', '.join(RUNNERS)}")
    found = {name: Found() for name in RUNNERS if robot in {None, name}}
    for seed in seeds:
        for name, one in found.items():
            runner = RUNNERS[name]
            named, lives = groups(runner, split, each)
            for way, make in ways(runner).items():
                one.take(way, live(name, make, lives, STEPS, seed), named)
        told = {"seeds": seed + 1 - seeds[0], "robots": each, "bodies": split}
        write(found, told, robot)
    for name, one in found.items():
        report(name, one)


def report(name: str, found: Found) -> None:
    """Print what was measured of a robot."""
    lines = dict(found.rows())
    columns = list(dict.fromkeys(key for line in lines.values() for key in line))
    print("\n| " + " | ".join([name, *columns]) + " |\n|---" + "|---:" * len(columns) + "|")
    for body, line in lines.items():
        print("| " + " | ".join([body, *(_cell(line.get(key)) for key in columns)]) + " |")
    alarms, lived = found.alarms
    print(f"\nChanges told of where none was: {alarms} in {lived:,} steps", flush=True)


def write(found: Mapping[str, Found], told: Mapping[str, Any], robot: str | None = None) -> None:
    """Write what was measured so far: of one robot, into a file of its own."""
    command = "adaptd robot bench others" + (f" --robot {robot}" if robot else "")
    whole: dict[str, Any] = {"header": header(command), **told}
    for name, one in found.items():
        whole[name] = dict(one.rows())
        whole[f"false alarms, {name}"], whole[f"steps without a change, {name}"] = one.alarms
    out = placed(OUT, robot)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def placed(out: Path, robot: str | None) -> Path:
    """Give where tables go: those of one robot beside those of all."""
    return out.with_stem(f"{out.stem}_{robot.lower()}") if robot else out


def _cell(value: object) -> str:
    if isinstance(value, list):
        return f"{np.mean(value):.2f}"
    return "-" if value is None else str(value)
