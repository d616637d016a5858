"""Experts at a table, each on its own: one that breaks is mended, begun anew and counted.

An expert is broken where its words or its state are not finite, or where it raises. Its answers to
those rows then say nothing (`agent.continual.sound`), after the block its state stands at its
beginning again, and the others know nothing of it. Words are looked at in every block, at the cost
of a sum; states now and then, since what is wrong in them is mostly heard before.

An expert that raises is asked task by task, so that only the task that it cannot do begins anew. If
all experts raise on a task, the fault is not theirs, and the error goes on.

Shapes: T tasks, B rows, F features, E experts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import structlog
import torch
from torch import Tensor

from agent.continual.abreast import joined, of_task, together
from agent.continual.sound import finite, mended, put_back, unsaid, unsound, words
from agent.learners.base import Learner, Said, Spec, State
from agent.nets import part, prefixed

log = structlog.get_logger(__name__)

FAULTS = "faults"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with their labels, as every expert gets them; `room` for classes, 0 for numbers."""

    x_TBF: Tensor
    y_TB: Tensor
    seen_TB: Tensor
    room: int

    def of(self, task: int) -> "Rows":
        """Give one task's rows."""
        one = slice(task, task + 1)
        return Rows(self.x_TBF[one], self.y_TB[one], self.seen_TB[one], self.room)


Told: TypeAlias = tuple[Said, State]
Verb: TypeAlias = Callable[[Learner, State, Rows], Told]


def predict(expert: Learner, state: State, rows: Rows) -> Told:
    """Answer from what was learned so far."""
    return expert.predict(state, rows.x_TBF), state


def foresee(expert: Learner, state: State, rows: Rows) -> Told:
    """Answer as `learn` will."""
    return expert.foresee(state, rows.x_TBF, rows.y_TB, rows.seen_TB), state


def learn(expert: Learner, state: State, rows: Rows) -> Told:
    """Answer and learn."""
    return expert.predict_then_learn(state, rows.x_TBF, rows.y_TB, rows.seen_TB)


@dataclass(slots=True)
class _Round:
    """One round of the table: errors raised in it, by expert, and by which tasks."""

    errors: dict[str, Exception] = field(default_factory=dict)
    raised: list[tuple[int, str]] = field(default_factory=list)


def told(count: int) -> bool:
    """Whether the log tells of a fault with this number: the 1st, 2nd, 4th, 8th, and so on."""
    return count & (count - 1) == 0


