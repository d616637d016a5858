"""Which body is it now? What explains the last steps: one that is remembered, or other motors.

A body is a set of weights over features of the observation and the action (see `features`), and a
gain for each motor, by which actions are multiplied before they are read. So a motor that turns
round, dies or weakens is a guess that is tried at once; only what no guess explains is learned.

Shapes: K last steps, M bodies, A actions, O observations, D features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FACTORS = (-1.0, 0.0, 0.5, 2.0)
"""Of a motor's gain: turned round, dead, weak, strong."""
BETTER = 0.6  # a guess must bring the error down to that share
FAIR = 4.0  # a body that is remembered is preferred unless a guess is so many times better
PAIRS = 2  # motors that are guessed at once, at the most

Read = Callable[[Tensor], Tensor]
"""Gives the features (K, D) of the last steps for gains (A)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What explains the last steps.

    Args:
        slot: of the body whose weights do.
        gain_A: of its motors.
        known: whether that very body is remembered.
        explained: whether anything explains them; else the present body's weights are given.
    """

    slot: int
    gain_A: Tensor
    known: bool
    explained: bool


@dataclass(frozen=True, slots=True)
class Suspects:
    """The bodies remembered, and the last steps.

    Args:
        read: features of the last steps under given gains.
        change_KO: what they changed, in units.
        error_O: how large errors usually are.
        weight_MDO: of the bodies.
        gain_MA: of their motors.
        there: the slots that hold one.
        now: the slot of the present one.
    """

    read: Read
    change_KO: Tensor
    error_O: Tensor
    weight_MDO: Tensor
    gain_MA: Tensor
    there: Sequence[int]
    now: int

    def off(self, slot: int, gain_A: Tensor) -> float:
        """Give the mean error of a body on the last steps, in usual ones."""
        foreseen_KO = self.read(gain_A).double() @ self.weight_MDO[slot]
        return float(((foreseen_KO - self.change_KO).abs() / self.error_O).mean())

    def judge(self, known: float) -> Verdict:
        """Say which body it is.

        Args:
            known: a body explains the steps where its error is below so many usual ones.
        """
        others = {
            slot: self.off(slot, self.gain_MA[slot]) for slot in self.there if slot != self.now
        }
        present = self.off(self.now, self.gain_MA[self.now])
        gain_A, guessed = self._rewired(present)
        best = min(others, key=others.__getitem__, default=self.now)
        alike = [slot for slot in others if torch.allclose(self.gain_MA[slot], gain_A)]
        if others and (best in alike or others[best] < known) and others[best] <= FAIR * guessed:
            return Verdict(best, self.gain_MA[best], known=True, explained=True)
        if guessed < BETTER * present:
            return Verdict(self.now, gain_A, known=False, explained=True)
        return Verdict(self.now, self.gain_MA[self.now], known=False, explained=False)

    def _rewired(self, present: float) -> tuple[Tensor, float]:
        """Guess other motors, the best one first, then another with it."""
        gain_A, least = self.gain_MA[self.now], present
        for _ in range(min(PAIRS, len(gain_A))):
            tried = [
                (self.off(self.now, guess), guess)
                for motor in range(len(gain_A))
                for guess in _guesses(gain_A, motor)
            ]
            off, guess = min(tried, key=lambda one: one[0])
            if off >= BETTER * least:
                break
            gain_A, least = guess, off
        return gain_A, least


def _guesses(gain_A: Tensor, motor: int) -> list[Tensor]:
    found = []
    for factor in FACTORS:
        guess = gain_A.clone()
        guess[motor] = guess[motor] * factor if guess[motor] else 1.0
        found.append(guess)
    return found


def room_for(number_M: Tensor, used_M: Tensor, now: int) -> int:
    """Give the slot for a new body: an empty one, else the least recently used; `now` stays."""
    if len(number_M) == 1:
        return now
    age_M = torch.where(number_M < 0, -1, used_M)
    age_M[now] = torch.iinfo(torch.int64).max
    return int(age_M.argmin())
