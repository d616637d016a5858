"""What a mixture believes of its hypotheses before and after each label, and what it tells of it.

Two posteriors run side by side: one by which tasks change, and one, swifter, that weighs answers.

Shapes: T tasks, B rows, F features, H hypotheses, M tasks kept, R rungs, C classes.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.continual.hypotheses import FAR
from agent.continual.posterior import (
    Bools,
    Floats,
    array,
    at_label,
    class_logs,
    fading,
    filtered,
    input_log_density,
    levelled,
    mixed,
    number_logs,
    telling,
)
from agent.continual.tasks import YOUNG
from agent.learners.base import Classes, Numbers, Said, Spec, State

LEAST = 1e-9  # of a weight that is told
LOWEST = -1e9  # nats; stands for a likelihood that is not a number
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
        young: labels for which a task that is new may still be begun better, without being told of
            as another one.
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
    young: float = YOUNG
    by_inputs: bool = True

    def __post_init__(self) -> None:
        if self.tasks < 1 or not self.spans or min(self.spans) < 1:
            raise ValueError("give 1 task or more, and 1 span or more of 1 label or more")
        if not 0 < self.changes < self.labels:
            raise ValueError(f"changes is {self.changes}; give more than 0, less than labels")
        if self.young < 0:
            raise ValueError(f"young is {self.young}; give 0 or more")
        for name in ("fresh", "swift", "floor", "sure", "learns"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0, less than 1")


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand as a block begins.

    Args:
        holds_TH: places that hold a hypothesis.
        current_TH: the current task's place.
        stored_TH: places of tasks that may return.
        weight_T2H: the posterior by which tasks change, and the weights of answers.
        arrive_T2H: where changes lead, times how probable one is, of the one and of the other.
    """

    holds_TH: Bools
    current_TH: Bools
    stored_TH: Bools
    weight_T2H: Floats
    arrive_T2H: Floats


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said of a block, the posterior in it and after it, and the states after."""

    said: Said
    now: Standing
    seen_TB: Bools
    after_TBH: Floats
    weight_T2H: Floats
    late_TC: Floats
    lean_TH: Floats
    gain_T1: Floats
    loss_TBH: Floats
    learned: State | None
    taught_TBH: Bools


class Belief:
    """The posterior over a mixture's H places, read from its state.

    Args:
        spec: of the rows.
        settings: of the mixture.
    """

    def __init__(self, spec: Spec, settings: MixtureSettings) -> None:
        self.spec, self.settings = spec, settings
        self._places = settings.tasks + len(settings.spans)
        self._place = np.arange(self._places)
        self.is_rung = self._place >= settings.tasks
        self._lowest = (self._place == settings.tasks).astype(np.float64)
        self._inputs, self._floor = spec.sees(), math.log(settings.floor)

    def standing(self, state: State) -> Standing:
        """Read how things stand."""
        ids, born, number, hazard, weight = (
            array(state[f"mixture.{name}"])
            for name in ("ids", "born", "number", "hazard", "weight")
        )
        holds = np.concatenate([ids, born], 1) >= 0
        current = self._place == number[:, :1]
        stored = holds & ~current & ~self.is_rung
        several = stored.sum(1, keepdims=True)
        to = stored / np.maximum(several, 1)
        fresh = np.where(several > 0, self.settings.fresh, 1.0)
        change = hazard * ((1 - fresh) * to + fresh * self._lowest)
        answer = self.settings.swift * (to * 0.9 + self._lowest * 0.1)
        return Standing(holds, current, stored, weight, np.stack([change, answer], 1))

    def hazard(self, changes: float, labels: float) -> float:
        """Mean of the Beta posterior of a change per label."""
        settings = self.settings
        return float((settings.changes + changes) / (settings.labels + labels))

    def evidence(
        self,
        state: State,
        now: Standing,
        each: Said,
        elsewhere: Said,
        y_TB: Tensor,
        late_TBC: Floats,
    ) -> tuple[Floats, Floats]:
        """Log-likelihoods as they count for changes, and for answers, T2BH; losses, 0 to 1, TBH."""
        if isinstance(each, Classes) and isinstance(elsewhere, Classes):
            fair, raw = self._of_classes(state, each, elsewhere, array(y_TB), late_TBC)
            loss = -np.expm1(raw)
        else:
            assert isinstance(each, Numbers)  # noqa: S101 - one or the other
            y_HB = y_TB.repeat_interleave(self._places, 0)
            fair = raw = number_logs(each, y_HB).reshape(len(y_TB), self._places, -1)
            mean, scale = each.moments()
            odd = array((y_HB - mean) / scale).reshape(*raw.shape, -1)
            loss = -np.expm1(-0.5 * (odd**2).mean(3))
        both = np.stack([fair, raw], 1, dtype=np.float64).swapaxes(2, 3)
        both = np.where(now.holds_TH[:, None, None] & (both >= LOWEST), both, LOWEST)
        both = np.maximum(both - both.max(3, keepdims=True), self._floor)
        return both, np.fmin(loss.swapaxes(1, 2), 1.0)

    def _of_classes(
        self,
        state: State,
        each: Classes,
        elsewhere: Classes,
        y_TB: NDArray[np.int64],
        late_TBC: Floats,
    ) -> tuple[Floats, Floats]:
        """Log-likelihoods of classes as they count for changes, and as they are, THB."""
        there, here = (
            logs.reshape(-1, self._places, *logs.shape[1:])
            for logs in (class_logs(elsewhere), class_logs(each))
        )
        known, common = array(state["mixture.known"]), array(state["mixture.labels"])
        fair = at_label(levelled(here, there, known, common), y_TB)
        return fair * telling(y_TB, late_TBC[:, :-1], common)[:, None], at_label(here, y_TB)

    def run_down(
        self, now: Standing, both_T2BH: Floats, seen_TB: Bools
    ) -> tuple[Floats, Floats, Floats]:
        """Weights of answers before each row, the posterior after it, TBH; both at the end, T2H."""
        found = filtered(
            now.weight_T2H.reshape(-1, self._places),
            both_T2BH.reshape(-1, *both_T2BH.shape[2:]),
            np.repeat(seen_TB, 2, 0),
            now.arrive_T2H.reshape(-1, self._places),
        )
        before, after, end = (one.reshape(len(seen_TB), 2, *one.shape[1:]) for one in found)
        return before[:, 1], after[:, 0], end

    def late(self, state: State, y_TB: Tensor, seen_TB: Bools) -> Floats:
        """Fading frequencies of the labels, up to each row, itself included; T (B+1) C."""
        late = array(state["mixture.late"])
        if self.spec.regression:
            return late[:, None]
        labels = array(y_TB)[..., None] == np.arange(late.shape[1])
        return fading(labels * (1 - RUN), seen_TB, late, RUN)

    def lean(
        self, state: State, now: Standing, x_TBF: Tensor, seen_TB: Bools
    ) -> tuple[Floats, Floats]:
        """How far inputs speak for each task rather than the current one: TBH; and what is carried.

        The row itself counts more than those before it: inputs may change from one to the next.
        Nothing is said of rungs.
        """
        carry = array(state["mixture.lean"])
        if not self.settings.by_inputs:
            return carry[:, None], carry
        x = array(self.spec.shown(self._inputs, x_TBF)).clip(-FAR, FAR)
        about, mass = (array(state[f"live.{name}"]) for name in ("input", "mass"))
        dense = input_log_density(
            x,
            about.reshape(len(x), self._places, 2, -1),
            mass.reshape(len(x), self._places, 1),
        )
        current = dense[np.arange(len(x)), :, now.current_TH.argmax(1), None]
        gain = np.where(now.stored_TH[:, None], dense - current, 0.0)
        small = gain.clip(-1, 1)
        sums = fading(small, seen_TB, carry, CARRY)
        earlier = (sums[:, :-1] - small).clip(-EARLIER, EARLIER)
        return gain.clip(-BOUND, BOUND) + earlier, sums[:, -1]

    def told(
        self, state: State, now: Standing, plain_TBH: Floats, lean_TBH: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Weights that are told; those untilted and tilted; each TBH."""
        if self.settings.by != "posterior":
            plain_TBH = np.broadcast_to(now.current_TH[:, None].astype(np.float64), plain_TBH.shape)
        if not self.settings.by_inputs:
            return plain_TBH, plain_TBH, plain_TBH
        tilted = plain_TBH * np.exp(lean_TBH)
        tilted /= tilted.sum(2, keepdims=True)
        trust = array(state["mixture.trust"])[:, None]
        return plain_TBH + trust * (tilted - plain_TBH), plain_TBH, tilted


def spoken(each: Said, told_TBH: Floats) -> Said:
    """Mix what the hypotheses say by the weights that are told."""
    log_weight = torch.from_numpy(np.log(np.maximum(told_TBH, LEAST)).astype(np.float32))
    return mixed(each, log_weight.to(each.voice_TBV.device))
