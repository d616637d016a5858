"""Trains a library of gaits: over ways to move the intact body, then over a family of bodies.

The work is counted in steps of simulation, so that a seed gives the same library on every machine;
seconds are turned into steps by a nominal rate.

Shapes: G gaits, P parameters, B bodies, N robots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from agent.control.gaits import Layout, Library, Rhythms, parameters
from agent.robot.evolve import (
    Archive,
    Floats,
    Plan,
    covering,
    grow,
    judged,
    judged_on_all,
    seeds,
)
from agent.robot.trained import Made, Say
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

RATE = 22_000  # steps of simulation that a second of one core is taken for


@dataclass(frozen=True, slots=True)
class GaitTraining:
    """What a library is made of.

    Args:
        robot: its name.
        layout: where in its observation is what.
        gaits: G, how many are kept.
        bodies: B, simulated ones: the intact one, and draws of the family's training bodies.
        ways: share of the time that goes to ways to move the intact body.
        told: share of it that goes to judging all gaits on all bodies.
        plan: of evolution.
    """

    robot: str
    layout: Layout
    gaits: int = 256
    bodies: int = 64
    ways: float = 0.35
    told: float = 0.2
    plan: Plan = field(default_factory=Plan)


def train_library(of: GaitTraining, seconds: float, seed: int, say: Say) -> Made:
    """Evolve a library on the intact body, then over training bodies; judge it on those.

    Args:
        of: sizes and shares.
        seconds: of one core, about.
        seed: of chance.
        say: is told how it goes.
    """
    draw = np.random.default_rng(seed)
    bodies = (Body(), *(FAMILIES[of.robot].draw("train", draw) for _ in range(of.bodies - 1)))
    archive = _ways(of, _generations(of, seconds * of.ways), seed, draw, say)
    first_GP = _best(archive, of.gaits)
    grown = _over(of, bodies, first_GP, _generations(of, seconds * 0.45), seed + 1, draw, say)
    gait_GP = np.concatenate([_best(archive, of.gaits // 2), grown.elites()[0]])
    mean_GB = _told(of, bodies, gait_GP, seconds * of.told, seed + 2)
    keep = covering(mean_GB, of.gaits)
    library = Library(
        torch.from_numpy(gait_GP[keep]).float(),
        torch.from_numpy(mean_GB[keep]).float(),
        Rhythms(of.layout),
    )
    told = _card(library, bodies, len(gait_GP))
    say(f"{len(keep)} gaits; {told['judged']}")
    return library.tensors(), told


def _generations(of: GaitTraining, seconds: float) -> int:
    return max(of.plan.first + 1, round(seconds * RATE / (of.plan.population * of.plan.steps)))


def _ways(
    of: GaitTraining, generations: int, seed: int, draw: np.random.Generator, say: Say
) -> Archive:
    motors = of.layout.motors
    archive = Archive(2**motors, of.plan.depth, parameters(motors))
    fleet = Fleet(of.robot, [Body()] * of.plan.population, seed=seed)
    grow(
        archive,
        lambda gait: judged(fleet, gait, Rhythms(of.layout), of.plan.steps),
        lambda count: seeds(count, motors, draw),
        None,
        of.plan,
        watched(generations, archive, "ways", say),
        draw,
    )
    return archive


def _over(
    of: GaitTraining,
    bodies: Sequence[Body],
    gait_GP: Floats,
    generations: int,
    seed: int,
    draw: np.random.Generator,
    say: Say,
) -> Archive:
    """Evolve over bodies, from the gaits of the intact one."""
    archive = Archive(len(bodies), of.plan.depth, gait_GP.shape[1])
    fixed_N = np.arange(of.plan.population) % len(bodies)
    fleet = Fleet(of.robot, [bodies[int(n)] for n in fixed_N], seed=seed)
    grow(
        archive,
        lambda gait: judged(fleet, gait, Rhythms(of.layout), of.plan.steps),
        lambda count: gait_GP[draw.integers(len(gait_GP), size=count)],
        fixed_N,
        of.plan,
        watched(generations, archive, "bodies", say),
        draw,
    )
    return archive


def _told(
    of: GaitTraining, bodies: Sequence[Body], gait_GP: Floats, seconds: float, seed: int
) -> Floats:
    """Judge all on all, as often as the time allows, but once at least."""
    fleet = Fleet(of.robot, list(bodies) * max(1, 512 // len(bodies)), seed=seed)
    cost = len(gait_GP) * len(bodies) * of.plan.steps / RATE
    rounds = max(1, round(seconds / cost))
    each = [
        judged_on_all(fleet, gait_GP, len(bodies), Rhythms(of.layout), of.plan.steps)
        for _ in range(rounds)
    ]
    mean_GB: Floats = np.mean(each, axis=0)
    return mean_GB


def _best(archive: Archive, count: int) -> Floats:
    """Give the best elite of every niche, then the second ones, up to a number."""
    order = np.argsort(-archive.score_CK, axis=1)
    score_CK = np.take_along_axis(archive.score_CK, order, 1)
    gait_CKP = np.take_along_axis(archive.gait_CKP, order[..., None], 1)
    rank_KC = np.isfinite(score_CK).T
    some: Floats = gait_CKP.swapaxes(0, 1)[rank_KC][:count]
    return some


def watched(generations: int, archive: Archive, what: str, say: Say) -> Callable[[int], bool]:
    """Give what evolution asks before every generation; it tells how things stand."""

    def going(generation: int) -> bool:
        if generation and generation % max(1, generations // 10) == 0:
            best = archive.score_CK.max(1)
            best = best[np.isfinite(best)]
            say(
                f"{what}: generation {generation} of {generations}, {len(best)} niches,"
                f" best {best.max():.2f}, median {np.median(best):.2f}"
            )
        return generation < generations

    return going


def _card(library: Library, bodies: Sequence[Body], judged_gaits: int) -> dict[str, object]:
    best_B = library.mean_GB.max(0).values
    return {
        "trained_on": f"the intact body and {len(bodies) - 1} of the family's training bodies",
        "bodies": [body.name for body in bodies],
        "gaits": f"{len(library.gait_GP)}, chosen of {judged_gaits}",
        "judged": {
            "intact, reward a step of the best": round(float(best_B[0]), 3),
            "training bodies, mean of each one's best": round(float(best_B.mean()), 3),
            "training bodies, best gait of the intact one": round(
                float(library.mean_GB[int(library.mean_GB[:, 0].argmax())].mean()), 3
            ),
        },
    }
