"""Quality diversity: evolves a library of gaits, over ways to move and over bodies.

MAP-Elites (Mouret & Clune 2015, Illuminating search spaces by mapping elites) with variation
along the line of two elites (Vassiliades & Mouret 2018). On the intact body a niche is the set of
motors that a gait uses; over bodies each body is a niche, and elites move between them (Mouret &
Maguire 2020, Quality diversity for multi-task optimization). Elites are judged again now and
then, and stand by their mean: luck in one trial does not keep a place.

Shapes: G gaits, P parameters, N robots, C niches, K elites of each, A motors, B bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from agent.control.gaits import BLOCKS, Moves
from agent.faults import at_least
from envs.fleet import Fleet

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Judge: TypeAlias = Callable[[Floats], Floats]

CHILD = -1  # in a list of places: no elite judged again
REFLEX = 0.15  # standard deviation of reflexes drawn from nothing
MOVING = 0.7  # share of the motors that a gait drawn from nothing moves
USED = 0.35  # amplitude from which on a motor counts as used


@dataclass(frozen=True, slots=True)
class Variation:
    """How children come about.

    Args:
        jitter: standard deviation of what is added to a parameter that changes.
        reflex: factor of it for reflexes.
        touched: share of the parameters that change.
        along: standard deviation of the step along the line to another elite.
        joined: share of the children that take such a step.
        stilled: probability that a motor's rhythm is switched off.
    """

    jitter: float = 0.1
    reflex: float = 0.4
    touched: float = 0.3
    along: float = 0.5
    joined: float = 0.5
    stilled: float = 0.04

    def __post_init__(self) -> None:
        for name in ("touched", "joined", "stilled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a share, 0 to 1")


class Archive:
    """The best gaits of every niche; `score_CK` is the mean of `count_CK` trials, -inf for none."""

    def __init__(self, niches: int, depth: int, width: int) -> None:
        self.gait_CKP = np.zeros((niches, depth, width))
        self.score_CK = np.full((niches, depth), -np.inf)
        self.count_CK: Counts = np.zeros((niches, depth), np.int64)

    def offer(self, niche: int, gait_P: Floats, score: float) -> None:
        """Take a gait in where it beats the niche's worst elite."""
        worst = int(self.score_CK[niche].argmin())
        if score > self.score_CK[niche, worst]:
            self.gait_CKP[niche, worst], self.score_CK[niche, worst] = gait_P, score
            self.count_CK[niche, worst] = 1

    def again(self, niche: int, place: int, score: float) -> None:
        """Move an elite's mean by one more trial."""
        count = self.count_CK[niche, place]
        mean = self.score_CK[niche, place]
        self.score_CK[niche, place] = mean + (score - mean) / (count + 1)
        self.count_CK[niche, place] = count + 1

    def elites(self) -> tuple[Floats, Floats, Counts]:
        """Give all elites: gaits, scores and niches."""
        niche, place = np.nonzero(np.isfinite(self.score_CK))
        return self.gait_CKP[niche, place], self.score_CK[niche, place], niche

    def any_of(self, niches: Counts, draw: np.random.Generator) -> tuple[Floats, Counts]:
        """Give a random elite of each of these niches, and its place; each must have one."""
        there_NK = np.isfinite(self.score_CK[niches])
        place = np.where(there_NK, draw.random(there_NK.shape), -1).argmax(1)
        return self.gait_CKP[niches, place], place


def seeds(count: int, motors: int, draw: np.random.Generator) -> Floats:
    """Draw gaits from nothing."""
    shape = (count, motors)
    amplitude = draw.uniform(0, 1, shape) * (draw.random(shape) < MOVING)
    phase, offset = draw.uniform(0, 1, shape), draw.uniform(-0.5, 0.5, shape)
    reflexes = REFLEX * draw.standard_normal((count, motors * len(BLOCKS[3:])))
    reflexes *= draw.random((count, 1)) < 0.5  # noqa: PLR2004 - every other gait has none
    return np.concatenate([amplitude, phase, offset, reflexes, draw.uniform(0, 1, (count, 1))], 1)


def children(
    parent_NP: Floats, other_NP: Floats, variation: Variation, draw: np.random.Generator
) -> Floats:
    """Vary elites: by jitter, and along the line to another."""
    shape, motors = parent_NP.shape, parent_NP.shape[1] // len(BLOCKS)
    jitter = variation.jitter * draw.standard_normal(shape)
    jitter[:, 3 * motors : -1] *= variation.reflex
    moves_N1 = draw.random((shape[0], 1)) < variation.joined
    step = variation.along * draw.standard_normal((shape[0], 1)) * moves_N1
    child = parent_NP + jitter * (draw.random(shape) < variation.touched)
    child += step * (other_NP - parent_NP)
    child[:, :motors] *= draw.random((shape[0], motors)) >= variation.stilled
    return bounded(child)


def bounded(gait_NP: Floats) -> Floats:
    """Clip parameters to where they mean something; phases turn round."""
    motors = gait_NP.shape[1] // len(BLOCKS)
    out = gait_NP.clip(-3, 3)
    out[:, :motors] = gait_NP[:, :motors].clip(0, 1)
    out[:, motors : 2 * motors] = gait_NP[:, motors : 2 * motors] % 1.0
    out[:, 2 * motors : 3 * motors] = gait_NP[:, 2 * motors : 3 * motors].clip(-0.8, 0.8)
    out[:, -1] = gait_NP[:, -1].clip(0, 1)
    return out


