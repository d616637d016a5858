"""Gaits that are beliefs: what a policy does when it takes its motors' gains for these.

A policy that acts through a self-model is a library already: each assumption about the motors is a
way to move. Tried one after another by what they earn, they need no self-model, and go beyond what
one can say: an assumption that is wrong of the motors may suit longer legs (Yu, Liu & Turk 2019,
Policy transfer with strategy optimization).

Shapes: N robots, G gaits, P = A + 1: a gain for each motor, and 1 where the policy that is told
nothing acts; O observations, A motors, K specialists.
"""

from itertools import combinations, product

import torch
from torch import Tensor

from agent.control.context_policy import Policies
from agent.control.gains import signs, sizes
from agent.control.policy import Bank

FAULTS = (0.0, -1.0, 0.4)  # gains that are assumed of motors that are not as they were


class Contexts:
    """Moves by policies under assumed gains.

    Args:
        policies: who acts.
    """

    def __init__(self, policies: Policies) -> None:
        self.policies = policies
        self._bank = Bank([policies.told, *policies.specialists.values()])

    def __call__(self, gait_NP: Tensor, clock_N: Tensor, obs_NO: Tensor) -> Tensor:
        """Give the actions (N, A) under each robot's assumption."""
        del clock_N
        gain_NA, plain_N = gait_NP[:, :-1], gait_NP[:, -1] > 0
        wanted_NA = self._bank(obs_NO, sizes(gain_NA), self._who(gain_NA)).clamp(-1, 1)
        action_NA = wanted_NA * signs(gain_NA)
        if self.policies.robust is None or not bool(plain_N.any()):
            return action_NA
        plain_NA = self.policies.robust(obs_NO).clamp(-1, 1)
        return torch.where(plain_N.unsqueeze(1), plain_NA, action_NA)

    def turned(self, gait_NP: Tensor, action_NA: Tensor) -> Tensor:
        """Turn commands round to motors that are assumed to turn the other way."""
        return action_NA * signs(gait_NP[:, :-1])

    def describe(self, gait_GP: Tensor) -> Tensor:
        """Give the assumptions themselves, (G, P)."""
        return gait_GP

    def _who(self, gain_NA: Tensor) -> Tensor:
        """Give each one's place in the bank: a specialist's where its motors are taken for dead."""
        dead_NA = gain_NA.abs() <= self.policies.dead
        who_N = torch.zeros(len(gain_NA), dtype=torch.int64)
        for place, motors in enumerate(self.policies.specialists, start=1):
            wanted_A = torch.zeros(gain_NA.shape[1], dtype=torch.bool)
            wanted_A[list(motors)] = True
            who_N[(dead_NA == wanted_A).all(1)] = place
        return who_N


def assumptions(motors: int, at_once: int = 2, *, robust: bool) -> Tensor:
    """Give every way in which so many motors, or fewer, may have failed, (G, P).

    The first is that none has; the last, where there is such a one, is the policy told nothing.
    """
    rows = [[1.0] * motors + [0.0]]
    for count in range(1, at_once + 1):
        for which in combinations(range(motors), count):
            for faults in product(FAULTS, repeat=count):
                row = [1.0] * motors + [0.0]
                for motor, fault in zip(which, faults, strict=True):
                    row[motor] = fault
                rows.append(row)
    if robust:
        rows.append([1.0] * motors + [1.0])
    return torch.tensor(rows)
