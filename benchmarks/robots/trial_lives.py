"""Lives of HalfCheetah with trials, and what gaits are worth: what `trial` compares.

Shapes: N robots, G gaits, B bodies, P parameters, T steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.gaits import Library, Moves
from agent.control.notebook import lists
from agent.control.trials import TrialController
from agent.robot.evolve import Counts, judged
from agent.robot.make_trials import CHEETAH, rising
from envs.body import Body
from envs.fleet import Fleet

Floats: TypeAlias = NDArray[np.float64]
Propose: TypeAlias = Callable[[int, Floats], Floats]

BODIES = {
    "dead back thigh": "dead:bthigh",
    "inverted back thigh": "invert:bthigh",
    "dead front thigh": "dead:fthigh",
    "inverted back foot": "invert:bfoot",
    "dead front shin": "dead:fshin",
    "inverted front shin": "invert:fshin",
    "both thighs dead": "dead:bthigh,fthigh",
    "both thighs inverted": "invert:bthigh,fthigh",
    "back leg of 0.65 length": "length:bthigh,bshin,bfoot=0.65",
    "mass 1.8": "mass=1.8",
    "inverted back shin, dead front foot, length 1.3": "invert:bshin+dead:ffoot+length=1.3",
}
BEFORE, AFTER, LIVED, TRIAL = 200, 900, 200, 80


@dataclass(frozen=True, slots=True)
class Ran:
    """What robots did after their change.

    Args:
        gait_N: the gait that each settled on.
        tries_N: trials that it took.
        noticed_N: seconds until the change was noticed; inf for never.
        earned_N: mean reward a step over the 10 s after the trials.
    """

    gait_N: NDArray[np.int64]
    tries_N: NDArray[np.int64]
    noticed_N: Floats
    earned_N: Floats


def worth(
    gait_NP: Tensor, moves: Moves, bodies: Sequence[Body], seed: int, steps: int = LIVED
) -> Floats:
    """Give what a step earns while each robot lives with its gait, getting up where it falls."""
    fleet, rise = Fleet("HalfCheetah", bodies, seed=seed), rising()
    obs_NO = torch.from_numpy(fleet.reset())
    down_N, clock_N = torch.zeros(len(fleet), dtype=torch.int64), torch.zeros(len(fleet))
    total_N = np.zeros(len(fleet))
    for _ in range(steps):
        down_N = torch.where(CHEETAH.fallen(obs_NO, down_N > 0), down_N + 1, 0)
        clock_N = torch.where(down_N > 0, 0, clock_N)
        gait_NA = moves(gait_NP, clock_N, obs_NO)
        action_NA = torch.where((down_N > 0).unsqueeze(1), rise(obs_NO, down_N), gait_NA)
        after, reward_N, _ = fleet.step(action_NA.numpy())
        obs_NO, clock_N, total_N = torch.from_numpy(after), clock_N + 1, total_N + reward_N
    return total_N / steps


def bodies_of(often: int) -> list[Body]:
    """Give every body so often, all of them in turn."""
    return [Body.parse(text) for text in BODIES.values()] * often


def valued(some: Library, gait_N: Counts, bodies: Sequence[Body], often: int = 4) -> Floats:
    """Give what gaits are worth on bodies, (N,): the mean over fresh lives."""
    gait_NP = some.gait_GP[torch.from_numpy(gait_N)]
    each = [worth(gait_NP, some.moves, bodies, 700 + n) for n in range(often)]
    mean_N: Floats = np.mean(each, 0)
    return mean_N


def best_of(some: Library, finalists: int = 20) -> Counts:
    """Give the best gait of the library for each body, (B,): of those that one life puts first."""
    gaits, best = len(some.gait_GP), []
    for body in bodies_of(1):
        once_G = worth(some.gait_GP, some.moves, [body] * gaits, 500)
        few = np.argsort(-once_G)[:finalists]
        best.append(few[valued(some, few, [body] * len(few)).argmax()])
    return np.asarray(best)


def run(controller: TrialController, bodies: Sequence[Body], seed: int) -> Ran:
    """Let robots run intact, change their bodies, and follow them through their trials."""
    fleet = Fleet("HalfCheetah", [Body()] * len(bodies), seed=seed)
    obs_NO, state = torch.from_numpy(fleet.reset()), controller.begin(len(bodies))
    draw = torch.Generator().manual_seed(seed)
    robots = len(bodies)
    noticed_N, over_N = np.full(robots, np.inf), np.full(robots, np.inf)
    earned_TN = np.zeros((BEFORE + AFTER * 2, robots))
    gait_N, tries_N = np.zeros(robots, np.int64), np.zeros(robots, np.int64)
    for step in range(len(earned_TN)):
        if step == BEFORE:
            fleet.embody(range(robots), bodies)
        state, action_NA = controller.act(state, obs_NO, draw)
        after, earned_TN[step], _ = fleet.step(action_NA.numpy())
        next_NO = torch.from_numpy(after)
        state, _ = controller.learn(state, obs_NO, action_NA, next_NO)
        obs_NO, trying_N = next_NO, state["trying"].numpy()
        new_N = trying_N & (step >= BEFORE)
        noticed_N[new_N] = np.minimum(noticed_N[new_N], (step + 1 - BEFORE) * CHEETAH.dt)
        done_N = np.isfinite(noticed_N) & ~trying_N & ~np.isfinite(over_N)
        over_N[done_N] = step
        gait_N[done_N], tries_N[done_N] = (
            state[name].numpy()[done_N] for name in ("gait", "tries")
        )
        if step - BEFORE > AFTER and np.all(step > over_N + LIVED):
            break
    never_N = ~np.isfinite(over_N)
    best_N = torch.where(state["trying"], lists("list", state).best()[0], state["gait"])
    gait_N[never_N], tries_N[never_N] = (one.numpy()[never_N] for one in (best_N, state["tries"]))
    begin_N = np.where(never_N, BEFORE + AFTER, over_N).astype(int)
    earned = [earned_TN[a + 1 : a + 1 + LIVED, n].mean() for n, a in enumerate(begin_N)]
    return Ran(gait_N, tries_N, noticed_N, np.asarray(earned))


def sought(
    propose: Propose, moves: Moves, bodies: Sequence[Body], trials: int, seed: int
) -> Tensor:
    """Try gaits from a start each, as `propose` says; give the best one of each robot."""
    fleet = Fleet("HalfCheetah", bodies, seed=seed)
    best_N, best_NP = np.full(len(bodies), -np.inf), np.zeros(0)
    for trial in range(trials):
        gait_NP = propose(trial, best_NP)
        best_NP = gait_NP.copy() if not trial else best_NP
        score_N = judged(fleet, gait_NP, moves, TRIAL)
        better_N = score_N > best_N
        best_NP[better_N], best_N[better_N] = gait_NP[better_N], score_N[better_N]
    return torch.from_numpy(best_NP).float()
