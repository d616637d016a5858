"""Bodies that nobody has looked at: drawn from the held-out families by a seed of this very run.

The other tables' bodies are fixed lists, and were seen while methods took shape. Here bodies are
drawn anew, none of those lists among them, and every one is told: there is no second draw. With
the same --seed, the same bodies.

Robots run intact, then have the drawn body, unannounced, in mid-run. Beside them: robots that are
told the truth, where there is such a way; the plan through a static model, or the robust policy;
and robots of the default controller that stay intact over the same steps.

Shapes: T steps, N robots, B bodies, S seeds, E robots of a body.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.robots import dead, life, trial_lives
from benchmarks.robots.blind_lives import (
    DEFAULT,
    Floats,
    Lived,
    around,
    learned,
    live,
    spans,
    ways,
)
from benchmarks.robots.others import placed
from benchmarks.table import header
from docs.make_robots import shown
from envs.body import Body
from envs.families import FAMILIES
from envs.family import SPLITS, Split
from envs.robots import ROBOTS

BODIES = 12  # of each robot
EACH: Mapping[str, int] = {"PlanarArm": 2, "Reacher": 2}  # robots of a body in each seed
MANY = 4  # of all other robots
NEAR, SHARE = 1.0, 0.95  # the bars: centimetres; of what an unchanged robot earns
UNCHANGED = "unchanged"
OUT = Path("out/robots-blind.json")
Cells = dict[str, object]


def listed(robot: str) -> set[str]:
    """Give the bodies of every other table and of the families' lists, as they are spelled."""
    named = {body for split in SPLITS for body in FAMILIES[robot].named(split)}
    if robot == "HalfCheetah":
        named |= {*dead.bodies(), *map(Body.parse, life.BODIES), *trial_lives.bodies_of(1)}
    return {body.spelled for body in named}


def drawn(robot: str, split: Split, count: int, seed: int) -> list[Body]:
    """Draw bodies that differ from each other and stand in no list.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; give one of {', '.join(SPLITS)}")
    generator = np.random.default_rng([seed, list(ROBOTS).index(robot)])
    taken, found = listed(robot), list[Body]()
    while len(found) < count:
        body = FAMILIES[robot].draw(split, generator)
        if body.spelled not in taken:
            taken.add(body.spelled)
            found.append(body)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What a way came to on each body.

    Args:
        mean: by window, (S, B).
        soon_X: steps from the change until it was told, of those that told it.
        told: how many robots told of the change, of all.
        alarms: changes told of where none was, in so many steps.
    """

    mean: Mapping[str, Floats]
    soon_X: NDArray[np.int64]
    told: tuple[int, int]
    alarms: tuple[int, int]


def found(robot: str, name: str, bodies: Sequence[Body], seeds: Sequence[int], each: int) -> Found:
    """Let a way drive so many robots of each body, for every seed."""
    many = [body for body in bodies for _ in range(each)]
    still, of = all(body.intact for body in bodies), ROBOTS[robot]
    runs = [live(of, ways(robot)[name](seed), many, seed) for seed in seeds]
    windows = [around(of, ran.score_TN) for ran in runs]
    mean = {
        window: np.stack([one[window].reshape(-1, each).mean(1) for one in windows])
        for window in windows[0]
    }
    before, _ = spans(of)
    calm = [ran.told_TN if still else ran.told_TN[:before] for ran in runs]
    return Found(
        mean,
        np.concatenate([_first(ran, before) for ran in runs]),
        (sum(int(ran.told_TN[before:].any(0).sum()) for ran in runs), len(many) * len(runs)),
        (sum(int(one.sum()) for one in calm), sum(one.size for one in calm)),
    )


def _first(ran: Lived, before: int) -> NDArray[np.int64]:
    after_TN = ran.told_TN[before:]
    first_N: NDArray[np.int64] = after_TN.argmax(0)[after_TN.any(0)] + 1
    return first_N


def measured(
    seeds: Sequence[int],
    seed: int,
    split: Split = "held-out",
    count: int = BODIES,
    robots: Sequence[str] | None = None,
    most: int = MANY,
) -> Iterator[dict[str, object]]:
    """Measure; after each robot give all tables: of each body, over bodies, of what was told."""
    every, over, changes = dict[str, object](), dict[str, Cells](), dict[str, Cells]()
    for robot in learned() if robots is None else robots:
        bodies, each = drawn(robot, split, count, seed), min(EACH.get(robot, MANY), most)
        some = {name: found(robot, name, bodies, seeds, each) for name in ways(robot)}
        some[UNCHANGED] = found(robot, DEFAULT, [Body()] * count, seeds, each)
        every[robot], mine = by_body(bodies, some), over_bodies(some)
        over |= {f"{robot}, {name}": cells for name, cells in mine.items()}
        changes[robot] = noticed(some)
        yield {
            "bodies' seed": seed, "bodies": f"{count} of each robot, {split}", "seeds": len(seeds),
            "over bodies": over, "changes": changes, **every,
        }  # fmt: skip


