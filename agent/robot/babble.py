"""What an intact robot does to get to know itself: transitions of a policy that is disturbed.

Commands are the policy's, with noise; for spans of steps some of them are turned round, silenced or
weakened. So the model of the intact body knows what such commands do before any motor fails.

Shapes: N robots, T steps, B transitions, O observations, F what is felt of them,
A actions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.policy import Actor
from agent.control.sight import Bare, Sight
from envs.body import Body
from envs.fleet import Fleet

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BabbleSettings:
    """How a robot is disturbed.

    Args:
        robots: N.
        steps: T, of each, one third on each size of noise.
        noise: standard deviations of noise on commands.
        span: steps for which some commands stay scaled.
        share: chance that a command is scaled in a span.
        episode: steps between resets.
    """

    robots: int = 128
    steps: int = 1200
    noise: tuple[float, ...] = (0.05, 0.2, 0.5)
    span: int = 20
    share: float = 0.2
    episode: int = 200

    def __post_init__(self) -> None:
        for name in ("robots", "steps", "span", "episode"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")


def babble(
    robot: str, actor: Actor, settings: BabbleSettings, seed: int, sight: Sight | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Give what is felt (B, F), actions (B, A) and changes of what is felt (B, F)."""
    sight = sight or Bare()
    draw = np.random.default_rng(seed)
    fleet = Fleet(robot, [Body()] * settings.robots, seed=seed)
    obs_NO, kept = fleet.reset(), list[tuple[Tensor, Tensor, Tensor]]()
    scale_NA = np.ones((settings.robots, actor.actions))
    for step in range(settings.steps):
        if step and step % settings.episode == 0:
            obs_NO = fleet.reset()
        if step % settings.span == 0:
            scale_NA = _scales(scale_NA.shape, settings.share, draw)
        noise = settings.noise[step * len(settings.noise) // settings.steps]
        obs, tick_N = torch.from_numpy(obs_NO), torch.full((settings.robots,), step)
        told = torch.zeros(len(obs), actor.context)
        wanted_NA = actor(sight(obs, tick_N), told).numpy().clip(-1, 1) * scale_NA
        action_NA = (wanted_NA + noise * draw.standard_normal(wanted_NA.shape)).clip(-1, 1)
        next_NO, _, down_N = fleet.step(action_NA)
        felt = sight.felt(obs)
        change = sight.felt(torch.from_numpy(next_NO)) - felt
        kept.append((felt, torch.from_numpy(np.float32(action_NA)), change))
        obs_NO = risen(fleet, next_NO, down_N)
    obs, action, change = (torch.cat(one) for one in zip(*kept, strict=True))
    return obs, action, change


def risen(
    fleet: Fleet, obs_NO: NDArray[np.float32], down_N: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Let those begin anew whose episode a fall has ended; give what all see then."""
    ended_N = down_N & fleet.robot.falls
    return fleet.reset(np.flatnonzero(ended_N)) if ended_N.any() else obs_NO


def _scales(shape: tuple[int, int], share: float, draw: np.random.Generator) -> Floats:
    chosen = draw.random(shape) < share
    scale: Floats = np.where(chosen, draw.choice([-1.0, 0.0, 0.4], shape), 1.0)
    return scale
