"""Trains getting up: rhythms are evolved on robots that were laid on their back.

As gaits are (`agent.robot.evolve`), first over ways to move the intact body, then over bodies of
the training family. What counts is the cosine of the torso's pitch, and being up early.

Shapes: N robots, G gaits, S starts, K rhythms kept, B bodies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from agent.control.gaits import Layout, drive, parameters
from agent.control.getup import GetUp
from agent.control.trials import Rise
from agent.robot.evolve import Archive, Floats, Plan, covering, grow, seeds
from agent.robot.train_gaits import watched
from agent.robot.trained import Made, Say
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

RATE = 22_000  # steps of simulation that a second of one core is taken for
STARTS = 8  # sets of starts, which candidates share


@dataclass(frozen=True, slots=True)
class GetUpTraining:
    """What is trained, and how.

    Args:
        robot: its name.
        layout: where in its observation is what.
        place: where in a saved state the torso's height and pitch are.
        rhythms: K.
        bodies: B, simulated ones: the intact one, and draws of the family's training bodies.
        starts: S, of every candidate.
        plan: of evolution; its steps are those that a rhythm is given.
    """

    robot: str
    layout: Layout
    place: tuple[int, int]
    rhythms: int = 4
    bodies: int = 32
    starts: int = 2
    plan: Plan = field(default_factory=lambda: Plan(steps=50))


def laid(of: GetUpTraining, bodies: Sequence[Body], seed: int, settle: int = 15) -> Fleet:
    """Give robots that lie on their back, some still rolling, after some random steps."""
    draw, count = np.random.default_rng(seed), len(bodies)
    fleet = Fleet(of.robot, bodies, seed=seed)
    fleet.reset()
    state = fleet.state()
    rows = state["physics"].astype(np.float64)
    height, pitch = of.place
    roll = np.pi + draw.uniform(-0.8, 0.8, count)
    rows[:, pitch] += draw.choice([-1.0, 1.0], count) * roll
    rows[:, height] += draw.uniform(-0.2, 0.2, count)
    fleet.restore({**state, "physics": rows})
    action_NA = np.zeros((count, fleet.robot.actions))
    for _ in range(settle):
        action_NA = 0.7 * action_NA + 0.6 * draw.standard_normal(action_NA.shape)
        fleet.step(action_NA)
    return fleet


def train_getup(of: GetUpTraining, seconds: float, seed: int, say: Say) -> Made:
    """Evolve rhythms that get up; gives the best few, and what they do on other bodies."""
    draw = np.random.default_rng(seed)
    bodies = (Body(), *(FAMILIES[of.robot].draw("train", draw) for _ in range(of.bodies - 1)))
    cost = of.plan.population * of.starts * of.plan.steps / RATE
    generations = max(of.plan.first + 1, round(0.4 * seconds / cost))
    motors, size = of.layout.motors, of.plan.population
    ways = Archive(2**motors, of.plan.depth, parameters(motors))
    judge = _judge(of, [Body()] * size, seed)
    going = watched(generations, ways, "intact", say)
    grow(ways, judge, lambda count: seeds(count, motors, draw), None, of.plan, going, draw)
    best = ways.elites()[0][np.argsort(-ways.elites()[1])[:64]]
    over = Archive(of.bodies, of.plan.depth, parameters(motors))
    fixed_N = np.arange(size) % of.bodies
    judge = _judge(of, [bodies[int(n)] for n in fixed_N], seed + 1)
    going = watched(generations, over, "bodies", say)
    grow(over, judge, _picks(best, draw), fixed_N, of.plan, going, draw)
    gait_GP = np.concatenate([best[:16], over.elites()[0]])
    mean_GB = _told(of, bodies, gait_GP, seed + 2)
    keep = covering(mean_GB, of.rhythms)
    rise = GetUp(torch.from_numpy(gait_GP[keep]).float(), of.layout, of.plan.steps)
    return rise.tensors(), {"judged": judged_getup(of, rise, seed + 3)}


def _picks(gait_GP: Floats, draw: np.random.Generator) -> Callable[[int], Floats]:
    return lambda count: gait_GP[draw.integers(len(gait_GP), size=count)]


def _judge(of: GetUpTraining, bodies: Sequence[Body], seed: int) -> Callable[[Floats], Floats]:
    """Judge one gait a body, each from `starts` starts of a few that were made once."""
    fleet = laid(of, [body for body in bodies for _ in range(of.starts)], seed)
    made = [laid(of, fleet.bodies, seed + 1 + n).state() for n in range(STARTS)]
    draw = np.random.default_rng(seed)

    def judge(gait_NP: Floats) -> Floats:
        fleet.restore(made[draw.integers(len(made))])
        each = risen(of.layout, fleet, gait_NP.repeat(of.starts, 0), of.plan.steps)
        score_N: Floats = each.reshape(-1, of.starts).mean(1)
        return score_N

    return judge


def risen(layout: Layout, fleet: Fleet, gait_NP: Floats, steps: int) -> Floats:
    """Give the pitch's cosine, half its mean over steps, half its most; 1 from being up on."""
    gait, obs = torch.from_numpy(gait_NP).float(), torch.from_numpy(fleet.observe())
    total_N, most_N = np.zeros(len(fleet)), np.full(len(fleet), -1.0)
    for step in range(steps):
        clock_N = torch.full((len(fleet),), step)
        obs = torch.from_numpy(fleet.step(drive(gait, clock_N, obs, layout).numpy())[0])
        cosine_N = obs[:, layout.pitch].cos().double().numpy()
        most_N = np.maximum(most_N, cosine_N)
        total_N += np.where(most_N > layout.risen, 1.0, cosine_N)
    return (total_N / steps + np.where(most_N > layout.risen, 1.0, most_N)) / 2


