"""Trains what drives a robot that runs: policies, and the model of its own motors.

The work is counted in steps of simulation, so that a seed gives the same on every machine; seconds
are turned into steps by nominal rates. Bodies are drawn from the family's training split alone.

Shapes: N robots, T steps, O observations, A actions.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agent.control.context_policy import Policies
from agent.control.forward import Forward, fit
from agent.control.gains import Through, likelihood
from agent.control.policy import Actor
from agent.control.selfmodel import SelfModel, SelfSettings
from agent.control.suspicion import Steps, fitted, slopes
from agent.control.tail import Tail
from agent.nets.body import seeded
from agent.robot.ars import Search
from agent.robot.babble import babble, risen
from agent.robot.ppo import actor_of, train
from agent.robot.ppo_drill import Drill, gains
from agent.robot.runner import Runner
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet
from envs.robots import ROBOTS

DRAWN = "drawn from the family's training split"
CALM = 400  # steps, at least, of robots that show how much evidence there is where nothing changes


def pool(runner: Runner, seed: int) -> list[Body]:
    """Draw the bodies that policies are trained on."""
    draw = np.random.default_rng(seed)
    intact = round(runner.pool * runner.intact)
    family = FAMILIES[runner.robot]
    return [Body()] * intact + [family.draw("train", draw) for _ in range(runner.pool - intact)]


def least(runner: Runner, seed: int) -> Tensor:
    """Give the smallest size of each motor's gain among the bodies of training."""
    rows = [gains(body, ROBOTS[runner.robot].actuators) for body in pool(runner, seed)]
    least_A = torch.tensor(rows).abs().amin(0)
    return torch.minimum(least_A, runner.across(least_A))


def train_robust(runner: Runner, seconds: float, seed: int, say: Say) -> Made:
    """Train the policy that is told nothing, on all training bodies, inverted motors among them."""
    return _policy(runner, seconds, seed, say, told=False)


def train_told(runner: Runner, seconds: float, seed: int, say: Say) -> Made:
    """Train the policy that is told the sizes of gains, and lives through motors turned round."""
    tensors, card = _policy(runner, seconds, seed, say, told=True)
    told = {**card, "trained on": f"{card['trained on']}, signs set right"}
    return {**tensors, "least_A": least(runner, seed)}, told


def _policy(runner: Runner, seconds: float, seed: int, say: Say, *, told: bool) -> Made:
    bodies, updates = pool(runner, seed), runner.updates(seconds)
    card: dict[str, Any] = {"trained on": DRAWN, "steps": updates * runner.steps()}
    if runner.ppo is None:
        search = Search(runner.robot, bodies, runner.ars, seed, runner.angles, told=told)
        late = float(np.mean(search.run(updates, say)[-max(1, updates // 10) :]))
        own = search.actor.state_dict()
        tensors = {f"actor.{name}": one.clone() for name, one in own.items()}
        return tensors, {**card, "reward a step, at the end": round(late, 3)}
    settings = runner.drill if told else replace(runner.drill, told=False, moment=0.0)
    drill = Drill(runner.robot, bodies, settings, seed, runner.angles, sight=runner.sight)
    with seeded(seed):
        actor = runner.actor(drill.context, runner.ppo.hidden) if runner.actor else None
    done = train(drill, updates, runner.ppo, seed, say, actor=actor)
    return done.tensors, {**card, "reward a step, at the end": round(done.late, 3)}


def policies(
    runner: Runner, robust: Actor | None, known: Mapping[tuple[int, ...], Actor] | None = None
) -> Policies:
    """Join the policy that is told gains with those that act where it does not."""
    tensors = shipped(f"{runner.part}-told")
    least_A, sight = tensors["least_A"], runner.sight
    return Policies(actor_of(tensors), robust, known or {}, least_A=least_A, sight=sight)


def train_self(runner: Runner, seconds: float, seed: int, say: Say) -> Made:
    """Fit the model of the intact body; measure what evidence there is where nothing changes."""
    actor = actor_of(shipped(f"{runner.part}-told"))
    moves = babble(runner.robot, actor, runner.babble, seed, runner.sight)
    with seeded(seed):
        model = Forward(moves[0].shape[1], moves[1].shape[1], runner.angles)
    draw = torch.Generator().manual_seed(seed)
    wrong = fit(model, moves, runner.fit(seconds), draw)
    say(f"{len(moves[0])} transitions, mean squared error {wrong:.4f}")
    tail = usual(runner, model, actor, seed + 1, steps=max(CALM, runner.babble.episode))
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
def usual(
    runner: Runner, model: Forward, actor: Actor, seed: int, robots: int = 128, steps: int = CALM
) -> Tail:
    """Measure the evidence for other bodies on robots that stay intact."""
    through, settings = Through(model, runner.tells), SelfSettings(jump=1e9)
    own = SelfModel(through, settings)
    fleet = Fleet(runner.robot, [Body()] * robots, seed=seed)
    state, obs, kept = own.begin(robots), torch.from_numpy(fleet.reset()), list[Tensor]()
    sight = runner.sight
    told_NC = torch.zeros(robots, actor.context)
    for step in range(steps):
        action = actor(sight(obs, torch.full((robots,), step)), told_NC).clamp(-1, 1)
        seen_NO, _, down_N = fleet.step(action.numpy())
        next_NF = sight.felt(torch.from_numpy(seen_NO))
        state, _ = own.learn(state, sight.felt(obs), action, next_NF)
        some = Steps(state["obs"], state["action"], state["next"], state["seen"])
        present = torch.ones_like(state["gain"]), torch.ones(robots)
        around = slopes(through, some, present[0])
        sure_NW = likelihood(around.error_XD, around.log_XD)
        tried = fitted(through, some, (around, sure_NW), present, settings.suspicion)
        kept.append(torch.stack([one.evidence_N for one in tried]))
        obs = torch.from_numpy(risen(fleet, seen_NO, down_N))
        if fleet.robot.falls:
            state = own.forget_steps(state, torch.from_numpy(down_N))
    return Tail.measured(torch.cat(kept[10:], 1))


def selfmodel(
    runner: Runner, tensors: Mapping[str, Tensor], settings: SelfSettings | None = None
) -> SelfModel:
    """Build the self-model that `train_self` gave."""
    mark = "model."
    own = {name[len(mark) :]: one for name, one in tensors.items() if name.startswith(mark)}
    chance, scale, *at = tensors["tail"].tolist()
    tail = Tail(tuple(at), chance, scale)
    return SelfModel(Through(Forward.of(own), runner.tells), settings, tail)
