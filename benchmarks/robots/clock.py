"""Planner and learner against the robot's own clock, on one core, a step of control at a time.

Each robot lives with its default controller through a life in which its body changes twice, so
that what is done only after a change is timed, too. The seconds are those of the loop of `adaptd
robot run`: from the observation to the action (plan), and from the next observation to the state
that has learned from it (learn). They are CPU-seconds of the thread, so that what else runs on the
machine does not count: what they take on a core of their own. The first 50 steps warm caches up and
do not count; all others do. Default controllers are timed over all seeds, the others over one.
"""

import gc
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agent.robot.controllers import default_for, drivers, find
from agent.robot.fleet_world import FleetWorld
from agent.robot.loop import Loop
from agent.robot.trained import UntrainedError
from agent.service.clocks import Clocks
from benchmarks.table import Row, header, markdown
from envs.life import Life
from envs.robots import ROBOTS, Robot

STEPS, WARM = 400, 50
DEAF = ("hold", "random")  # they plan nothing and learn nothing
OUT = Path("out/robots-clock.json")


def life(robot: Robot) -> Life:
    """A life in which a motor turns round and comes back."""
    first = robot.actuators[1]
    return Life.parse(f"intact@0 invert:{first}@150 intact@275")


def driven() -> Iterator[tuple[Robot, str]]:
    """Give every robot with its default controller, then with its others."""
    for robot in ROBOTS.values():
        first = default_for(robot.name)
        yield from ((robot, name) for name in drivers(robot.name) if name not in DEAF)
        if first in DEAF:
            print(f"{robot.name} is driven by {first} alone: nothing to time")


def timed(robot: Robot, name: str, seeds: Sequence[int]) -> NDArray[np.float64] | None:
    """Give seconds of plan, learn and both, shape 3 by steps; None without trained weights."""
    spent: list[tuple[float, float]] = []
    for seed in seeds:
        world = FleetWorld(robot, life(robot), 1, seed)
        try:
            loop = Loop(world, find(name)(world.spec), seed, Clocks(now=time.thread_time))
        except UntrainedError as error:
            print(f"{name}: {error}")
            return None
        gc.collect()
        turns = [loop.turn() for _ in range(STEPS)]
        spent += [(turn.spent.plan, turn.spent.learn) for turn in turns[WARM:]]
    plan, learn = np.array(spent).T
    return np.stack([plan, learn, plan + learn])


def row(robot: Robot, name: str, seconds: NDArray[np.float64]) -> Row:
    """Lay out the milliseconds of one controller."""
    plan, learn, both = 1000 * np.percentile(seconds, (50, 99), axis=1).T
    clock = 1000 * robot.dt
    return {
        "robot": robot.name,
        "controller": name + (" (default)" if name == default_for(robot.name) else ""),
        "clock ms": clock,
        "plan p50 ms": float(plan[0]),
        "plan p99 ms": float(plan[1]),
        "learn p50 ms": float(learn[0]),
        "learn p99 ms": float(learn[1]),
        "both p99 ms": float(both[1]),
        "steps over the clock %": float(100 * (1000 * seconds[2] > clock).mean()),
        "in time": "yes" if both[1] <= clock else "no",
    }


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table and write it."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    for robot, name in driven():
        some = seeds if name == default_for(robot.name) else seeds[:1]
        seconds = timed(robot, name, some)
        if seconds is not None:
            rows.append(row(robot, name, seconds))
            print(f"{robot.name} {name}: plan and learn p99 {rows[-1]['both p99 ms']:.1f} ms")
    head = header("adaptd robot bench clock") | {
        "load": ", ".join(f"{one:.1f}" for one in os.getloadavg()),
        "seeds": len(seeds),
        "steps": STEPS - WARM,
    }
    OUT.parent.mkdir(exist_ok=True)
    whole = json.dumps({"header": head, "rows": rows}, indent=1, allow_nan=False)
    OUT.write_text(whole + "\n", encoding="utf-8")
    if rows:
        print(markdown(header("adaptd robot bench clock"), rows))


if __name__ == "__main__":
    main()
