"""What a robot that learns from nothing does about a change: known body, other motors, or new.

Works on the state of `scratch.Scratch`, whose leaves are copies of the very step: they are replaced
in the dictionary, never written into.

Shapes: K last steps, D features, O observations, A actions, of one robot.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from agent.control.controller import Kind
from agent.robot.bodies import Suspects, room_for
from agent.robot.features import FAR, Features, fitted, put, scaled

EMPTY: Final = -1
LEAST: Final = 4  # steps that a body is judged by


@dataclass(frozen=True, slots=True)
class Meeting:
    """Judges what the body is now.

    Args:
        features: of rows.
        last: K, the most steps that are looked at.
        known: a body explains them where its error is below so many usual ones.
        prior: variance of weights before anything is known.
    """

    features: Features
    last: int
    known: float
    prior: float

    def changed(self, state: dict[str, Tensor], robot: int) -> Kind:
        """Take up the body that explains the steps since the surprise rose, or begin another."""
        slot = int(state["slot"][robot])
        steps = int(state["alarm.strange"][robot].clamp(LEAST, self.last))
        suspects = self._suspects(state, robot, steps, slot)
        verdict = suspects.judge(self.known)
        state["since"] = put(state["since"], (robot,), state["count"][robot])
        if verdict.known:
            state["slot"] = put(state["slot"], (robot,), torch.tensor(verdict.slot))
            state["parent"] = put(state["parent"], (robot,), torch.tensor(EMPTY))
            return "returned"
        room = room_for(state["number"][robot], state["used"][robot], slot)
        weight_DO, unsure_DD = state["weight"][robot, slot], state["unsure"][robot, slot]
        if not verdict.explained:
            phi_KD = suspects.read(verdict.gain_A)
            off_KO = suspects.change_KO - phi_KD.double() @ weight_DO
            more, unsure = fitted(phi_KD[None], off_KO[None], self.prior / 10)
            weight_DO, unsure_DD = weight_DO + more[0], unsure[0]
        state["met"] = put(state["met"], (robot,), state["met"][robot] + 1)
        state["number"] = put(state["number"], (robot, room), state["met"][robot])
        state["parent"] = put(state["parent"], (robot,), torch.tensor(slot))
        state["slot"] = put(state["slot"], (robot,), torch.tensor(room))
        _write(state, robot, room, weight_DO, unsure_DD, verdict.gain_A)
        return "new"

    def second_thoughts(self, state: dict[str, Tensor], robot: int) -> None:
        """Judge a new body once more, by more steps: other motors may explain it after all.

        Where its parent's weights under other gains foresee the last steps well, or better than
        what it has learned itself meanwhile, it takes them: they are good elsewhere, too.
        """
        slot, parent = int(state["slot"][robot]), int(state["parent"][robot])
        state["parent"] = put(state["parent"], (robot,), torch.tensor(EMPTY))
        if slot == parent:
            return
        suspects = self._suspects(state, robot, self.last, parent)
        verdict = suspects.judge(0.0)
        own = suspects.off(slot, state["gain"][robot, slot])
        if verdict.explained and suspects.off(parent, verdict.gain_A) < max(own, self.known):
            weight_DO, unsure_DD = state["weight"][robot, parent], state["unsure"][robot, parent]
            _write(state, robot, slot, weight_DO, unsure_DD, verdict.gain_A)

    def _suspects(self, state: dict[str, Tensor], robot: int, steps: int, now: int) -> Suspects:
        """Gather what the last steps are explained by."""
        place = (int(state["count"][robot]) - 1 - torch.arange(steps)) % state["row"].shape[1]
        width, actions = state["change"].shape[2], state["gain"].shape[2]
        seen_KO, action_KA = state["row"][robot, place].split([width, actions], 1)
        scale_13O = state["scale"][robot].unsqueeze(0)

        def read(gain_A: Tensor) -> Tensor:
            return self.features(scaled(scale_13O, seen_KO[None], (gain_A * action_KA)[None]))[0]

        change_KO = (state["change"][robot, place] / scale_13O[0, 2]).clamp(-FAR, FAR).double()
        there = torch.nonzero(state["number"][robot] != EMPTY).flatten().tolist()
        return Suspects(
            read, change_KO, state["error"][robot], state["weight"][robot], state["gain"][robot],
            there, now,
        )  # fmt: skip


def _write(
    state: dict[str, Tensor], robot: int, slot: int, weight: Tensor, unsure: Tensor, gain: Tensor
) -> None:
    """Put a body into its slot."""
    for name, leaf in {"weight": weight, "unsure": unsure, "gain": gain}.items():
        state[name] = put(state[name], (robot, slot), leaf)