class Table:
    """Experts by name.

    Args:
        spec: of the rows; each expert is shown the columns that its own spec asks for.
        experts: they.
    """

    def __init__(self, spec: Spec, experts: Mapping[str, Learner]) -> None:
        self.spec, self.experts = spec, dict(experts)
        self._place = {name: at for at, name in enumerate(self.experts)}

    def begin(self, tasks: int) -> dict[str, Tensor]:
        """All experts at their start; none has broken yet."""
        state = {FAULTS: torch.zeros(tasks, len(self.experts), dtype=torch.int64)}
        for name, expert in self.experts.items():
            state |= prefixed(name, expert.begin(tasks))
        return state

    def faults(self, state: State, task: int = 0) -> dict[str, int]:
        """How often each expert was begun anew; those that never were are left out."""
        counts = state[FAULTS][task].tolist()
        return {name: counts[at] for name, at in self._place.items() if counts[at]}

    def hear(self, state: State, rows: Rows, verb: Verb = foresee) -> list[Said]:
        """Let every expert answer; nothing is learned, nothing counted."""
        heard = self._round(state, rows, verb, _Round())[0]
        return heard if finite(words(heard)) else mended(heard)[0]

    def learn(
        self, state: State, rows: Rows, due: Sequence[int] = ()
    ) -> tuple[list[Said], dict[str, Tensor]]:
        """Let every expert answer and learn; give what they said, and their states after.

        Args:
            state: of the table.
            rows: of the block.
            due: the tasks whose states are to be looked at too.
        """
        trouble = _Round()
        heard, after = self._round(state, rows, learn, trouble)
        after[FAULTS] = state[FAULTS]
        sound = finite(words(heard))
        if sound and not trouble.raised and not due:
            return heard, after
        bad_TE = torch.zeros_like(state[FAULTS], dtype=torch.bool)
        for task, name in trouble.raised:
            bad_TE[task, self._place[name]] = True
            if told(int(state[FAULTS][task, self._place[name]]) + 1):
                why = repr(trouble.errors[name])
                log.error("expert raised; it begins anew", expert=name, why=why)
        if not sound:
            heard, wrong_TE = mended(heard)
            bad_TE |= wrong_TE
        if due:
            bad_TE[due] |= self._broken(after)[due]
        return heard, self._anew(after, bad_TE, rows.room)

    def widen(self, state: State, classes: int) -> dict[str, Tensor]:
        """Widen every expert."""
        after = {FAULTS: state[FAULTS]}
        for name, expert in self.experts.items():
            after |= prefixed(name, expert.widen(part(name, state), classes))
        return after

    def _round(
        self, state: State, rows: Rows, verb: Verb, trouble: _Round
    ) -> tuple[list[Said], dict[str, Tensor]]:
        heard: list[Said] = []
        after: dict[str, Tensor] = {}
        for name, expert in self.experts.items():
            shown = replace(rows, x_TBF=self.spec.shown(expert.spec, rows.x_TBF))
            said, learned = self._alone(name, verb, part(name, state), shown, trouble)
            heard.append(said)
            after |= prefixed(name, learned)
        if trouble.raised:
            for task in range(len(rows.x_TBF)):
                if all((task, name) in trouble.raised for name in self.experts):
                    raise next(iter(trouble.errors.values()))
        return heard, after

    def _alone(self, name: str, verb: Verb, state: State, rows: Rows, trouble: _Round) -> Told:
        """Ask one expert; what it cannot do is left unsaid."""
        try:
            return verb(self.experts[name], state, rows)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an expert raises, the others answer on
            trouble.errors[name] = error
        tasks = len(rows.x_TBF)
        each = [self._at(name, verb, state, rows, (task, tasks)) for task in range(tasks)]
        trouble.raised += [(task, name) for task, (_, sound) in enumerate(each) if not sound]
        return together([told[0] for told, _ in each]), joined([told[1] for told, _ in each])

    def _at(
        self, name: str, verb: Verb, state: State, rows: Rows, place: tuple[int, int]
    ) -> tuple[Told, bool]:
        """Ask one expert of one task; say whether it could.

        What fails in learning may still be able to answer, as it did before the block was whole.
        """
        task, tasks = place
        expert, rows = self.experts[name], rows.of(task)
        alone = of_task(state, task, tasks)
        for ask in (verb, foresee):
            try:
                return ask(expert, alone, rows), ask is verb
            except Exception as error:  # noqa: BLE001 - as above
                log.debug("expert raised", expert=name, why=str(error))
        return (unsaid(len(expert.voices), rows.room, rows.x_TBF), alone), False

    def _broken(self, after: State) -> Tensor:
        """Which states hold what is no number, shape TE."""
        each = []
        for name, expert in self.experts.items():
            begun = expert.begin(1)
            sound = [leaf for leaf, value in begun.items() if bool(value.isfinite().all())]
            each.append(unsound([after[f"{name}.{leaf}"] for leaf in sound], len(after[FAULTS])))
        return torch.stack(each, 1)

    def _anew(self, after: dict[str, Tensor], bad_TE: Tensor, room: int) -> dict[str, Tensor]:
        """Put the states of these experts at their beginning, and count it."""
        after = {**after, FAULTS: after[FAULTS] + bad_TE}
        for name, expert in self.experts.items():
            bad_T = bad_TE[:, self._place[name]]
            if not bool(bad_T.any()):
                continue
            begun = expert.begin(len(bad_T))
            if room > expert.spec.classes:
                begun = expert.widen(begun, room)
            for leaf, value in prefixed(name, begun).items():
                after[leaf] = put_back(after[leaf], value.to(after[leaf].device), bad_T)
        return after
