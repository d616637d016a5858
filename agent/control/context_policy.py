"""Drives a robot by policies that act through its self-model.

Commands to motors that turn the other way are turned round, and the policy is told how strong each
motor is. Where the self-model is not to be trusted, a policy that is told nothing acts instead, and
commands are turned round only where that is plain. For dead motors there may be specialists.

Shapes: N robots, O observations, A actions, K specialists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from agent.control.acquaintance import EMPTY
from agent.control.controller import Noticed
from agent.control.gains import signs, sizes
from agent.control.guard import GuardSettings, trusted
from agent.control.policy import Actor, Bank
from agent.control.selfmodel import SelfModel
from agent.control.sight import Bare, Sight
from agent.learners.base import State

CLEARLY = 0.5  # a gain below minus this is of a motor turned round, however odd the rest is


class Rising(Protocol):
    """Gets robots up that have fallen."""

    def fallen(self, obs_NO: Tensor, before_N: Tensor) -> Tensor:
        """Say which are down, of which some were down before."""
        ...

    def __call__(self, obs_NO: Tensor, down_N: Tensor, gain_NA: Tensor) -> Tensor:
        """Give the actions (N, A) of robots that have been down for so many steps.

        As if no motor were turned round: that is set right by whoever asks.
        """
        ...


@dataclass(frozen=True, slots=True)
class Policies:
    """Who acts.

    Args:
        told: acts on the sizes of gains.
        robust: told nothing; acts where `told` is not to be trusted. None: `told` always acts.
        specialists: motors that are dead -> who acts then; shaped like `told`.
        rise: what gets robots up again, and says which are down; None: nothing does.
        dead: a gain of this size or less is a dead motor's.
        patience: steps that a robot may be down before it is made to get up.
        least_A: smallest sizes of gains that `told` was trained on; none is told smaller.
        sight: what of an observation they and the self-model are shown.
    """

    told: Actor
    robust: Actor | None = None
    specialists: Mapping[tuple[int, ...], Actor] = field(default_factory=dict)
    rise: Rising | None = None
    dead: float = 0.15
    patience: int = 10
    least_A: Tensor | None = None
    sight: Sight = field(default_factory=Bare)


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
        none_N = torch.zeros(robots, dtype=torch.int64)
        return self.model.begin(robots) | {"down": none_N, "tick": none_N.clone()}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions (N, A)."""
        del draw
        gain_NA = state["gain"]
        context_NA = sizes(gain_NA, self.policies.least_A)
        seen_NS = self.policies.sight(obs_NO, state["tick"])
        wanted_NA = self._bank(seen_NS, context_NA, self._who(gain_NA))
        action_NA = wanted_NA.clamp(-1, 1) * signs(gain_NA)
        if self.policies.robust is not None:
            trusted_N = trusted(gain_NA, state["odd"], self.guard)
            plain_NA = self.policies.robust(seen_NS).clamp(-1, 1) * signs(gain_NA, CLEARLY)
            action_NA = torch.where(trusted_N.unsqueeze(1), action_NA, plain_NA)
        return self._up(dict(state) | {"tick": state["tick"] + 1}, obs_NO, action_NA)

    def _up(self, state: State, obs_NO: Tensor, action_NA: Tensor) -> tuple[State, Tensor]:
        """Let those that have been down for a while get up instead."""
        rise = self.policies.rise
        if rise is None:
            return state, action_NA
        down_N = state["down"]
        down_N = torch.where(rise.fallen(obs_NO, down_N > 0), down_N + 1, 0)
        lies_N = down_N > self.policies.patience
        if bool(lies_N.any()):
            spent_N = (down_N - self.policies.patience).clamp(min=1)
            up_NA = rise(obs_NO, spent_N, state["gain"]).clamp(-1, 1) * signs(state["gain"])
            action_NA = torch.where(lies_N.unsqueeze(1), up_NA, action_NA)
        return dict(state) | {"down": down_N}, action_NA

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Take in what a step did."""
        felt_NF, next_NF = map(self.policies.sight.felt, (obs_NO, next_NO))
        after, told = self.model.learn(state, felt_NF, action_NA, next_NF)
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
        sight: what of an observation it is shown.
    """

    def __init__(self, actor: Actor, sight: Sight | None = None) -> None:
        self.actor, self.sight = actor, sight or Bare()

    def begin(self, robots: int) -> State:
        """Count steps, which is all that there is to a state."""
        return {"steps": torch.zeros(robots, dtype=torch.int64)}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions."""
        del draw
        seen_NS = self.sight(obs_NO, state["steps"])
        return {"steps": state["steps"] + 1}, self.actor(seen_NS).clamp(-1, 1)

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
