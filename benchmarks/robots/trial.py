"""Learning by trial on HalfCheetah: how much of the library's best is found by trials of 4 s.

The bodies are those of the prototype. A robot runs under the best gait of the intact body, its
body changes in mid-run, and nothing tells it: it must notice, try, and settle, in one episode
without a reset. What a gait is worth on a body is what a step earns over 10 s of living with it,
falls and getting up included.

Shapes: N robots, G gaits, B bodies, P parameters, T steps.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.gaits import Library, Moves, Rhythms
from agent.control.outlook import OutlookSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.robot.evolve import Variation, children, judged, seeds
from agent.robot.make_trials import CHEETAH, GAITS, WAYS, library, rising
from envs.body import Body
from envs.fleet import Fleet

Floats: TypeAlias = NDArray[np.float64]
Propose: TypeAlias = Callable[[int, Floats, Floats], Floats]

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
BAR = 0.8  # share of the library's best that is asked for
BEFORE, AFTER, LIVED, TRIAL = 100, 1200, 200, 80
COUNTS = (1, 3, 5, 10, 20)
OUT = Path("out/robots-trial.json")


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


def worth_of_all(some: Library, seeds_told: Sequence[int]) -> Floats:
    """Give what every gait is worth on every body, (G, B); the mean over seeds."""
    bodies = [Body.parse(text) for text in BODIES.values()]
    gaits = len(some.gait_GP)
    told = []
    for seed in seeds_told:
        each = [worth(some.gait_GP, some.moves, [body] * gaits, 500 + seed) for body in bodies]
        told.append(np.stack(each, 1))
    mean_GB: Floats = np.mean(told, 0)
    return mean_GB


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
    gait_N[never_N] = state["gait"].numpy()[never_N]
    begin_N = np.where(never_N, BEFORE + AFTER, over_N).astype(int)
    earned = [earned_TN[a + 1 : a + 1 + LIVED, n].mean() for n, a in enumerate(begin_N)]
    return Ran(gait_N, tries_N, noticed_N, np.asarray(earned))


def sought(propose: Propose, bodies: Sequence[Body], trials: int, seed: int) -> Tensor:
    """Try gaits from a start each, as `propose` says; give the best one of each robot."""
    fleet = Fleet("HalfCheetah", bodies, seed=seed)
    best_N, best_NP = np.full(len(bodies), -np.inf), np.zeros(0)
    for trial in range(trials):
        gait_NP = propose(trial, best_NP, best_N)
        best_NP = gait_NP.copy() if not trial else best_NP
        score_N = judged(fleet, gait_NP, Rhythms(CHEETAH), TRIAL)
        better_N = score_N > best_N
        best_NP[better_N], best_N[better_N] = gait_NP[better_N], score_N[better_N]
    return torch.from_numpy(best_NP).float()


def by_trials(
    some: Library, worth_GB: Floats, settings: TrialSettings, outlook: OutlookSettings, seed: int
) -> tuple[Floats, Ran]:
    """Give what the gait is worth that each body's robot settled on, (B,), and what it did."""
    bodies = [Body.parse(text) for text in BODIES.values()]
    controller = TrialController(some, CHEETAH, settings, outlook, rising())
    ran = run(controller, bodies, seed)
    return worth_GB[ran.gait_N, np.arange(len(bodies))], ran


def without_library(kind: str, some: Library, seed: int, trials: int = 10) -> Floats:
    """Give what the best gait of ten trials is worth on each body, without forecasts, (B,)."""
    bodies = [Body.parse(text) for text in BODIES.values()]
    draw, count = np.random.default_rng(seed), len(bodies)
    motors, known_GP = CHEETAH.motors, some.gait_GP.double().numpy()
    first_NP = known_GP[[int(some.mean_GB[:, 0].argmax())] * count]

    def propose(trial: int, best_NP: Floats, best_N: Floats) -> Floats:
        del best_N
        if kind == "random gaits of the library":
            return known_GP[draw.integers(len(known_GP), size=count)]
        if kind == "from scratch":
            return seeds(count, motors, draw)
        return children(best_NP, best_NP, Variation(), draw) if trial else first_NP

    return worth(sought(propose, bodies, trials, seed), Rhythms(CHEETAH), bodies, 900 + seed)


def rows(seeds_told: Sequence[int]) -> dict[str, list[Floats]]:
    """Give each row's worth on each body, for each seed."""
    over, ways = library(GAITS), library(WAYS)
    over_GB, ways_GB = worth_of_all(over, seeds_told), worth_of_all(ways, seeds_told)
    first, count = int(over.mean_GB[:, 0].argmax()), len(BODIES)
    told: dict[str, list[Floats]] = {"best gait of the intact body": [over_GB[first]]}
    best_B = over_GB.argmax(0)
    wrong = [over_GB[np.roll(best_B, turn), np.arange(count)] for turn in range(1, count)]
    told["wrong context: best gait of another body"] = [np.mean(wrong, 0)]
    for kind in ("random gaits of the library", "from scratch", "online fine-tuning of the gait"):
        told[f"{kind}, 10 trials"] = [without_library(kind, over, seed) for seed in seeds_told]
    plain, trial = OutlookSettings(own=1.0, noise=0.15, shared=0.0), TrialSettings()
    ran = [by_trials(ways, ways_GB, trial, plain, seed)[0] for seed in seeds_told]
    told["gaits of the intact body, forecasts by likeness (2015), 10 trials"] = ran
    for most in COUNTS:
        some = replace(trial, most=most, kept=max(trial.kept, most + 1))
        ran = [by_trials(over, over_GB, some, OutlookSettings(), seed)[0] for seed in seeds_told]
        told[f"ours, {most} trials"] = ran
    told["told the truth: the library's best"] = [over_GB.max(0)]
    told["library of the intact body: its best"] = [ways_GB.max(0)]
    return told


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table, and write it."""
    told = rows(seeds)
    best_B = told["told the truth: the library's best"][0]
    lines, kept = [], {}
    for name, each in told.items():
        mean_B = np.mean(each, 0)
        share_B = mean_B / best_B
        spread = float(np.std([one.mean() for one in each]))
        kept[name] = {
            "reward a step": round(float(mean_B.mean()), 3),
            "deviation over seeds": round(spread, 3),
            "share of the library's best": round(float(mean_B.mean() / best_B.mean()), 3),
            "bodies at 80 %": int((share_B >= BAR).sum()),
            "by body": dict(zip(BODIES, mean_B.round(3).tolist(), strict=True)),
        }
        share, at = mean_B.mean() / best_B.mean(), kept[name]["bodies at 80 %"]
        lines.append(
            f"| {name} | {mean_B.mean():.2f} ± {spread:.2f} | {100 * share:.0f} %"
            f" | {at} of {len(BODIES)} |"
        )
    print("| | reward a step | share of the library's best | bodies at 80 % of it |")
    print("|---|---|---|---|")
    print("\n".join(lines))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