def used(gait_NP: Floats) -> Counts:
    """Give the niche of each gait on one body: which motors it uses, as bits."""
    motors = gait_NP.shape[1] // len(BLOCKS)
    bits: Counts = (gait_NP[:, :motors] > USED).astype(np.int64) @ (1 << np.arange(motors))
    return bits


def judged(fleet: Fleet, gait_NP: Floats, moves: Moves, steps: int, start: int = 0) -> Floats:
    """Give what a step earned in a trial, one gait a robot; nothing is earned from a fall on.

    Steps before `start` do not count: the robot is still getting up to speed.
    """
    obs_NO = fleet.reset()
    gait = torch.from_numpy(gait_NP).float()
    total_N, up_N = np.zeros(len(gait_NP)), np.ones(len(gait_NP))
    for step in range(steps):
        clock_N = torch.full((len(gait),), float(step))
        action = moves(gait, clock_N, torch.from_numpy(obs_NO))
        obs_NO, reward_N, fallen_N = fleet.step(action.numpy())
        up_N *= ~fallen_N
        total_N += reward_N * up_N * (step >= start)
    return total_N / (steps - start)


def judged_on_all(
    fleet: Fleet, gait_GP: Floats, bodies: int, moves: Moves, steps: int, start: int = 0
) -> Floats:
    """Judge every gait on every body of a fleet whose robots go round the bodies, (G, B)."""
    abreast = len(fleet.bodies) // bodies
    score = []
    for row in range(0, len(gait_GP), abreast):
        some = gait_GP[row : row + abreast]
        full = np.concatenate([some, np.repeat(some[:1], abreast - len(some), 0)])
        each = judged(fleet, np.repeat(full, bodies, 0), moves, steps, start)
        score.append(each.reshape(abreast, bodies)[: len(some)])
    return np.concatenate(score)


def covering(mean_GB: Floats, count: int, weight_B: Floats | None = None) -> list[int]:
    """Choose gaits so that every body has a good one: greedy facility location.

    Nemhauser, Wolsey & Fisher 1978: within 1 - 1/e of the best choice. Gaits that no body gains
    from any more are taken in order of their mean.
    """
    share_B = np.ones(mean_GB.shape[1]) if weight_B is None else weight_B
    best_B = np.full(mean_GB.shape[1], mean_GB.min())
    chosen: list[int] = []
    while len(chosen) < min(count, len(mean_GB)):
        gain_G = (np.maximum(mean_GB - best_B, 0) * share_B).sum(1) + 1e-6 * mean_GB.mean(1)
        gain_G[chosen] = -np.inf
        chosen.append(int(gain_G.argmax()))
        best_B = np.maximum(best_B, mean_GB[chosen[-1]])
    return chosen


@dataclass(frozen=True, slots=True)
class Plan:
    """How evolution is run.

    Args:
        population: gaits judged at once.
        steps: steps of control of a trial.
        depth: elites of a niche.
        again: share of the population that judges elites again.
        visits: share of the parents that come from any niche, where niches are bodies.
        first: generations that are drawn from nothing, or from what is given.
        variation: how children come about.
    """

    population: int = 256
    steps: int = 80
    depth: int = 4
    again: float = 0.2
    visits: float = 0.3
    first: int = 4
    variation: Variation = field(default_factory=Variation)

    def __post_init__(self) -> None:
        at_least(1, self, "population", "steps", "depth", "first")


def grow(
    archive: Archive,
    judge: Judge,
    begin: Callable[[int], Floats],
    fixed_N: Counts | None,
    plan: Plan,
    going: Callable[[int], bool],
    draw: np.random.Generator,
) -> None:
    """Evolve an archive until `going(generation)` says no.

    Args:
        archive: is filled.
        judge: gives the score of a gait for each robot.
        begin: draws so many gaits to begin with.
        fixed_N: the niche of each robot, where niches are bodies; None where gaits make them.
        plan: sizes and shares.
        going: asked before every generation.
        draw: where chance comes from.
    """
    generation, size = 0, plan.population
    while going(generation):
        if generation < plan.first:
            gait, home = begin(size), np.zeros(size, np.int64)
            place = np.full(size, CHILD)
        else:
            gait, home, place = _proposed(archive, fixed_N, plan, draw)
        score = judge(gait)
        niche = used(gait) if fixed_N is None else fixed_N
        for n in np.flatnonzero(place != CHILD):
            archive.again(home[n], place[n], score[n])
        for n in np.flatnonzero(place == CHILD):
            archive.offer(niche[n], gait[n], score[n])
        generation += 1


def _proposed(
    archive: Archive, fixed_N: Counts | None, plan: Plan, draw: np.random.Generator
) -> tuple[Floats, Counts, Counts]:
    """Give gaits to judge, the niches they come from, and the places of those judged again."""
    size = plan.population
    filled = np.flatnonzero(np.isfinite(archive.score_CK).any(1))
    home = draw.choice(filled, size)
    old = draw.random(size) < plan.again
    if fixed_N is not None:
        away = (draw.random(size) < plan.visits) & ~old
        home = np.where(away, home, fixed_N)
    parent, place = archive.any_of(home, draw)
    other, _ = archive.any_of(draw.choice(filled, size), draw)
    child = children(parent, other, plan.variation, draw)
    return np.where(old[:, None], parent, child), home, np.where(old, place, CHILD)
