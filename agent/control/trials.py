"""Learning by trial: after a change, gaits of a library are tried in the running episode.

Intelligent trial and error (Cully, Clune, Tarapore & Mouret 2015, algorithm 1), without resets and
over a life. The gait in use is watched by windows; where it earns far less than it did, or the
robot keeps falling, trials begin: first of the gait in use itself, which may have been slandered,
then of others, each ended early by a fall. They stop when the best one earned enough of what any
gait is thought to earn.

Shapes: N robots, O observations, A actions, P parameters of a gait.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from agent.control import pace
from agent.control.controller import Kind, Noticed
from agent.control.gaits import Layout, Library
from agent.control.outlook import NONE, Outlook, OutlookSettings
from agent.control.search import Search, TrialSettings
from agent.learners.base import State
from agent.nets import part, prefixed

Rise: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Gives the actions (N, A) of robots that are down, from observations (N, O) and for how long."""


class Foresight(Protocol):
    """Learns of the body beside the trials, and says what gaits should earn on it."""

    def begin(self, robots: int) -> State:
        """Give the state before the first step."""
        ...

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor, asked_N: Tensor
    ) -> tuple[State, Tensor, Tensor]:
        """Take in a step; begin to foresee for those that are `asked_N`, who have just changed.

        Returns:
            the state, the numbers (n) of the robots for whom the answer is ready now, and what
            each gait should earn a step (n, G).
        """
        ...

    def turned(self, state: State, action_NA: Tensor) -> Tensor:
        """Give actions that do on this body what these would do on the intact one."""
        ...


class TrialController:
    """Drives robots by the best known gait, and tries others when it no longer earns what it did.

    Args:
        library: gaits, and how they fare on bodies that were simulated.
        layout: where in an observation is what.
        settings: of trials.
        outlook: scales of the forecasts.
        rise: gets a robot up that lies on its back; without it the next gait is tried as it lies.
        foresight: what says more of the body than trials do, where there is such a thing.
    """

    def __init__(
        self,
        library: Library,
        layout: Layout,
        settings: TrialSettings | None = None,
        outlook: OutlookSettings | None = None,
        rise: Rise | None = None,
        foresight: Foresight | None = None,
    ) -> None:
        self.foresight = foresight
        self.library, self.layout, self.rise = library, layout, rise
        self.settings = settings or TrialSettings()
        self.search = Search(Outlook(library, outlook), self.settings)

    def begin(self, robots: int) -> State:
        """Give the state before the first step: the intact body, under its best gait."""
        whole = torch.zeros(robots, dtype=torch.int64)
        seer = {} if self.foresight is None else self.foresight.begin(robots)
        return {
            **prefixed("seer", seer),
            **pace.begun(robots),
            **dict.fromkeys(("clock", "down", "age"), whole),
            **self.search.begin(robots, int(self.library.mean_GB[:, 0].argmax())),
        }

    def act(self, state: State, obs_NO: Tensor, draw: torch.Generator) -> tuple[State, Tensor]:
        """Give the state after, and the actions: of the gait in use, or of getting up."""
        del draw
        gait_NP = self.library.gait_GP[state["gait"]]
        action_NA = self.library.moves(gait_NP, state["clock"], obs_NO)
        if self.rise is not None:
            lies_N1 = self._rising(state).unsqueeze(1)
            rise_NA = self.rise(obs_NO, state["down"])
            if self.foresight is None:
                rise_NA = self.library.moves.turned(gait_NP, rise_NA)
            else:
                rise_NA = self.foresight.turned(part("seer", state), rise_NA)
            action_NA = torch.where(lies_N1, rise_NA, action_NA)
        return {**state, "clock": state["clock"] + 1}, action_NA

    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        """Count what the step earned; end trials and windows; choose what comes next."""
        of, was_N = self.settings, self._rising(state)
        worth_N = self.layout.worth(obs_NO, action_NA, next_NO)
        before_N = state["down"] > 0
        lies_N = self.layout.fallen(next_NO, before_N)
        fell_N = lies_N & ~before_N
        state = {
            **state,
            "age": state["age"] + 1,
            "down": torch.where(lies_N, state["down"] + 1, 0),
            "step": torch.where(was_N, 0, state["step"] + 1),
            "total": torch.where(was_N, 0.0, state["total"] + worth_N * self._counts(state)),
            "clock": torch.where(was_N, 0, state["clock"]),
        }
        full_N = state["trying"] & ~was_N & (state["step"] >= of.trial)
        over_N = full_N | (state["trying"] & fell_N)
        steady_N = ~state["trying"] & ~was_N
        state, alarm_N = pace.watched(state, steady_N, fell_N, of.pace)
        if self.foresight is not None:
            seer, who_n, mean_nG = self.foresight.learn(
                part("seer", state), obs_NO, action_NA, next_NO, alarm_N
            )
            state = self.search.told({**state, **prefixed("seer", seer)}, who_n, mean_nG)
        change: list[Kind] = [""] * len(worth_N)
        if bool(alarm_N.any()):
            state = self.search.opened(state, alarm_N.nonzero().squeeze(1))
        if bool(over_N.any()):
            who_n = over_N.nonzero().squeeze(1)
            score_n = state["total"][who_n] / (of.trial - of.start)
            state, done_n = self.search.decided(state, who_n, score_n)
            state, kinds = self.search.settled(state, who_n[done_n])
            for robot, kind in zip(who_n[done_n].tolist(), kinds, strict=True):
                change[robot] = kind
        state = _anew(state, over_N | alarm_N)
        return state, self._noticed(state, change)

    def reset(self, state: State, fresh_N: Tensor) -> State:
        """Begin an episode: the gait in use begins anew, and so does its trial."""
        return _anew({**state, "down": torch.where(fresh_N, 0, state["down"])}, fresh_N)

    def _counts(self, state: State) -> Tensor:
        """Say whose next step counts: in a trial, those from its start on."""
        return ~state["trying"] | (state["step"] >= self.settings.start)

    def _rising(self, state: State) -> Tensor:
        """Say who is getting up: for a while, then the gait has a trial's time, and so on."""
        of, down_N = self.settings, state["down"]
        turn_N = (down_N - 1) % (of.rise + of.trial)
        return (down_N > 0) & (turn_N < of.rise) & (self.rise is not None)

    def _noticed(self, state: State, change: list[Kind]) -> Noticed:
        bodies = (state["used"] != NONE).sum(1).tolist()
        columns = (state[name].tolist() for name in ("gait", "pace", "trying", "tries"))
        belief: list[Mapping[str, float]] = [
            {"gait": gait, "reward a step": earned, "trial": tries + 1 if trying else 0}
            for gait, earned, trying, tries in zip(*columns, strict=True)
        ]
        return Noticed(state["surprise"], change, state["body"], bodies, belief)


def _anew(state: State, fresh_N: Tensor) -> State:
    """Begin the gait in use anew."""
    return pace.anew({**state, "clock": torch.where(fresh_N, 0, state["clock"])}, fresh_N)
