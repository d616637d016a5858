"""Ant's trot: seven numbers, found by the cross-entropy method (Rubinstein 1999) on intact ants.

    P ~ Normal(m, s);  m <- m + k (mean of the best - m);  s likewise, with the best's deviation

Shapes: N trots tried at once, S senses, P numbers of a trot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from agent.control.crawl import Crawler, TrunkSight
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.fleet import Fleet

ROBOT: Final = "Ant"
PART: Final = "ant-trot"
# swing, lift, bend, lag, stiff, damp, steer: where the search begins, and how far it looks about
MIDDLE: Final = (0.4, 0.3, 0.9, 0.0, 1.0, 0.1, 1.0)
ABOUT: Final = (0.2, 0.2, 0.2, 1.5, 0.6, 0.08, 1.0)


@dataclass(frozen=True, slots=True)
class TrotSettings:
    """How a trot is searched for.

    Args:
        tried: N, of a round.
        best: how many of them count.
        episode: steps that each has.
        keen: k, share by which middle and deviation follow the best.
        least: deviation of each number that is left at least.
        simulated: steps of simulation that a second of one core is taken for.
    """

    tried: int = 64
    best: int = 12
    episode: int = 160
    keen: float = 0.7
    least: float = 0.01
    simulated: int = 7_000

    def __post_init__(self) -> None:
        for name in ("tried", "best", "episode", "simulated"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.best > self.tried:
            raise ValueError(f"best is {self.best}; give {self.tried} at most, all that are tried")


def search(rounds: int, settings: TrotSettings, seed: int, say: Say) -> tuple[Tensor, float]:
    """Give the trot, (P), and the reward a step of the last round's best."""
    draw = np.random.default_rng(seed)
    middle_P, about_P, worth = np.array(MIDDLE), np.array(ABOUT), 0.0
    for one in range(rounds):
        drawn_NP = middle_P + about_P * draw.standard_normal((settings.tried, len(middle_P)))
        trot_NP = torch.from_numpy(drawn_NP).float()
        reward_N = earned(trot_NP, settings.episode, seed + one).numpy()
        best_N = np.argsort(-reward_N, kind="stable")[: settings.best]
        best_NP, worth = trot_NP.numpy()[best_N].astype(np.float64), float(reward_N[best_N].mean())
        middle_P += settings.keen * (best_NP.mean(0) - middle_P)
        about_P += settings.keen * (best_NP.std(0) + settings.least - about_P)
        say(f"round {one} of {rounds}: {worth:.2f} a step, of the best")
    return torch.from_numpy(middle_P).float(), worth


def earned(trot_NP: Tensor, episode: int, seed: int, sight: TrunkSight | None = None) -> Tensor:
    """Give the reward a step of each trot on an intact ant, (N); nothing after a fall."""
    sight, robots = sight or TrunkSight(), len(trot_NP)
    fleet = Fleet(ROBOT, [Body()] * robots, seed=seed)
    actor = Crawler.alone(trot_NP)
    obs_NO, total_N = torch.from_numpy(fleet.reset()), torch.zeros(robots)
    up_N = torch.ones(robots, dtype=torch.bool)
    for step in range(episode):
        action_NA = actor(sight(obs_NO, torch.full((robots,), step))).clamp(-1, 1)
        seen_NO, reward_N, down_N = fleet.step(action_NA.numpy())
        up_N &= ~torch.from_numpy(down_N)
        total_N += torch.where(up_N, torch.from_numpy(reward_N), 0.0)
        obs_NO = torch.from_numpy(seen_NO)
    return total_N / episode


def train_trot(seconds: float, seed: int, say: Say) -> Made:
    """Search for about so many seconds."""
    settings = TrotSettings()
    steps = settings.tried * settings.episode
    rounds = max(1, round(seconds * settings.simulated / steps))
    trot_P, worth = search(rounds, settings, seed, say)
    told = {"trained on": "the intact body alone", "steps": rounds * steps,
            "reward a step, at the end": round(worth, 3)}  # fmt: skip
    return {"trot_P": trot_P}, told


def crawler(context: int, hidden: Sequence[int]) -> Crawler:
    """Build an actor that begins with the shipped trot; build it under `seeded`."""
    return Crawler(context, hidden, shipped(PART)["trot_P"])
