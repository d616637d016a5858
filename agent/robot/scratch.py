"""A controller for a robot that nobody has trained anything for: it learns as it goes.

It moves at random for a while, to see what its actions do; then it plans through what it has
learned (see `features`), and goes on learning. Where the next observation is foreseen worse than it
used to be, the body has changed: of the bodies remembered, that which explains the last steps is
taken up again; where none does, a new one begins from what was known.

Shapes: N robots, M bodies, K last steps, R steps of the beginning, O, A, D as in `features`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from agent.control.controller import Kind, Noticed
from agent.control.mppi import Mppi, MppiSettings
from agent.control.objectives import Objective
from agent.control.planner import shifted
from agent.learners.base import State
from agent.nets import part, prefixed
from agent.robot.alarm import Alarm, AlarmSettings
from agent.robot.features import FAR, Features, fitted, scaled, taught, where
from agent.robot.meeting import EMPTY, Meeting

SMALL = 1e-6
CALM = 0.02  # share of a step in the running size of errors


@dataclass(frozen=True, slots=True)
class ScratchSettings:
    """How it is learned.

    Args:
        babble: steps of random actions at the beginning.
        hidden: random features.
        keep: share of the past that lasts into the next step.
        prior: variance of the weights before anything is known.
        bodies: M, how many are remembered.
        last: K, steps by which a body is known again.
        known: a body explains the last steps where its error is below so many times the usual one.
        mppi: how plans are sought.
        alarm: when surprise is a change.
    """

    babble: int = 200
    hidden: int = 120
    keep: float = 0.9995
    prior: float = 10.0
    bodies: int = 4
    last: int = 20
    known: float = 4.0
    mppi: MppiSettings = field(
        default_factory=lambda: MppiSettings(
            candidates=128, anew=0.0, horizon=25, noise=(0.8, 0.3), temperature=0.1
        )
    )
    alarm: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        for name, least in (("babble", 20), ("hidden", 1), ("bodies", 1), ("last", 4)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} or more")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep}; give more than 0, 1 at the most")
        if not (self.prior > 0 and self.known > 1):
            raise ValueError("prior must be above 0, and known above 1")


class Scratch:
    """Learns a robot's dynamics from nothing and plans through them.

    Args:
        settings: how.
        observations: O.
        actions: A.
        objective: what is wanted.
        seed: of the random features.
    """

    def __init__(
        self,
        settings: ScratchSettings,
        observations: int,
        actions: int,
        objective: Objective,
        seed: int = 0,
    ) -> None:
        self._settings, self._objective = settings, objective
        self._width, self._actions = observations, actions
        self._features = Features.draw(observations + actions, settings.hidden, seed)
        self._planner, self._alarm = Mppi(settings.mppi), Alarm(settings.alarm)
        self._meeting = Meeting(self._features, settings.last, settings.known, settings.prior)

    def begin(self, robots: int) -> State:
        """Nothing seen."""
        settings, seen, width = self._settings, self._width, self._features.width
        weights = torch.zeros(robots, settings.bodies, width, seen, dtype=torch.float64)
        number_NM = torch.full((robots, settings.bodies), EMPTY)
        number_NM[:, 0] = 0
        return {
            "count": torch.zeros(robots, dtype=torch.int64),
            "row": torch.zeros(robots, settings.babble, seen + self._actions),
            "change": torch.zeros(robots, settings.babble, seen),
            "scale": torch.ones(robots, 3, seen),
            "weight": weights,
            "unsure": torch.zeros(robots, settings.bodies, width, width, dtype=torch.float64),
            "gain": torch.ones(robots, settings.bodies, self._actions),
            "error": torch.ones(robots, seen),
            "number": number_NM,
            "used": torch.zeros(robots, settings.bodies, dtype=torch.int64),
            "slot": torch.zeros(robots, dtype=torch.int64),
            "met": torch.zeros(robots, dtype=torch.int64),
            "parent": torch.full((robots,), EMPTY),
            "since": torch.zeros(robots, dtype=torch.int64),
            **prefixed("planner", self._planner.begin(robots, self._actions)),
            **prefixed("alarm", self._alarm.begin(robots)),
        }

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Move at random in the beginning; then by the plan."""
        with torch.no_grad():
            random_NA = 2 * torch.rand(len(obs_NO), self._actions, generator=draw) - 1
            babbles_N1 = (state["count"] < self._settings.babble).unsqueeze(1)
            rows = torch.arange(len(obs_NO))
            weight_NDO = state["weight"][rows, state["slot"]].float()
            gain_N1A = state["gain"][rows, state["slot"]].unsqueeze(1)

            def value(action_NCHA: Tensor) -> Tensor:
                return self._worth(weight_NDO, gain_N1A, state["scale"], obs_NO, action_NCHA)

            planned = self._planner.improve(part("planner", state), value, draw)
            action_NA = torch.where(babbles_N1, random_NA, planned["plan"][:, 0])
        return {**state, **prefixed("planner", shifted(planned))}, action_NA

    def _worth(
        self,
        weight_NDO: Tensor,
        gain_N1A: Tensor,
        scale_N3O: Tensor,
        obs_NO: Tensor,
        action_NCHA: Tensor,
    ) -> Tensor:
        """What candidates are worth, as foreseen, shape NC."""
        obs_NCO = obs_NO.unsqueeze(1).expand(-1, action_NCHA.shape[1], -1)
        horizon, worth = action_NCHA.shape[2], torch.zeros_like(action_NCHA[:, :, 0, 0])
        unit_N1O = scale_N3O[:, 2].unsqueeze(1)
        for step in range(horizon):
            action_NCA = action_NCHA[:, :, step]
            phi_NCD = self._features(scaled(scale_N3O, obs_NCO, gain_N1A * action_NCA))
            obs_NCO = obs_NCO + (phi_NCD @ weight_NDO).clamp(-FAR, FAR) * unit_N1O
            worth = worth + self._objective(obs_NCO, action_NCA, horizon - 1 - step)
        return worth

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Keep the step; in the beginning that is all; then foresee, be surprised, learn."""
        with torch.no_grad():
            state = self._kept(state, obs_NO, action_NA, next_NO - obs_NO)
            ready_N = state["count"] > self._settings.babble
            first_N = state["count"] == self._settings.babble
            if first_N.any():
                state = self._begun(state, first_N)
            robots = len(obs_NO)
            kinds: list[Kind] = [""] * robots
            surprise_N = torch.zeros(robots)
            if ready_N.any():
                state, surprise_N, kinds = self._step(state, ready_N, obs_NO, action_NA, next_NO)
        rows = torch.arange(robots)
        body_N = state["number"][rows, state["slot"]]
        bodies = (state["number"] != EMPTY).sum(1).tolist()
        left_N = (self._settings.babble - state["count"]).clamp(min=0).tolist()
        gain_NA = state["gain"][rows, state["slot"]].tolist()
        belief = [
            {"steps at random left": float(left)}
            if left
            else {f"gain of motor {at}": gain for at, gain in enumerate(gains)}
            for left, gains in zip(left_N, gain_NA, strict=True)
        ]
        return state, Noticed(surprise_N, kinds, body_N, bodies, belief)

    def _kept(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, change_NO: Tensor
    ) -> dict[str, Tensor]:
        """Write the step into the ring of the last ones."""
        place_N = state["count"] % self._settings.babble
        rows = torch.arange(len(obs_NO))
        row_NRF, change_NRO = state["row"].clone(), state["change"].clone()
        row_NRF[rows, place_N] = torch.cat([obs_NO, action_NA], 1)
        change_NRO[rows, place_N] = change_NO
        return {**state, "row": row_NRF, "change": change_NRO, "count": state["count"] + 1}

    def _begun(self, state: State, first_N: Tensor) -> dict[str, Tensor]:
        """Take units and first weights from the steps at random."""
        seen = state["row"][..., : self._width]
        scale_N3O = torch.stack(
            [seen.mean(1), seen.std(1) + SMALL, state["change"].std(1) + SMALL], 1
        )
        scale_N3O = torch.where(first_N.view(-1, 1, 1), scale_N3O, state["scale"])
        phi_NRD, change_NRO = self._scaled(state, scale_N3O)
        weight_NDO, unsure_NDD = fitted(phi_NRD, change_NRO, self._settings.prior)
        weight, unsure = state["weight"].clone(), state["unsure"].clone()
        weight[first_N, 0], unsure[first_N, 0] = weight_NDO[first_N], unsure_NDD[first_N]
        error_NO = (phi_NRD.double() @ weight_NDO - change_NRO).square().mean(1).sqrt().float()
        error_NO = torch.where(first_N.unsqueeze(1), error_NO + SMALL, state["error"])
        return {**state, "scale": scale_N3O, "weight": weight, "unsure": unsure, "error": error_NO}

    def _scaled(self, state: State, scale_N3O: Tensor) -> tuple[Tensor, Tensor]:
        """Features and changes of the ring, in units."""
        seen, actions = state["row"].split([self._width, self._actions], -1)
        unit_N1O = scale_N3O[:, 2].unsqueeze(1)
        change = (state["change"] / unit_N1O).clamp(-FAR, FAR)
        return self._features(scaled(scale_N3O, seen, actions)), change

    def _step(
        self, state: State, ready_N: Tensor, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, list[Kind]]:
        """One step after the beginning."""
        rows = torch.arange(len(obs_NO))
        scale_N3O = state["scale"]
        done_NA = state["gain"][rows, state["slot"]] * action_NA
        row_N1F = scaled(scale_N3O, obs_NO.unsqueeze(1), done_NA.unsqueeze(1))
        phi_ND = self._features(row_N1F)[:, 0]
        change_NO = ((next_NO - obs_NO) / scale_N3O[:, 2]).clamp(-FAR, FAR)
        slot_N = state["slot"]
        weight_NDO, unsure_NDD = state["weight"][rows, slot_N], state["unsure"][rows, slot_N]
        foreseen_NO = torch.einsum("nd,ndo->no", phi_ND.double(), weight_NDO).float()
        off_NO = (change_NO - foreseen_NO).abs()
        surprise_N = torch.where(ready_N, (off_NO / state["error"]).mean(1), 0.0)
        watch, raised_N = self._alarm.hear(part("alarm", state), surprise_N)
        held = part("alarm", state)
        watch = {name: where(ready_N, leaf, held[name]) for name, leaf in watch.items()}
        learned = taught(weight_NDO, unsure_NDD, phi_ND, change_NO, self._settings.keep)
        weight, unsure = state["weight"].clone(), state["unsure"].clone()
        weight[rows, slot_N] = where(ready_N, learned[0], weight_NDO)
        unsure[rows, slot_N] = where(ready_N, learned[1], unsure_NDD)
        calm_N1 = (ready_N & (watch["sum"] == 0)).unsqueeze(1)
        error_NO = torch.where(calm_N1, (1 - CALM) * state["error"] + CALM * off_NO, state["error"])
        used = state["used"].index_put((rows, slot_N), state["count"])
        after = {
            **state, **prefixed("alarm", watch), "weight": weight, "unsure": unsure,
            "error": error_NO, "used": used,
        }  # fmt: skip
        kinds: list[Kind] = [""] * len(obs_NO)
        for robot in torch.nonzero(raised_N & ready_N).flatten().tolist():
            kinds[robot] = self._meeting.changed(after, robot)
        second_N = ready_N & (state["count"] - state["since"] == self._settings.last)
        for robot in torch.nonzero(second_N & (state["parent"] != EMPTY)).flatten().tolist():
            self._meeting.second_thoughts(after, robot)
        return after, surprise_N, kinds

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Forget the plans of those that begin anew."""
        plan = state["planner.plan"]
        return {**state, "planner.plan": plan * (~fresh_N).view(-1, 1, 1).to(plan.dtype)}
