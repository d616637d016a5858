"""A robot's model of its own actuators: which gain each has now, and which body that is.

The intact body's model, asked about scaled commands, explains every body whose motors are weak,
dead or inverted. Three things run side by side, all of them exact functions of the last steps:

- a recursion of Gauss-Newton with Student's weights follows the gains of the present body;
- a test holds other bodies, remembered or new, against it, over the last few steps;
- a memory keeps the gains of the bodies that were met.

Where the test is over its threshold the estimate jumps; a body is told of once it has stayed.

Shapes: N robots, W last steps, O observations, A actions, M slots, D columns that tell.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from torch import Tensor

from agent.control.acquaintance import begun, kept, moved, named, others, same
from agent.control.controller import Kind
from agent.control.gains import TAIL, Slopes, Through, solved, weights
from agent.control.suspicion import (
    NEVER,
    Steps,
    Suspect,
    SuspicionSettings,
    explained,
    slopes,
    suspect,
)
from agent.control.tail import Tail
from agent.learners.base import State


@dataclass(frozen=True, slots=True)
class SelfSettings:
    """How a robot follows its body.

    Args:
        false_alarms: changes told of, a step, on a body that does not change.
        jump: nats beyond what is usual at which the estimate goes over to another body. It may come
            back as fast, so this may be passed more often than a change is told of.
        slots: M, bodies that are remembered, with the intact one.
        sure: steps that a body must have stayed before it is told of.
        settle: steps in which the errors of a body just met are followed, suspicion or not.
        alert: mean misfit of the last steps, in nats a column, from which other bodies are tried.
        keep: share of what was learned of the gains that a step keeps.
        firm: how firmly the gains of a body just met are believed, in squared slopes.
        near: how near in every gain two bodies are one.
        widen: how fast the size of what stays unexplained is followed.
        widest: the most that errors may be larger than the model says.
        suspicion: what another body costs.
    """

    false_alarms: float = 1e-5
    jump: float = 3.0
    slots: int = 16
    sure: int = 5
    settle: int = 40
    alert: float = 0.21
    keep: float = 0.99
    firm: float = 50.0
    near: float = 0.15
    widen: float = 0.1
    widest: float = 8.0
    suspicion: SuspicionSettings = field(default_factory=SuspicionSettings)

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1:
            raise ValueError(f"false_alarms is {self.false_alarms}; give more than 0, less than 1")
        if self.slots < 3:  # noqa: PLR2004 - the intact one, the one told of, one on trial
            raise ValueError(f"slots is {self.slots}; give 3 or more")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep}; give more than 0, 1 at most")


class Learned(NamedTuple):
    """What a step has told."""

    surprise_N: Tensor  # deviations, root mean square, under the body of before
    evidence_N: Tensor  # nats for the best other body
    jumped_N: Tensor  # whether the estimate went over to it
    change: list[Kind]  # what is told of now


class SelfModel:
    """Follows the bodies of N robots; pure functions over a state.

    Args:
        through: the intact body's model.
        settings: how it is followed.
        tail: of the evidence where nothing changes.
    """

    def __init__(
        self, through: Through, settings: SelfSettings | None = None, tail: Tail | None = None
    ) -> None:
        self.through, self.settings = through, settings or SelfSettings()
        self.tail = tail or Tail()
        self.threshold = self.tail.threshold(self.settings.false_alarms)
        self._window = self.settings.suspicion.windows[-1]

    def begin(self, robots: int) -> dict[str, Tensor]:
        """Give the state of intact robots that have not moved."""
        model = self.through.model
        actions, observations = model.actions, len(model.rise_O)
        return begun(robots, self.settings.slots, actions) | {
            "obs": torch.zeros(robots, self._window, observations),
            "action": torch.zeros(robots, self._window, actions),
            "next": torch.zeros(robots, self._window, observations),
            "seen": torch.zeros(robots, self._window, dtype=torch.bool),
            "misfit": torch.zeros(robots, self._window),
            "gain": torch.ones(robots, actions),
            "normal": self.settings.firm * torch.eye(actions).repeat(robots, 1, 1),
            "odd": torch.ones(robots),
            "step": torch.zeros(robots, dtype=torch.int64),
            "since": torch.full((robots,), self.settings.settle, dtype=torch.int64),
        }

    def wide(self, state: State) -> Tensor:
        """Give how much larger errors are than the model says, (N); 1: all is explained."""
        return state["wide"][torch.arange(len(state["body"])), state["body"]]

    def number(self, state: State) -> Tensor:
        """Give the number of the body that was told of last, (N)."""
        return state["number"][torch.arange(len(state["told"])), state["told"]]

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[dict[str, Tensor], Learned]:
        """Take in a step; the pair of observations has no reset between."""
        now = dict(state) | _pushed(state, obs_NO, action_NA, next_NO)
        steps = Steps(now["obs"], now["action"], now["next"], now["seen"])
        newest = slopes(self.through, Steps(*(one[:, -1:] for one in steps)), now["gain"])
        surprise_N = newest.error_XD.square().mean((1, 2)).sqrt()
        now["misfit"] = self._misfits(now, newest)
        found = self._suspected(now, steps)
        jumped_N = found.evidence_N > self.settings.jump
        calm_N = found.evidence_N < 0
        now |= self._followed(now, newest, calm_N)
        now |= self._widened(now, newest, calm_N | (now["since"] < self.settings.settle))
        now |= moved(now, jumped_N, found.slot_N, found.gain_NA)
        now |= self._jumped(now, jumped_N, found.gain_NA, found.steps_N)
        now |= kept(now, now["gain"], calm_N, now["step"])
        sure_N = (now["since"] >= self.settings.sure) & self._backed(now)
        now |= same(now, sure_N, self.settings.near)
        told, words = named(now, sure_N)
        return now | told, Learned(
            surprise_N, found.evidence_N, jumped_N, cast("list[Kind]", words)
        )

    def forget_steps(self, state: State, fresh_N: Tensor) -> dict[str, Tensor]:
        """Drop the last steps of some robots; what was learned of their bodies stays."""
        return dict(state) | {"seen": state["seen"] & ~fresh_N.unsqueeze(1)}

    def _misfits(self, state: State, newest: Slopes) -> Tensor:
        """Push how badly the present body fits the newest step: Student's log-likelihood, a D-th.

        About a sixth of a nat where nothing has changed.
        """
        far_ND = (newest.error_XD[:, -1] / self.wide(state).unsqueeze(1)).square()
        misfit_N = (far_ND / TAIL).log1p().mean(1)
        return torch.cat([state["misfit"][:, 1:], misfit_N.unsqueeze(1)], 1)

    def _suspected(self, state: State, steps: Steps) -> Suspect:
        """Try other bodies for the robots whose last steps the present one fits badly."""
        windows = self.settings.suspicion.windows
        seen_NW, robots = steps.seen_NW, len(steps.seen_NW)
        asked_N = torch.zeros(robots, dtype=torch.bool)
        for k in (windows[len(windows) // 2 - 1], windows[-1]):
            sum_N = (state["misfit"] * seen_NW)[:, -k:].sum(1)
            asked_N |= sum_N > self.settings.alert * seen_NW[:, -k:].sum(1).clamp(min=1)
        rows = asked_N.nonzero().flatten()
        gain_NA, wide_N = state["gain"], self.wide(state)
        none_N = torch.full((robots,), -1)
        whole = Suspect(torch.full((robots,), NEVER), gain_NA.clone(), none_N, none_N.clone())
        if len(rows):
            memory = state["known"][rows], state["wide"][rows], others(state)[rows]
            some = Steps(*(one[rows] for one in steps))
            present = gain_NA[rows], wide_N[rows]
            found = suspect(
                self.through, some, present, memory, self.settings.suspicion, self.tail.at
            )
            for all_of, few in zip(whole, found, strict=True):
                all_of[rows] = few
        return whole

    def _backed(self, state: State) -> Tensor:
        """Say whose last steps speak for the present body over the one told of, as asked for.

        True of those whose present body is the one told of.
        """
        rows = torch.arange(len(state["body"]))
        same_N = state["body"] == state["told"]
        if bool(same_N.all()):
            return same_N
        steps = Steps(state["obs"], state["action"], state["next"], state["seen"])
        told = state["known"][rows, state["told"]], state["wide"][rows, state["told"]]
        own_NW = explained(self.through, steps, state["gain"], self.wide(state))
        for_N = (own_NW - explained(self.through, steps, *told)).sum(1)
        return same_N | (for_N > self.threshold)

    def _followed(self, state: State, newest: Slopes, calm_N: Tensor) -> dict[str, Tensor]:
        """Take a step of the recursion; without it where another body is suspected."""
        wide_N = self.wide(state)
        slope = newest.slope_XDA / wide_N.view(-1, 1, 1, 1)
        error = newest.error_XD / wide_N.view(-1, 1, 1)
        heavy_NWD = weights(error) * calm_N.view(-1, 1, 1)
        before_NAA = self.settings.keep * state["normal"]
        line = Slopes(error, slope, newest.log_XD)
        step_NA = solved(line, heavy_NWD, before_NAA, torch.zeros_like(state["gain"]))
        learned_NAA = torch.einsum("nwda,nwd,nwdb->nab", slope, heavy_NWD, slope)
        most = self.settings.suspicion.most
        floor_NAA = (1 - self.settings.keep) * self.settings.firm * torch.eye(step_NA.shape[1])
        return {
            "gain": (state["gain"] + step_NA).clamp(-most, most),
            "normal": before_NAA + learned_NAA + floor_NAA,
        }

    def _widened(self, state: State, newest: Slopes, free_N: Tensor) -> dict[str, Tensor]:
        """Follow the size of errors: of the bodies of `free_N`; and of the last steps, in any case.

        An explained body's is 1; it never falls below.
        """
        wide_N, settings = self.wide(state), self.settings
        new_N = _rescaled(wide_N, newest.error_XD[:, -1], settings.widen)
        new_N = new_N.clamp(1, settings.widest)
        intact_N = state["body"] == 0
        rows, wide_NM = torch.arange(len(wide_N)), state["wide"].clone()
        wide_NM[rows, state["body"]] = torch.where(free_N & ~intact_N, new_N, wide_N)
        odd_N = _rescaled(state["odd"], newest.error_XD[:, -1], settings.widen)
        return {"wide": wide_NM, "odd": odd_N.clamp(0.5, settings.widest)}

    def _jumped(
        self, state: State, jumped_N: Tensor, gain_NA: Tensor, steps_N: Tensor
    ) -> dict[str, Tensor]:
        """Go over to another body: its gains, and of the last steps those that tell of it."""
        jumped_N1 = jumped_N.unsqueeze(1)
        first_N = jumped_N & (state["since"] >= self.settings.settle)
        age_W = torch.arange(self._window, 0, -1)
        recent_NW = age_W <= steps_N.unsqueeze(1)
        firm_AA = self.settings.firm * torch.eye(gain_NA.shape[1])
        return {
            "gain": torch.where(jumped_N1, gain_NA, state["gain"]),
            "normal": torch.where(jumped_N1.unsqueeze(2), firm_AA, state["normal"]),
            "seen": state["seen"] & (recent_NW | ~jumped_N1),
            "odd": torch.where(first_N, state["odd"].clamp(max=1.0), state["odd"]),
            "since": torch.where(jumped_N, 0, state["since"] + 1),
        }


def _pushed(state: State, obs: Tensor, action: Tensor, after: Tensor) -> dict[str, Tensor]:
    new = {"obs": obs, "action": action, "next": after, "seen": torch.ones(len(obs)).bool()}
    pushed = {
        name: torch.cat([state[name][:, 1:], one.unsqueeze(1)], 1) for name, one in new.items()
    }
    return pushed | {"step": state["step"] + 1}


def _rescaled(scale_N: Tensor, error_ND: Tensor, rate: float) -> Tensor:
    """Move a scale by the score of Student's likelihood in its logarithm."""
    far_ND = (error_ND / scale_N.unsqueeze(1)).square()
    score_N = ((TAIL + 1) * far_ND / (TAIL + far_ND) - 1).mean(1)
    return scale_N * (rate * score_N).exp()
