"""Other ways to drive HalfCheetah through changes: what stands beside the self-model in tables.

Shapes: N robots, W last steps, O observations, A actions, T steps between updates.
"""

from collections import deque
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.control.context_policy import Policies, ThroughSelf
from agent.control.controller import Noticed
from agent.control.policy import Actor
from agent.control.selfmodel import SelfModel
from agent.control.suspicion import Steps, slopes
from agent.learners.base import State
from agent.robot.ppo import Learner, PpoSettings, advantages, built, loss
from agent.robot.ppo_drill import Seen
from envs.robots import ROBOTS

ONLINE = PpoSettings(horizon=64, batch=64, epochs=4, rate=3e-4)


def silent(robots: int) -> Noticed:
    """Give what is noticed by who notices nothing."""
    none_N = torch.zeros(robots)
    return Noticed(none_N, [""] * robots, none_N.long(), [1] * robots)


class Told:
    """Acts on gains that it is told: the true ones, or wrongly those of the next motor.

    Args:
        policies: who acts.
        model: a self-model, for the shape of its state.
        wrong: whether each motor is told the gain of the one before.
        frozen: whether it is told nothing, and takes the robot for intact.
        late: steps that it is told late. Kept in itself, not in a state.
    """

    def __init__(
        self,
        policies: Policies,
        model: SelfModel,
        *,
        wrong: bool = False,
        frozen: bool = False,
        late: int = 0,
    ) -> None:
        self._acts = ThroughSelf(policies, model, actuators=ROBOTS["HalfCheetah"].actuators)
        self._wrong, self._frozen = wrong, frozen
        self._true: deque[Tensor] = deque(maxlen=late + 1)

    def begin(self, robots: int) -> State:
        return self._acts.begin(robots)

    def inform(self, state: State, gain_NA: Tensor) -> State:
        if self._frozen:
            return state
        self._true.append(gain_NA)
        told_NA = self._true[0]
        return dict(state) | {"gain": told_NA.roll(1, 1) if self._wrong else told_NA}

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        return self._acts.act(state, obs_NO, draw)

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        del obs_NO, action_NA
        return state, silent(len(next_NO))

    def reset(self, state: State, fresh_N: Tensor) -> State:
        return self._acts.reset(state, fresh_N)


class GradientGains(Told):
    """Adapts as GrBAL does (Nagabandi et al. 2019): a gradient step on the last steps' likelihood.

    From the intact body's gains, at every step anew, by the gradient of the error of the last W
    steps; the policy acts through the gains that come out. Each motor has a rate of its own (as in
    Meta-SGD, Li et al. 2017): over the mean curvature of its error.

    Args:
        policies: who acts.
        model: the intact body's.
        rate: of the step; 1 would be Newton's, were motors independent.
    """

    def __init__(self, policies: Policies, model: SelfModel, rate: float) -> None:
        super().__init__(policies, model, frozen=True)
        self._model, self._rate = model, rate

    @override
    def begin(self, robots: int) -> State:
        state = super().begin(robots)
        return dict(state) | {"curve": torch.zeros_like(state["gain"])}

    @override
    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        new = {"obs": obs_NO, "action": action_NA, "next": next_NO}
        now = dict(state) | {
            name: torch.cat([state[name][:, 1:], one.unsqueeze(1)], 1) for name, one in new.items()
        }
        now["seen"] = torch.cat([state["seen"][:, 1:], torch.ones(len(obs_NO), 1).bool()], 1)
        steps = Steps(now["obs"], now["action"], now["next"], now["seen"])
        around = slopes(self._model.through, steps, torch.ones_like(now["gain"]))
        heavy = steps.seen_NW.unsqueeze(2).expand_as(around.error_XD).float()
        down_NA = torch.einsum("nwda,nwd,nwd->na", around.slope_XDA, heavy, around.error_XD)
        curve_NA = torch.einsum("nwda,nwd->na", around.slope_XDA.square(), heavy)
        known_NA = 0.98 * state["curve"] + 0.02 * curve_NA
        now["curve"] = torch.where(state["curve"] > 0, known_NA, curve_NA)
        step_NA = self._rate * down_NA / now["curve"].clamp(min=1.0)
        now["gain"] = (1 + step_NA).clamp(-1.25, 1.25)
        names = self._acts.actuators
        belief = [
            {f"gain {name}": gain for name, gain in zip(names, one, strict=True)}
            for one in now["gain"].tolist()
        ]
        noticed = silent(len(obs_NO))
        return now, Noticed(noticed.surprise_N, noticed.change, noticed.body_N, [1] * len(obs_NO),
                            belief)  # fmt: skip