def by_body(bodies: Sequence[Body], some: Mapping[str, Found]) -> dict[str, Cells]:
    """Give a row for each body: every way in every window, and whether the bar is met."""
    rows: dict[str, Cells] = {}
    good_B = met(some[DEFAULT], some[UNCHANGED])
    for row, body in enumerate(bodies):
        cells: Cells = {
            f"{name}, {window}": round(float(of.mean[window][:, row].mean()), 3)
            for window in some[DEFAULT].mean
            for name, of in some.items()
        }
        if not _cm(some[DEFAULT]):
            (window,) = some[DEFAULT].mean
            mine, usual = (some[name].mean[window] for name in (DEFAULT, UNCHANGED))
            cells["default of unchanged %"] = round(100 * float(mine[:, row].mean() / usual.mean()))
        rows[body.spelled] = {**cells, "bar met": "yes" if good_B[row] else "no"}
    return rows


def over_bodies(some: Mapping[str, Found]) -> dict[str, Cells]:
    """Give median, mean and worst body of each way, and the share of bodies that meet the bar."""
    rows: dict[str, Cells] = {}
    for name, of in some.items():
        for window, mean_SB in of.mean.items():
            mean_B = mean_SB.mean(0)
            usual = float(some[UNCHANGED].mean[window].mean())
            worst = mean_B.max() if _cm(of) else mean_B.min()
            cells: Cells = {
                "median": float(np.median(mean_B)), "mean": float(mean_B.mean()),
                "worst": float(worst), "of unchanged %": 100 * float(mean_B.mean()) / usual,
            }  # fmt: skip
            if window == next(iter(of.mean)) and name != UNCHANGED:
                good_B = met(of, some[UNCHANGED])
                cells["bodies at the bar %"] = 100 * float(good_B.mean())
            rows[f"{name}, {window}"] = cells
    return rows


def met(of: Found, unchanged: Found) -> NDArray[np.bool_]:
    """Tell which bodies meet the bar in the first window, (B,)."""
    window = next(iter(of.mean))
    mean_B = of.mean[window].mean(0)
    if _cm(of):
        near_B: NDArray[np.bool_] = mean_B <= NEAR
        return near_B
    good_B: NDArray[np.bool_] = mean_B >= SHARE * unchanged.mean[window].mean()
    return good_B


def _cm(of: Found) -> bool:
    """Whether these are centimetres: then there are two windows, and less is better."""
    return len(of.mean) > 1


def noticed(some: Mapping[str, Found]) -> Cells:
    """Give how the default controller told of changes, and how often of none."""
    of, still = some[DEFAULT], some[UNCHANGED]
    told, all_of = of.told
    alarms, calm = (one + other for one, other in zip(of.alarms, still.alarms, strict=True))
    return {
        "told %": 100 * told / all_of,
        "steps until told, median": float(np.median(of.soon_X)) if told else None,
        "false alarms": alarms, "steps without a change": calm,
    }  # fmt: skip


def main(
    seeds: Sequence[int] = range(5),
    seed: int | None = None,
    split: Split = "held-out",
    count: int = BODIES,
    robot: str | None = None,
) -> None:
    """Draw, tell the seed first of all, measure, print every row and write it.

    Raises:
        ValueError: there is no such robot, or it has learned nothing.
    """
    if robot not in {None, *learned()}:
        raise ValueError(f"robot is {robot!r}; give one of {', '.join(learned())}")
    drew = secrets.randbits(32) if seed is None else seed
    print(f"bodies are drawn by seed {drew} (--seed {drew} draws them again)", flush=True)
    command = f"adaptd robot bench blind --seed {drew}"
    command += "" if split == "held-out" else f" --split {split}"
    command += f" --robot {robot}" if robot else ""
    out = placed(OUT, robot)
    out.parent.mkdir(exist_ok=True)
    told = dict[str, object]()
    for found_so_far in measured(seeds, drew, split, count, robot and [robot]):
        told = {"header": header(command), **found_so_far}
        out.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(shown(told))
