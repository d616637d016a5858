"""Trains what drives HalfCheetah: policies, specialists for dead motors, the model of itself.

The work is counted in steps of simulation, so that a seed gives the same on every machine; seconds
are turned into steps by nominal rates. Bodies are drawn from the family's training split alone;
specialists are trained in simulation of the body that the self-model would identify.

Shapes: N robots, T steps, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from torch import Tensor

from agent.control.context_policy import Policies
from agent.control.policy import Actor
from agent.control.selfmodel import SelfModel, SelfSettings
from agent.robot import train_runner
from agent.robot.ppo import PpoSettings, Trained, train
from agent.robot.ppo_drill import Drill, DrillSettings
from agent.robot.runner import CHEETAH
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.robots import ROBOTS

ROBOT: Final = CHEETAH.robot

EASY: Final[Mapping[tuple[int, ...], float]] = {
    (0,): 0.4,
    (2,): 0.4,
    (5,): 0.4,
}  # share of the work for motors missed the least
PAIRS: Final = ((0, 3), (1, 4))  # of motors that are dead together, for which there are specialists


def pool(seed: int) -> list[Body]:
    """Draw the bodies that policies are trained on."""
    return train_runner.pool(CHEETAH, seed)


def train_dead(seconds: float, seed: int, say: Say) -> Made:
    """Train a specialist for each dead motor and some pairs, from the policy that is told gains."""
    start, tensors, late = shipped("half-cheetah-told"), dict[str, Tensor](), dict[str, float]()
    shares = {motors: EASY.get(motors, 1.5 if len(motors) == 1 else 1.0) for motors in dead_sets()}
    for motors, share in shares.items():
        say(f"dead: {' '.join(named(motors))}")
        part = share / sum(shares.values())
        done = specialist(motors, seconds * part, seed, say, start)
        late["+".join(named(motors))] = round(done.late, 3)
        mark = "-".join(map(str, motors))
        tensors |= {f"{mark}/{name}": one for name, one in _actor(done.tensors).items()}
    return tensors, {"trained on": "simulations of the identified bodies", "reward a step": late}


def specialist(
    motors: Sequence[int], seconds: float, seed: int, say: Say, start: Mapping[str, Tensor]
) -> Trained:
    """Go on training a policy in simulation of the body whose motors are dead."""
    body = Body(gear=dict.fromkeys(named(motors), 0.0))
    settings = DrillSettings(change=0.0, moment=1 / 400)
    drill = Drill(ROBOT, [body], settings, seed, CHEETAH.angles, start["least_A"])
    return train(drill, updates(seconds, settings), PpoSettings(), seed, say, start)


def dead_sets() -> list[tuple[int, ...]]:
    """Give the sets of dead motors for which there are specialists."""
    motors = range(len(ROBOTS[ROBOT].actuators))
    return [*combinations(motors, 1), *PAIRS]


def named(motors: Sequence[int]) -> list[str]:
    """Name motors by their numbers."""
    return [ROBOTS[ROBOT].actuators[one] for one in motors]


def specialists(tensors: Mapping[str, Tensor]) -> dict[tuple[int, ...], Actor]:
    """Build the specialists that `train_dead` gave."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, one in tensors.items():
        mark, _, rest = name.partition("/")
        found.setdefault(mark, {})[rest] = one
    return {tuple(map(int, mark.split("-"))): Actor.of(own) for mark, own in found.items()}


def policies(robust: Actor | None, known: Mapping[tuple[int, ...], Actor]) -> Policies:
    """Join the policy that is told gains with those that act where it does not."""
    return train_runner.policies(CHEETAH, robust, known)


def selfmodel(tensors: Mapping[str, Tensor], settings: SelfSettings | None = None) -> SelfModel:
    """Build the self-model that `train_self` gave."""
    return train_runner.selfmodel(CHEETAH, tensors, settings)


def updates(seconds: float, settings: DrillSettings) -> int:
    """Give the updates that take so many seconds, about."""
    return CHEETAH.updates(seconds, settings)


def _actor(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    mark = "actor."
    return {name[len(mark) :]: one for name, one in tensors.items() if name.startswith(mark)}
