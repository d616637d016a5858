"""Drives a robot by policies that act through its self-model.

Commands to motors that turn the other way are turned round, and the policy is told how strong each
motor is. Where the self-model is not to be trusted, a policy that is told nothing acts instead, and
commands are turned round only where that is plain. For dead motors there may be specialists.

Shapes: N robots, O observations, A actions, K specialists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agent.control.acquaintance import EMPTY
from agent.control.controller import Noticed
from agent.control.gains import signs, sizes
from agent.control.guard import GuardSettings, trusted
from agent.control.policy import Actor, Bank
from agent.control.selfmodel import SelfModel
from agent.learners.base import State

CLEARLY = 0.5  # a gain below minus this is of a motor turned round, however odd the rest is


@dataclass(frozen=True, slots=True)
class Policies:
    """Who acts.

    Args:
        told: acts on the sizes of gains.
        robust: told nothing; acts where `told` is not to be trusted. None: `told` always acts.
        specialists: motors that are dead -> who acts then; shaped like `told`.
        dead: a gain of this size or less is a dead motor's.
        least_A: smallest sizes of gains that `told` was trained on; none is told smaller.
    """

    told: Actor
    robust: Actor | None = None
    specialists: Mapping[tuple[int, ...], Actor] = field(default_factory=dict)
    dead: float = 0.15
    least_A: Tensor | None = None


class ThroughSelf:
    """A controller; see `agent.control.controller`.

    Args:
        policies: who acts.
        model: what follows the bodies.
        guard: when the robust policy takes over.
        actuators: names of the motors, for people.
    """

    def __init__(
        self,
        policies: Policies,
        model: SelfModel,
        guard: GuardSettings | None = None,
        actuators: Sequence[str] = (),
    ) -> None:
        self.policies, self.model = policies, model
        self.guard = guard or GuardSettings()
        self.actuators = tuple(actuators) or tuple(map(str, range(policies.told.actions)))
        self._bank = Bank([policies.told, *policies.specialists.values()])

    def begin(self, robots: int) -> State:
        """Give the state of intact robots."""
        return self.model.begin(robots)

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions (N, A)."""
        del draw
        gain_NA = state["gain"]
        context_NA = sizes(gain_NA, self.policies.least_A)
        wanted_NA = self._bank(obs_NO, context_NA, self._who(gain_NA))
        action_NA = wanted_NA.clamp(-1, 1) * signs(gain_NA)
        if self.policies.robust is not None:
            trusted_N = trusted(gain_NA, state["odd"], self.guard)
            plain_NA = self.policies.robust(obs_NO).clamp(-1, 1) * signs(gain_NA, CLEARLY)
            action_NA = torch.where(trusted_N.unsqueeze(1), action_NA, plain_NA)
        return state, action_NA

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Take in what a step did."""
        after, told = self.model.learn(state, obs_NO, action_NA, next_NO)
        gains = after["gain"].tolist()
        belief = [
            {f"gain {name}": gain for name, gain in zip(self.actuators, one, strict=True)}
            for one in gains
        ]
        bodies = (after["used"] != EMPTY).sum(1).tolist()
        number_N = self.model.number(after)
        return after, Noticed(told.surprise_N, told.change, number_N, bodies, belief)

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Begin a new episode: the last steps go, bodies stay."""
        return self.model.forget_steps(state, fresh_N)

    def _who(self, gain_NA: Tensor) -> Tensor:
        """Give for each robot its place in the bank: a specialist's where its motors are dead."""
        who_N = torch.zeros(len(gain_NA), dtype=torch.int64)
        dead_NA = gain_NA.abs() <= self.policies.dead
        for place, motors in enumerate(self.policies.specialists, start=1):
            wanted_A = torch.zeros(gain_NA.shape[1], dtype=torch.bool)
            wanted_A[list(motors)] = True
            who_N[(dead_NA == wanted_A).all(1)] = place
        return who_N


class Plain:
    """Drives robots by a policy that is told nothing and learns nothing; the robust baseline.

    Args:
        actor: acts; has no context.
    """

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def begin(self, robots: int) -> State:
        """Count steps, which is all that there is to a state."""
        return {"steps": torch.zeros(robots, dtype=torch.int64)}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions."""
        del draw
        return {"steps": state["steps"] + 1}, self.actor(obs_NO).clamp(-1, 1)

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Take nothing in."""
        del obs_NO, action_NA
        robots = len(next_NO)
        none_N = torch.zeros(robots)
        return state, Noticed(none_N, [""] * robots, none_N.long(), [1] * robots)

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Keep the state."""
        del fresh_N
        return state
