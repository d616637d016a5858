"""What learners share that read examples in their order and answer a block in one exact pass.

A family says how examples are heard and how a row is answered:

    hear: the embedded examples, seen ones first -> a trace (what may be looked up), leaves after
    ask:  the trace, embedded rows, how many examples each of them follows -> logits, or numbers

Row i is answered from the seen rows before it, as if the rows had come one by one. Numbers are
answered in units of the numbers so far (their running mean and deviation, `agent.nets.running`,
starting at 0 and 1); a network reads them squashed. A class that was not met is held at `UNSEEN`.

Shapes: T tasks, B rows, K = B + 1, F features, E embedding, C classes, O outputs, L what a network
reads of a label: 2 O.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Said, Spec, State
from agent.learners.meta import UNSEEN, Pointwise, numbers, one_voice
from agent.nets import all_seen, hot
from agent.nets.body import Conv, Mlp
from agent.nets.running import moments, totals
from agent.nets.window import Run, front, rows, run_of


@dataclass(frozen=True, slots=True)
class Told:
    """Examples as a family hears them: the seen rows first, zeros after them."""

    e_TBE: Tensor
    y_TB: Tensor
    label_TBL: Tensor
    unit: Tensor
    run: Run


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows to answer: how many told examples each follows, and what the labels had been by then."""

    e_TBE: Tensor
    at_TB: Tensor
    share_TBC: Tensor
    middle_TBO: Tensor
    deviation_TBO: Tensor

    @property
    def unit(self) -> Tensor:
        """The unit of the numbers so far, as a network reads it, TBL; nothing of classes."""
        return _unit(self.middle_TBO, self.deviation_TBO)


class Causal(Pointwise):
    """A learner that hears examples and is asked rows, in one pass.

    Args:
        spec: what is asked for.
    """

    body: Mlp | Conv

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.read = 2 * spec.outputs if spec.regression else 2

    @abstractmethod
    def start(self, tasks: int) -> dict[str, Tensor]:
        """Leaves of a state that has heard nothing."""

    @abstractmethod
    def hear(self, state: State, told: Told) -> tuple[Any, dict[str, Tensor]]:
        """Read the examples: what rows may look up at any place among them, and leaves after."""

    @abstractmethod
    def ask(self, trace: Any, asked: Asked) -> Tensor:
        """Logits, or numbers in units of the numbers so far, shape TBO."""

    @override
    def begin(self, tasks: int) -> State:
        """Nothing was heard."""
        zero = next(self.parameters()).new_zeros
        leaves = {**self.fresh(tasks), "count": zero(tasks, 1), **self.start(tasks)}
        if not self.spec.regression:
            return {**leaves, "mass": zero(tasks, self.spec.classes)}
        middle = zero(tasks, self.spec.outputs)
        return {**leaves, "middle": middle, "variance": middle + 1}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer every row with the state as it stands."""
        at_TB = torch.zeros(x_TBF.shape[:2], dtype=torch.int64, device=x_TBF.device)
        e_TBE = self.embed(x_TBF)
        trace, past, _ = self._heard(state, e_TBE[:, :0], self._nothing(x_TBF), None)
        return self._answer(trace, past, e_TBE, at_TB)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Hear these examples, in their order."""
        return self._heard(state, self.embed(x_TBF), y_TB, seen_TB)[2]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Row i from the seen rows before it, all in one pass."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        e_TBE = self.embed(x_TBF)
        trace, past, after = self._heard(state, e_TBE, y_TB, seen_TB)
        return self._answer(trace, past, e_TBE, run_of(seen_TB).before_TB), after

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class was never seen."""
        return {"mass": 0.0}

    def embed(self, x_TBF: Tensor) -> Tensor:
        """Embed rows, shape TBE."""
        out: Tensor = self.body(x_TBF)
        return out

    def _heard(
        self, state: State, e_TBE: Tensor, y_TB: Tensor, seen_TB: Tensor | None
    ) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        """Give the trace, the past after 0, 1, ... examples, and the state after all."""
        seen_TB = all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004
        run = run_of(seen_TB)
        y_TB = front(y_TB, run)
        past = self._past(state, y_TB, run.told)
        unit = _unit(past["middle"], past["variance"].sqrt()) if "middle" in past else None
        label = self._label(past, y_TB)
        before = label if unit is None else unit[:, :-1]
        told = Told(front(e_TBE, run), y_TB, label, before, run)
        trace, leaves = self.hear(state, told)
        latest = {name: leaf[:, -1] for name, leaf in past.items()}
        if not self.spec.regression:
            latest["known"] = _known(latest["mass"])
        return trace, past, {**state, **latest, **leaves}

    def _past(self, state: State, y_TB: Tensor, told_TB: Tensor) -> dict[str, Tensor]:
        count = totals(state["count"], told_TB.unsqueeze(2).to(state["count"].dtype))
        if not self.spec.regression:
            mass = state["mass"]
            label = hot(y_TB, mass.shape[1]).to(mass.dtype) * told_TB.unsqueeze(2)
            return {"count": count, "mass": totals(mass, label)}
        y_TBO = y_TB if self.spec.outputs > 1 else y_TB.unsqueeze(2)
        middle, variance = state["middle"], state["variance"]
        after = moments(middle, variance, state["count"], y_TBO, told_TB)
        return {"count": count, "middle": after[0], "variance": after[1]}

    def _label(self, past: Mapping[str, Tensor], y_TB: Tensor) -> Tensor:
        """What a network reads of numbers: squashed, as they are and in units of those before."""
        if not self.spec.regression:
            return y_TB.new_zeros(*y_TB.shape, 0, dtype=past["mass"].dtype)
        y_TBO = y_TB if self.spec.outputs > 1 else y_TB.unsqueeze(2)
        apart = (y_TBO - past["middle"][:, :-1]) / past["variance"][:, :-1].sqrt()
        return torch.cat([y_TBO.asinh(), apart.asinh()], 2)

    def _answer(self, trace: Any, past: Mapping[str, Tensor], e_TBE: Tensor, at_TB: Tensor) -> Said:
        now = {name: rows(leaf, at_TB) for name, leaf in past.items()}
        if not self.spec.regression:
            share = torch.log((now["mass"] + 1) / (now["mass"] + 1).sum(2, keepdim=True))
            none = share[..., :0]
            out = self.ask(trace, Asked(e_TBE, at_TB, share, none, none))
            return one_voice(torch.log_softmax(out + _known(now["mass"]), 2))
        middle, deviation = now["middle"], now["variance"].sqrt()
        out = self.ask(trace, Asked(e_TBE, at_TB, middle[..., :0], middle, deviation))
        stage = self.scale({"count": now["count"].reshape(-1, 1)}).view(*at_TB.shape, 1)
        return numbers(self.spec, middle + deviation * out, deviation * stage)

    def _nothing(self, x_TBF: Tensor) -> Tensor:
        """No labels."""
        if not self.spec.regression:
            return torch.zeros(x_TBF.shape[0], 0, dtype=torch.int64, device=x_TBF.device)
        last = (self.spec.outputs,) if self.spec.outputs > 1 else ()
        return x_TBF.new_zeros(x_TBF.shape[0], 0, *last)


def _known(mass: Tensor) -> Tensor:
    return torch.where(mass > 0, 0.0, UNSEEN).to(mass.dtype)


def _unit(middle: Tensor, deviation: Tensor) -> Tensor:
    return torch.cat([middle.asinh(), deviation.log()], 2)
