"""What a mixture believes of its hypotheses before and after each label, and what it tells of it.

Two posteriors run side by side: one by which tasks change, and one, swifter, that weighs answers.

Shapes: T tasks, B rows, F features, H hypotheses, M tasks kept, R rungs, C classes.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from agent.continual.hypotheses import FAR
from agent.continual.posterior import (
    Floats,
    fading,
    filtered,
    input_log_density,
    levelled,
    log_likelihood,
    telling,
)
from agent.continual.tasks import Book
from agent.learners.base import Classes, Numbers, Said, Spec, State
from agent.nets import hot

LEAST = 1e-9  # of a weight that is told
CARRY = 0.9  # of the inputs' evidence, from label to label
RUN = 0.95  # of the labels' late frequencies, from label to label
BOUND = 8.0  # nats by which a row may tilt the odds of its own answer
EARLIER = 2.0  # nats by which the rows before it may


@dataclass(frozen=True, slots=True)
class MixtureSettings:
    """Hypotheses, and when they take over.

    Args:
        by: what finds changes: the posterior; a detector of River's on the loss, "adwin",
            "page-hinkley" or "kswin"; or nothing, "never".
        tasks: M, tasks remembered, the current one included.
        spans: labels from the beginning of a new hypothesis to the next, on each of R rungs.
        changes: expected changes in `labels` labels, as seen before the first one.
        labels: how many labels that expectation is worth.
        fresh: share of the changes that lead to a new task where old ones are stored.
        swift: how often another hypothesis is thought to answer best, per label; answers follow
            likelihood at this pace, changes of the task need `sure`.
        floor: the least likelihood, relative to the best hypothesis, that a label can give one.
        sure: probability against the current task alone at which another hypothesis takes over.
        learns: posterior from which on a task learns a row.
        by_inputs: whether inputs tilt the answers before labels come.
    """

    by: Literal["posterior", "adwin", "page-hinkley", "kswin", "never"] = "posterior"
    tasks: int = 5
    spans: tuple[float, ...] = (64.0, 256.0, 1024.0)
    changes: float = 1.0
    labels: float = 500.0
    fresh: float = 0.5
    swift: float = 0.02
    floor: float = 0.03
    sure: float = 0.9999
    learns: float = 0.3
    by_inputs: bool = True

    def __post_init__(self) -> None:
        if self.tasks < 1 or not self.spans or min(self.spans) < 1:
            raise ValueError("give 1 task or more, and 1 span or more of 1 label or more")
        if not 0 < self.changes < self.labels:
            raise ValueError(f"changes is {self.changes}; give more than 0, less than labels")
        for name in ("fresh", "swift", "floor", "sure", "learns"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0, less than 1")


class Belief:
    """The posterior over a mixture's H places, read from its state.

    Args:
        spec: of the rows.
        settings: of the mixture.
    """

    def __init__(self, spec: Spec, settings: MixtureSettings) -> None:
        self.spec, self.settings = spec, settings
        self._tasks = settings.tasks
        self._places = self._tasks + len(settings.spans)
        self._is_rung = torch.arange(self._places) >= self._tasks
        self._inputs, self._floor = spec.sees(), math.log(settings.floor)

    def standing(self, state: State) -> tuple[Tensor, Tensor]:
        """Places that hold a hypothesis, and the current task's, each of shape TH."""
        stand = torch.cat([state["mixture.ids"] >= 0, state["mixture.born"] >= 0], 1).cpu()
        places = torch.arange(self._places)
        return stand, places == Book.current_of(state).unsqueeze(1)

    def arrivals(self, state: State) -> Floats:
        """Where changes lead, times how probable one is, T2H: of the task; of who answers best."""
        stand, current = self.standing(state)
        stored = (stand & ~current & ~self._is_rung).double()
        several = stored.sum(1, keepdim=True)
        to = stored / several.clamp(min=1)
        fresh = torch.where(several > 0, self.settings.fresh, 1.0)
        lowest = (torch.arange(self._places) == self._tasks).double()
        hazard, swift = state["mixture.hazard"].cpu(), self.settings.swift
        change = hazard * ((1 - fresh) * to + fresh * lowest)
        answer = swift * (to * 0.9 + lowest * 0.1)
        arrive: Floats = torch.stack([change, answer], 1).numpy()
        return arrive

    def hazard(self, changes: float, labels: float) -> float:
        """Mean of the Beta posterior of a change per label."""
        settings = self.settings
        return float((settings.changes + changes) / (settings.labels + labels))

    def evidence(
        self, state: State, each: Said, elsewhere: Said, y_TB: Tensor, late_TBC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-likelihoods as they count for changes, and for answers, T2BH; losses, 0 to 1, TBH."""
        tasks, rows = y_TB.shape
        y_HB = y_TB.repeat_interleave(self._places, 0)
        raw = log_likelihood(each, y_HB)
        fair = raw
        loss = -torch.expm1(raw)
        if isinstance(each, Classes) and isinstance(elsewhere, Classes):
            there, here = (
                one.marginal().unflatten(0, (tasks, self._places)) for one in (elsewhere, each)
            )
            fair_THBC = levelled(here, there, state["mixture.known"], state["mixture.labels"])
            fair = fair_THBC.flatten(0, 1).gather(2, y_HB.long().unsqueeze(2)).squeeze(2)
            tells_TB = telling(y_TB.long(), late_TBC[:, :-1], state["mixture.labels"])
            fair = fair * tells_TB.repeat_interleave(self._places, 0)
        elif isinstance(each, Numbers):
            mean, scale = each.moments()
            loss = -torch.expm1(-0.5 * ((y_HB - mean) / scale) ** 2)
        both = torch.stack([fair, raw]).double().cpu().nan_to_num(-1e9)
        both = both.view(2, tasks, self._places, rows).permute(1, 0, 3, 2)
        both = both.masked_fill(~self.standing(state)[0][:, None, None], -1e9)
        both = (both - both.amax(3, keepdim=True)).clamp(min=self._floor)
        return both, loss.view(tasks, self._places, rows).transpose(1, 2).cpu().nan_to_num(1.0)

    def run_down(
        self, state: State, both_T2BH: Floats, seen_TB: Tensor
    ) -> tuple[Tensor, Floats, Floats]:
        """Weights of answers before each row, the posterior after it, TBH; both at the end, T2H."""
        tasks = len(both_T2BH)
        weight, seen = _numpy(state["mixture.weight"]), np.repeat(_numpy(seen_TB), 2, 0)
        to = self.arrivals(state)
        before, after, end = (
            one.reshape(tasks, 2, *one.shape[1:])
            for one in filtered(
                weight.reshape(2 * tasks, -1),
                both_T2BH.reshape(2 * tasks, *both_T2BH.shape[2:]),
                seen,
                to.reshape(2 * tasks, -1),
            )
        )
        return torch.from_numpy(before[:, 1]), after[:, 0], end

    def late(self, state: State, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Fading frequencies of the labels, up to each row, itself included; T (B+1) C."""
        if self.spec.regression:
            return state["mixture.late"].unsqueeze(1)
        labels = hot(y_TB, state["mixture.late"].shape[1]) * (1 - RUN)
        return fading(labels, seen_TB, state["mixture.late"], RUN)

    def lean(self, state: State, x_TBF: Tensor, seen_TB: Tensor) -> tuple[Tensor, Tensor]:
        """How far inputs speak for each task rather than the current one: TBH; and what is carried.

        The row itself counts more than those before it: inputs may change from one to the next.
        Nothing is said of rungs.
        """
        carry = state["mixture.lean"].cpu()
        if not self.settings.by_inputs:
            return carry.unsqueeze(1), carry
        tasks = len(x_TBF)
        x = self.spec.shown(self._inputs, x_TBF).clamp(-FAR, FAR)
        about, mass = (state[f"live.{name}"] for name in ("input", "mass"))
        dense = input_log_density(
            x, about.view(tasks, self._places, 2, -1), mass.view(tasks, self._places, 1)
        ).cpu()
        stand, current = self.standing(state)
        stored = stand & ~self._is_rung
        now = (dense * current.unsqueeze(1)).sum(2, keepdim=True)
        gain = (dense - now) * stored.unsqueeze(1)
        small = gain.clamp(-1, 1)
        sums = fading(small, seen_TB.cpu(), carry, CARRY)
        earlier = (sums[:, :-1] - small).clamp(-EARLIER, EARLIER)
        return gain.clamp(-BOUND, BOUND) + earlier, sums[:, -1]

    def told(
        self, state: State, plain_TBH: Tensor, lean_TBH: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights of what is told; weights untilted and tilted; each TBH."""
        if self.settings.by != "posterior":
            plain_TBH = self.standing(state)[1].unsqueeze(1).double().expand_as(plain_TBH)
        if not self.settings.by_inputs:
            return plain_TBH.clamp(min=LEAST).log().float(), plain_TBH, plain_TBH
        tilted = plain_TBH * lean_TBH.exp()
        tilted = tilted / tilted.sum(2, keepdim=True)
        told = torch.lerp(plain_TBH, tilted, state["mixture.trust"].cpu().unsqueeze(2))
        return told.clamp(min=LEAST).log().float(), plain_TBH, tilted


def _numpy(leaf: Tensor) -> Any:
    """The array of a tensor; it may share its memory."""
    return leaf.cpu().numpy()