def _told(of: GetUpTraining, bodies: Sequence[Body], gait_GP: Floats, seed: int) -> Floats:
    """Judge all rhythms on all bodies."""
    some = max(1, 512 // len(bodies))
    score = []
    for start in range(0, len(gait_GP), some):
        part = gait_GP[start : start + some]
        fleet = laid(of, [body for body in bodies for _ in range(len(part))], seed)
        each = risen(of.layout, fleet, np.tile(part, (len(bodies), 1)), of.plan.steps)
        score.append(each.reshape(len(bodies), len(part)).T)
    return np.concatenate(score)


def judged_getup(
    of: GetUpTraining, rise: Rise, seed: int, robots: int = 256
) -> Mapping[str, float]:
    """Give the shares of robots that are up within 2 s and 5 s, on intact and on faulty bodies."""
    draw = np.random.default_rng(seed)
    family = FAMILIES[of.robot]
    told: dict[str, float] = {}
    kinds = {
        "intact": [Body()] * robots,
        "training": [family.draw("train", draw) for _ in range(robots)],
        "validation": [family.draw("validation", draw) for _ in range(robots)],
    }
    for name, bodies in kinds.items():
        at_N = risen_at(of.layout, laid(of, bodies, seed), rise, round(5 / of.layout.dt))
        for limit in (2, 5):
            share = float((at_N * of.layout.dt <= limit).mean())
            told[f"{name}, up within {limit} s"] = round(share, 3)
    return told


def risen_at(layout: Layout, fleet: Fleet, rise: Rise, steps: int) -> Floats:
    """Give the step at which each robot is up first, inf where it is not within `steps`."""
    at_N = np.full(len(fleet), np.inf)
    obs = torch.from_numpy(fleet.observe())
    for step in range(1, steps + 1):
        action_NA = rise(obs, torch.full((len(fleet),), step))
        obs = torch.from_numpy(fleet.step(action_NA.numpy())[0])
        down_N = layout.fallen(obs, torch.ones(len(fleet), dtype=torch.bool)).numpy()
        at_N[~down_N] = np.minimum(at_N[~down_N], step)
    return at_N
