"""HalfCheetah through a life of 20 changes, in which bodies come back.

What is measured: how a body that comes back is driven in its first 2 s and in the 2 s after them,
beside how it was driven at the end of its visit before; whether it is told of as the same body;
how many bodies are remembered.

Shapes: T steps, N robots.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from agent.robot.train_cheetah import ROBOT
from benchmarks.robots.lives import Floats, Ran, live
from benchmarks.robots.ways import SLOW, Make, told, ways
from benchmarks.table import header
from envs.body import Body
from envs.life import Life

BODIES = ("invert:fshin", "dead:bthigh", "invert:bthigh,fthigh", "weak:bfoot=0.4", "dead:fshin",
          "mass=1.8")  # fmt: skip
CHANGES, GAP, ROBOTS_EACH, FEW = 20, (120, 160), 16, 4
SOON, THEN = slice(0, 40), slice(40, 80)
OUT = Path("out/robots-life.json")


def drawn(seed: int) -> Life:
    """Draw a life: each body comes once before any comes back."""
    bodies = [Body.parse(text) for text in BODIES]
    return Life.drawn(bodies, CHANGES, GAP, np.random.default_rng(seed))


def returns(life: Life, steps: int) -> list[tuple[int, int, int]]:
    """Give, for each time that a body comes back: when, and its visit before, from and until."""
    spans = [*(at for at, _ in life.changes), steps]
    seen: dict[Body, tuple[int, int]] = {}
    found = []
    for row, (at, body) in enumerate(life.changes):
        if body in seen:
            found.append((at, *seen[body]))
        seen[body] = (at, spans[row + 1])
    return found


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table and write it."""
    rows: dict[str, list[list[float]]] = {}
    memory: list[int] = []
    for seed in seeds:
        life = drawn(seed)
        steps = life.changes[-1][0] + GAP[1]
        for name, make in ({**ways(seed, specialists=True), **late()}).items():
            robots = FEW if name in SLOW else ROBOTS_EACH
            ran = live(ROBOT, make, [life] * robots, steps, seed)
            rows.setdefault(name, []).append(judged(ran, life, steps))
            if name == "self-model":
                memory.append(int(ran.bodies_N.max()))
        write(rows, memory, seed + 1 - seeds[0])
    report(rows, memory)


def late() -> Mapping[str, Make]:
    """Give who is told the truth after the first step on a body, and after the second.

    A change shows in a step that was taken on the new body: nobody who is not told knows sooner.
    """
    return {
        f"told the truth, {steps} late": partial(told, specialists=True, late=steps)
        for steps in (1, 2)
    }


def judged(ran: Ran, life: Life, steps: int) -> list[float]:
    """Give the mean reward of a life, and of returns: before, in the first 2 s, and in the next."""
    before, soon, then = [], [], []
    for at, since, until in returns(life, steps):
        before.append(_mean(ran.reward_TN[since + 80 : until]))
        soon.append(_mean(ran.reward_TN[at:][SOON]))
        then.append(_mean(ran.reward_TN[at:][THEN]))
    return [_mean(ran.reward_TN), *(float(np.mean(one)) for one in (before, soon, then))]


def report(rows: dict[str, list[list[float]]], memory: Sequence[int]) -> None:
    """Print what was measured."""
    print(f"A life of {CHANGES} changes; reward a step\n")
    print("| way | whole life | earlier visit | first 2 s of return | 2 to 4 s of return |")
    print("|---|---:|---:|---:|---:|")
    for way, of in rows.items():
        whole, before, soon, then = np.mean(of, 0)
        cells = [f"{whole:.2f}", f"{before:.2f}", *(_share(one, before) for one in (soon, then))]
        print("| " + " | ".join([way, *cells]) + " |")
    print(f"\nBodies remembered at most: {max(memory)}, of {len(BODIES) + 1} that there were")


def write(rows: dict[str, list[list[float]]], memory: Sequence[int], seeds: int) -> None:
    """Write what was measured so far."""
    told = {
        "header": header("python -m benchmarks.robots life"), "seeds": seeds,
        "robots": ROBOTS_EACH, "changes": CHANGES, "bodies": BODIES,
        "columns": ["whole", "before", "first 2 s", "2 to 4 s"], "rows": rows,
        "remembered at most": max(memory),
    }  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _mean(reward: Floats) -> float:
    return float(reward.mean())


def _share(one: float, before: float) -> str:
    return f"{one:.2f} ({one / before:.0%})" if before > 0 else f"{one:.2f}"