class Climb:
    """Searches by trial on the robot: changes of the robust policy's last layer, 2 s each.

    Keeps a change that earned more than the best so far (a (1 + 1) evolution strategy).

    Args:
        actor: what is changed; has no context.
        seed: of the changes.
        size: standard deviation of a change, in units of a bias; gains change by half as much.
        trial: steps of a trial.
    """

    def __init__(self, actor: Actor, seed: int, size: float = 0.3, trial: int = 40) -> None:
        self._actor, self._size, self._trial = actor, size, trial
        self._draw = torch.Generator().manual_seed(seed)

    def begin(self, robots: int) -> State:
        none_NP = torch.zeros(robots, 2 * self._actor.actions)
        zero_N = torch.zeros(robots)
        return {"best": none_NP, "now": none_NP, "worth": zero_N - 1e9, "sum": zero_N,
                "steps": zero_N.long()}  # fmt: skip

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        del draw
        shift_NA, scale_NA = state["now"].chunk(2, 1)
        action = self._actor(obs_NO) * (1 + 0.5 * scale_NA) + shift_NA
        return state, action.clamp(-1, 1)

    def reward(self, state: State, reward_N: Tensor) -> State:
        now = dict(state) | {"sum": state["sum"] + reward_N, "steps": state["steps"] + 1}
        if int(now["steps"][0]) % self._trial:
            return now
        better_N = now["sum"] > now["worth"]
        best = torch.where(better_N.unsqueeze(1), now["now"], now["best"])
        tried = best + self._size * torch.randn(best.shape, generator=self._draw)
        # what was best is worth a little less each time: bodies change
        worth = torch.where(better_N, now["sum"], now["worth"] - 10.0)
        return now | {"best": best, "now": tried, "worth": worth, "sum": 0 * worth}

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        del obs_NO, action_NA
        return state, silent(len(next_NO))

    def reset(self, state: State, fresh_N: Tensor) -> State:
        del fresh_N
        return state


class OnlinePpo:
    """Goes on learning on the robot: proximal policy optimization, a network for each robot.

    Keeps its networks in itself, not in a state: it is only ever run from the start.

    Args:
        start: `ppo.Trained.tensors` to begin from.
        fresh: whether to throw them away and begin from nothing.
        seed: of networks that begin from nothing.
    """

    def __init__(self, start: Mapping[str, Tensor], *, fresh: bool = False, seed: int = 0) -> None:
        self._start, self._fresh, self._seed = start, fresh, seed
        self._learners: list[Learner] = []
        self._adams: list[torch.optim.Adam] = []
        self._rows: list[dict[str, Tensor]] = []
        self._draw = torch.Generator().manual_seed(seed)

    def begin(self, robots: int) -> State:
        for robot in range(robots):
            learner = built(self._start, self._seed + robot, fresh=self._fresh)
            self._learners.append(learner)
            self._adams.append(torch.optim.Adam(learner.parameters(), ONLINE.rate, eps=1e-5))
        return {"steps": torch.zeros(robots, dtype=torch.int64)}

    @torch.no_grad()
    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        rows = []
        for learner, obs_O in zip(self._learners, obs_NO, strict=True):
            seen = self._seen(obs_O)
            action, logp = learner.act(seen, draw)
            rows.append((action, logp, learner.value(seen), seen.context, seen.privileged))
        names = ("action", "logp", "value", "context", "privileged")
        row = dict(zip(names, map(torch.stack, zip(*rows, strict=True)), strict=True))
        self._rows.append(row | {"obs": obs_NO})
        return {"steps": state["steps"] + 1}, row["action"].clamp(-1, 1)

    def reward(self, state: State, reward_N: Tensor) -> State:
        none_N = torch.zeros_like(reward_N)
        self._rows[-1] |= {"reward": reward_N, "ended": none_N.bool(), "ends": none_N}
        return state

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        del obs_NO, action_NA
        if len(self._rows) == ONLINE.horizon:
            whole = {name: torch.stack([one[name] for one in self._rows]) for name in self._rows[0]}
            self._rows = []
            for robot, learner in enumerate(self._learners):
                self._improve(robot, learner, whole, next_NO[robot])
        return state, silent(len(next_NO))

    def reset(self, state: State, fresh_N: Tensor) -> State:
        del fresh_N
        return state

    def _improve(
        self, robot: int, learner: Learner, whole: Mapping[str, Tensor], last_O: Tensor
    ) -> None:
        rows = {name: one[:, robot : robot + 1] for name, one in whole.items()}
        with torch.no_grad():
            rows["after"] = learner.value(self._seen(last_O)).view(1, 1)
        flat = advantages(rows, SIZE, ONLINE)
        for _ in range(ONLINE.epochs):
            self._adams[robot].zero_grad()
            loss(learner, flat, ONLINE).backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 0.5)
            self._adams[robot].step()

    def _seen(self, obs_O: Tensor) -> Seen:
        learner = self._learners[0]
        actor = learner.actor
        inside = torch.zeros(learner.privileged)
        inside[: actor.actions] = 1.0
        return Seen(obs_O, torch.zeros(actor.context), inside)


SIZE = 20.0  # what a reward is divided by: about the spread of returns in training
