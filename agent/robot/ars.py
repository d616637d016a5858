"""Augmented random search (Mania et al. 2018, Simple random search of static linear policies).

    theta' = theta + a / (b s) sum_k (r(theta + v d_k) - r(theta - v d_k)) d_k

over the b best of D directions d_k, with s the deviation of their returns. For robots that policy
gradients leave in a poor optimum: Swimmer's strokes pay only later than a discount can see.

Every robot of a fleet has weights of its own; both signs of a direction are tried on one body.

Shapes: D directions, N = 2 D robots, O observations, C context, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from agent.control.gains import sizes
from agent.control.policy import Actor
from agent.nets.body import seeded
from agent.robot.ppo import Say, Scales
from agent.robot.ppo_drill import gains
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS


@dataclass(frozen=True, slots=True)
class ArsSettings:
    """How a policy is searched for.

    Args:
        directions: D, of a round.
        best: b, directions that count.
        step: a, size of a step.
        noise: v, standard deviation of what is added to weights.
        episode: steps of a trial.
        hidden: widths of the policy's layers between; none: it is linear.
        blur: standard deviation of what is wrong with the gains that the policy is told.
    """

    directions: int = 32
    best: int = 16
    step: float = 0.4
    noise: float = 0.4
    episode: int = 250
    hidden: tuple[int, ...] = ()
    blur: float = 0.05

    def __post_init__(self) -> None:
        for name in ("directions", "best", "step", "noise", "episode"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0")
        if self.best > self.directions:
            raise ValueError(f"best is {self.best}; give {self.directions} at most, all directions")

    @property
    def steps(self) -> int:
        """Steps of simulation in a round."""
        return 2 * self.directions * self.episode


class Search:
    """A policy that is searched for.

    Args:
        robot: name of the robot.
        bodies: that are drawn from, each as likely as another.
        settings: how.
        seed: of all that is drawn.
        angles: columns of an observation that are angles.
        told: whether the policy is told the sizes of gains, and signs are set right for it.
    """

    def __init__(
        self,
        robot: str,
        bodies: Sequence[Body],
        settings: ArsSettings,
        seed: int,
        angles: tuple[int, ...] = (),
        *,
        told: bool,
    ) -> None:
        kind = ROBOTS[robot]
        self._settings, self._told, self._bodies = settings, told, bodies
        self._gain_MA = torch.tensor([gains(body, kind.actuators) for body in bodies])
        self._draw, self._chance = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self._fleet = Fleet(robot, [Body()] * 2 * settings.directions, seed=seed)
        self._scales = Scales()
        with seeded(seed):
            context = kind.actions if told else 0
            shape = kind.observations, kind.actions, context, angles
            self.actor = Actor(*shape, settings.hidden).requires_grad_(requires_grad=False)

    def run(self, rounds: int, say: Say) -> list[float]:
        """Search for so many rounds; give the mean reward a step of each."""
        rewards: list[float] = []
        for one in range(rounds):
            rewards.append(self._round())
            if one % 10 == 0 or one == rounds - 1:
                say(f"round {one} of {rounds}: {rewards[-1]:.3f} a step")
        return rewards

    def _round(self) -> float:
        settings = self._settings
        center: dict[str, Tensor] = dict(self.actor.net.named_parameters())
        tried = {
            name: torch.randn((settings.directions, *one.shape), generator=self._chance)
            for name, one in center.items()
        }
        weights = {
            name: torch.cat(
                [one + settings.noise * tried[name], one - settings.noise * tried[name]]
            )
            for name, one in center.items()
        }
        up_D, down_D = self._tried(weights).chunk(2)
        best = torch.maximum(up_D, down_D).topk(settings.best).indices
        size = torch.cat([up_D[best], down_D[best]]).std().clamp(min=1e-6)
        gain_b = (up_D[best] - down_D[best]) / size
        for name, one in center.items():
            way = torch.einsum("b,b...->...", gain_b, tried[name][best])
            one.add_(way, alpha=settings.step / settings.best)
        self._scales.tell(self.actor)
        return float(torch.cat([up_D, down_D]).mean())

    def _tried(self, weights: dict[str, Tensor]) -> Tensor:
        """Give the reward a step of each robot under weights of its own, (N)."""
        which_D = self._draw.integers(len(self._bodies), size=self._settings.directions)
        which_N = np.concatenate([which_D, which_D])
        models = [replace(self._bodies[one], gear={}) for one in which_N]
        self._fleet.embody(range(len(models)), models)
        gain_NA = self._gain_MA[torch.from_numpy(which_N)].float()
        context_NC = self._context(gain_NA)
        obs_NO, kept = self._fleet.reset(), list[Tensor]()
        total_N = torch.zeros(len(which_N))
        for _ in range(self._settings.episode):
            obs = torch.from_numpy(obs_NO)
            kept.append(obs)
            action_NA = self._acted(weights, obs, context_NC).clamp(-1, 1)
            done_NA = action_NA * (gain_NA.abs() if self._told else gain_NA)
            obs_NO, reward_N, _ = self._fleet.step(done_NA.numpy())
            total_N += torch.from_numpy(reward_N)
        self._scales.see(torch.cat(kept))
        return total_N / self._settings.episode

    def _context(self, gain_NA: Tensor) -> Tensor:
        blur_DA = torch.randn(gain_NA.chunk(2)[0].shape, generator=self._chance)
        told_NA = gain_NA + self._settings.blur * torch.cat([blur_DA, blur_DA])
        return sizes(told_NA)[:, : self.actor.context]

    def _acted(self, weights: dict[str, Tensor], obs_NO: Tensor, context_NC: Tensor) -> Tensor:
        x_NS = torch.cat([self.actor.senses(obs_NO), context_NC], 1)
        acted: Tensor = vmap(lambda own, x: functional_call(self.actor.net, own, (x,)))(
            weights, x_NS
        )
        return acted
