"""Trains what drives HalfCheetah: policies, specialists for dead motors, the model of itself.

The work is counted in steps of simulation, so that a seed gives the same on every machine; seconds
are turned into steps by nominal rates. Bodies are drawn from the family's training split alone;
specialists are trained in simulation of the body that the self-model would identify.

Shapes: N robots, T steps, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
import torch
from torch import Tensor

from agent.control.context_policy import Policies
from agent.control.forward import FitSettings, Forward, fit
from agent.control.gains import Through, likelihood
from agent.control.policy import Actor
from agent.control.selfmodel import SelfModel, SelfSettings
from agent.control.suspicion import Steps, fitted, slopes
from agent.control.tail import Tail
from agent.nets.body import seeded
from agent.robot.babble import BabbleSettings, babble
from agent.robot.ppo import PpoSettings, Trained, actor_of, train
from agent.robot.ppo_drill import Drill, DrillSettings, gains
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet
from envs.robots import ROBOTS

ROBOT: Final = "HalfCheetah"
ANGLES: Final = (1,)  # the trunk's pitch
TELLS: Final = tuple(range(8, 17))  # velocities
SIMULATED: Final = 13_000  # steps of a policy's training that a second of one core is taken for
FITTED: Final = 280  # steps of a model's fit, likewise
POOL: Final = 128  # bodies of a policy's training
INTACT: Final = 0.3  # share of them that is intact

EASY: Final[Mapping[tuple[int, ...], float]] = {
    (0,): 0.4,
    (2,): 0.4,
    (5,): 0.4,
}  # share of the work for motors missed the least
PAIRS: Final = ((0, 3), (1, 4))  # of motors that are dead together, for which there are specialists


def pool(seed: int) -> list[Body]:
    """Draw the bodies that policies are trained on."""
    draw = np.random.default_rng(seed)
    intact = round(POOL * INTACT)
    family = FAMILIES[ROBOT]
    return [Body()] * intact + [family.draw("train", draw) for _ in range(POOL - intact)]


def least(seed: int) -> Tensor:
    """Give the smallest size of each motor's gain among the bodies of training."""
    rows = [gains(body, ROBOTS[ROBOT].actuators) for body in pool(seed)]
    return torch.tensor(rows).abs().amin(0)


def train_robust(seconds: float, seed: int, say: Say) -> Made:
    """Train the policy that is told nothing, on all training bodies, inverted motors among them."""
    settings = DrillSettings(told=False, moment=0.0)
    drill = Drill(ROBOT, pool(seed), settings, seed, ANGLES)
    done = train(drill, updates(seconds, settings), PpoSettings(), seed, say)
    return _kept(done, seconds, settings, "drawn from the family's training split")


def train_told(seconds: float, seed: int, say: Say) -> Made:
    """Train the policy that is told the sizes of gains, and lives through motors turned round."""
    settings = DrillSettings()
    drill = Drill(ROBOT, pool(seed), settings, seed, ANGLES)
    done = train(drill, updates(seconds, settings), PpoSettings(), seed, say)
    tensors, told = _kept(
        done, seconds, settings, "drawn from the family's training split, signs set right"
    )
    return {**tensors, "least_A": least(seed)}, told


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
    drill = Drill(ROBOT, [body], settings, seed, ANGLES, start["least_A"])
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
    tensors = shipped("half-cheetah-told")
    return Policies(actor_of(tensors), robust, known, least_A=tensors["least_A"])


def train_self(seconds: float, seed: int, say: Say) -> Made:
    """Fit the model of the intact body; measure what evidence there is where nothing changes."""
    actor = actor_of(shipped("half-cheetah-told"))
    moves = babble(ROBOT, actor, BabbleSettings(), seed)
    with seeded(seed):
        model = Forward(moves[0].shape[1], moves[1].shape[1], ANGLES)
    settings = FitSettings(steps=max(100, round(seconds * FITTED)))
    draw = torch.Generator().manual_seed(seed)
    wrong = fit(model, moves, settings, draw)
    say(f"{len(moves[0])} transitions, mean squared error {wrong:.4f}")
    tail = usual(model, actor, seed + 1)
    tensors = {f"model.{name}": one for name, one in model.state_dict().items()}
    tensors["tail"] = torch.tensor([tail.chance, tail.scale, *tail.at])
    told = {
        "trained on": "the intact body alone",
        "transitions": len(moves[0]),
        "mean squared error": round(wrong, 4),
        "evidence, where nothing changes": f"{tail.chance:g} of steps above"
        f" {', '.join(f'{one:.1f}' for one in tail.at)} nats; tail of {tail.scale:.2f}",
    }
    return tensors, told


@torch.no_grad()
def usual(model: Forward, actor: Actor, seed: int, robots: int = 128, steps: int = 400) -> Tail:
    """Measure the evidence for other bodies on robots that stay intact."""
    through, settings = Through(model, TELLS), SelfSettings(jump=1e9)
    own = SelfModel(through, settings)
    fleet = Fleet(ROBOT, [Body()] * robots, seed=seed)
    state, obs, kept = own.begin(robots), torch.from_numpy(fleet.reset()), list[Tensor]()
    told_NC = torch.zeros(robots, actor.context)
    for _ in range(steps):
        action = actor(obs, told_NC).clamp(-1, 1)
        after = torch.from_numpy(fleet.step(action.numpy())[0])
        state, _ = own.learn(state, obs, action, after)
        some = Steps(state["obs"], state["action"], state["next"], state["seen"])
        present = torch.ones_like(state["gain"]), torch.ones(robots)
        around = slopes(through, some, present[0])
        sure_NW = likelihood(around.error_XD, around.log_XD)
        tried = fitted(through, some, (around, sure_NW), present, settings.suspicion)
        kept.append(torch.stack([one.evidence_N for one in tried]))
        obs = after
    return Tail.measured(torch.cat(kept[10:], 1))


def selfmodel(tensors: Mapping[str, Tensor], settings: SelfSettings | None = None) -> SelfModel:
    """Build the self-model that `train_self` gave."""
    mark = "model."
    own = {name[len(mark) :]: one for name, one in tensors.items() if name.startswith(mark)}
    chance, scale, *at = tensors["tail"].tolist()
    tail = Tail(tuple(at), chance, scale)
    return SelfModel(Through(Forward.of(own), TELLS), settings, tail)


def updates(seconds: float, settings: DrillSettings) -> int:
    """Give the updates that take so many seconds, about."""
    return max(1, round(seconds * SIMULATED / (settings.robots * PpoSettings().horizon)))


def _actor(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    mark = "actor."
    return {name[len(mark) :]: one for name, one in tensors.items() if name.startswith(mark)}


def _kept(done: Trained, seconds: float, settings: DrillSettings, bodies: str) -> Made:
    steps = updates(seconds, settings) * settings.robots * PpoSettings().horizon
    told = {"trained on": bodies, "steps": steps, "reward a step, at the end": round(done.late, 3)}
    return done.tensors, told
