"""Trains getting up: a policy that is told the sizes of gains, on robots that lie on their back.

It is drilled like the one that runs, from nothing: what runs has never been on its back, and does
not find its way from there. Bodies are drawn from the family's training split, and of its list
those whose thighs are dead come more often, since without a thigh getting up is hardest.

Shapes: N robots, A actions.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from agent.control.gains import signs
from agent.control.gaits import Layout
from agent.control.getup import GetUp, RisePolicy
from agent.control.trials import Rise
from agent.robot import train_runner
from agent.robot.ppo import PpoSettings, actor_of, train
from agent.robot.ppo_drill import Drill, DrillSettings, Stepped, gains
from agent.robot.runner import CHEETAH
from agent.robot.train_getup import GetUpTraining, laid, risen_at
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.families import FAMILIES
from envs.robots import ROBOTS

UPRIGHT: Final = 3.0  # what the cosine of the pitch is worth, a step
RUNNING: Final = 0.5  # what a reward of the task is worth, where it is up
UP: Final = 0.5  # cosine of the pitch from which on a robot is up
LIES: Final = 0.9  # share of the robots that begin on their back
HARD: Final = ("dead:bthigh", "dead:fthigh")  # of the family's list of training bodies
OFTEN: Final = 24  # times that each of them comes, beside 128 that are drawn


class Laid(Drill):
    """Robots that begin on their back, and are rewarded for being upright; all as in `Drill`."""

    def __init__(self, of: GetUpTraining, settings: DrillSettings, seed: int) -> None:
        bodies = train_runner.pool(CHEETAH, seed) + [Body.parse(one) for one in HARD] * OFTEN
        least_A = shipped("half-cheetah-told")["least_A"]
        super().__init__(of.robot, bodies, settings, seed, CHEETAH.angles, least_A)
        self._of = of
        self._lay(np.arange(self.robots))

    @override
    def step(self, action_NA: Tensor) -> Stepped:
        """Go one step; give what is earned for being upright, and for running then."""
        now = super().step(action_NA)
        cosine_N = now.last.obs[:, self._of.layout.pitch].cos()
        runs_N = RUNNING * now.reward_N.clamp(-1, 10) * (cosine_N > UP)
        return now._replace(reward_N=UPRIGHT * cosine_N + runs_N)

    @override
    def _again(self, ids: NDArray[np.int64]) -> None:
        super()._again(ids)
        self._lay(ids)

    def _lay(self, ids: NDArray[np.int64]) -> None:
        """Turn most of these robots on their back, more or less, from where they stand."""
        state, count = self._fleet.state(), len(ids)
        lies = self._draw.random(count) < LIES
        side = self._draw.choice([-1.0, 1.0], count)
        roll = side * (np.pi + self._draw.uniform(-1.0, 1.0, count)) * lies
        physics = state["physics"].astype(np.float64)
        seen = state["observations"].astype(np.float32)
        height, pitch = self._of.place
        physics[ids, pitch] += roll
        physics[ids, height] += self._draw.uniform(-0.2, 0.2, count)
        seen[ids, self._of.layout.pitch] += roll
        self._fleet.restore({**state, "physics": physics, "observations": seen})
        self._obs_NO = seen


def train_rise(of: GetUpTraining, seconds: float, seed: int, say: Say) -> Made:
    """Train the policy that gets up; its card says how often it does, beside the rhythms' card."""
    settings = DrillSettings(episode=100, change=0.0, moment=0.0)
    drill = Laid(of, settings, seed)
    done = train(drill, CHEETAH.updates(seconds, settings), PpoSettings(), seed, say)
    mark = "actor."
    tensors = {name: one for name, one in done.tensors.items() if name.startswith(mark)}
    tensors["least_A"] = shipped("half-cheetah-told")["least_A"]
    told = {
        "trained on": "the family's training split, dead thighs more often, laid on their back",
        "judged": judged(risen(tensors, of.layout), of, seed + 3),
    }
    return tensors, told


def risen(
    tensors: Mapping[str, Tensor], layout: Layout, otherwise: GetUp | None = None
) -> RisePolicy:
    """Build what `train_rise` gave; `otherwise` takes turns with it."""
    return RisePolicy(actor_of(tensors), layout, tensors["least_A"], otherwise)


def judged(
    rise: RisePolicy, of: GetUpTraining, seed: int, robots: int = 256
) -> Mapping[str, float]:
    """Give the shares of robots that are up within 2 s and 5 s, told their true gains."""
    draw, family = np.random.default_rng(seed), FAMILIES[of.robot]
    kinds = {
        "intact": [Body()] * robots,
        **{body: [Body.parse(body)] * robots for body in HARD},
        "training": [family.draw("train", draw) for _ in range(robots)],
        "validation": [family.draw("validation", draw) for _ in range(robots)],
    }
    found: dict[str, float] = {}
    for name, bodies in kinds.items():
        gain_NA = torch.tensor([gains(one, ROBOTS[of.robot].actuators) for one in bodies])
        fleet = laid(of, bodies, seed)
        at_N = risen_at(of.layout, fleet, _through(rise, gain_NA), round(5 / of.layout.dt))
        for limit in (2, 5):
            share = float((at_N * of.layout.dt <= limit).mean())
            found[f"{name}, up within {limit} s"] = round(share, 3)
    return found


def _through(rise: RisePolicy, gain_NA: Tensor) -> Rise:
    return lambda obs_NO, down_N: rise(obs_NO, down_N, gain_NA) * signs(gain_NA)
