"""Blend: every voice of every expert, under a meta-learned mixer and fixed share.

Two answers are made of the voices: the mixer's (`agent.continual.mixer`), which was meta-trained
and goes on learning on this stream, and fixed share's; and these two are weighed by fixed share
once more. So the whole is never far behind its best voice (the regret of two fixed shares:
`agent.continual.share`), and ahead of it where voices complement one another.

Inside a block the losses that the mixer looks at and both fixed shares move from row to row; the
mixer's parameters take one step of Adam at its end. Cost a block of 32 rows, 20 voices and two
classes: about 1.2 ms on one core.

A label that comes late is learned by the experts with what is known now; voices and answers are
judged also by what they said when its row was asked (`agent.continual.recall`).

Shapes: T tasks, B rows, V voices, C classes, H horizons, A answers (two), W words kept of a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.judge import BlendSettings, Heard, Judge
from agent.continual.judge_classes import UNSEEN, ClassJudge
from agent.continual.judge_numbers import NumberJudge
from agent.continual.mixer import HORIZONS, Mixer
from agent.continual.sound import finite, held, settled, words
from agent.continual.table import Rows, Table, predict
from agent.learners.base import Exact, Learner, Said, Spec, State
from agent.nets import adam_begin, all_seen

__all__ = ["Blend", "BlendSettings", "Heard", "Start"]

ANSWERS = ("mixer", "share")
FRAGILE = ("weight", "trust", "loss")
"""What could overflow in a block; the mixer takes no step against what is not finite."""
LOOK = 4096
"""Labels between two looks at the states of all experts."""


@dataclass(frozen=True, slots=True)
class Start:
    """A meta-trained mixer: the voices that it knows, and its parameters, flat (1P)."""

    voices: tuple[str, ...]
    weights_1P: Tensor


class Blend(Exact):
    """Experts under a mixer.

    Args:
        spec: of the rows; each expert is shown the columns that its own spec asks for.
        experts: learners by name; every voice of each is weighed on its own.
        settings: how.
        start: the meta-trained mixer; None: one drawn from `seed`.
        seed: of that draw.
    """

    voices = ANSWERS

    def __init__(
        self,
        spec: Spec,
        experts: Mapping[str, Learner],
        settings: BlendSettings | None = None,
        start: Start | None = None,
        seed: int = 0,
    ) -> None:
        if not experts:
            raise ValueError("experts is empty: give at least one learner to weigh")
        self.spec, self._table = spec, Table(spec, experts)
        self.experts = self._table.experts
        names = tuple(voice for one in self.experts.values() for voice in one.voices)
        self.table = names
        words = not spec.regression
        self.mixer = Mixer(names, start.voices if start else names, words=words)
        drawn = self.mixer.draw(torch.Generator().manual_seed(seed))
        self._start = start.weights_1P if start else drawn
        judge = NumberJudge if spec.regression else ClassJudge
        self._judge: Judge = judge(self.mixer, len(names), settings or BlendSettings())

    def begin(self, tasks: int) -> State:
        """Equal weights, and the meta-trained mixer."""
        return self._own(tasks, self.spec.width) | self._table.begin(tasks)

    def _own(self, tasks: int, classes: int) -> dict[str, Tensor]:
        """What is kept of the voices, at its start."""
        voices = len(self.table)
        return {
            "weight": torch.full((tasks, voices), 1 / voices, dtype=torch.float64),
            "trust": torch.full((tasks, len(ANSWERS)), 1 / len(ANSWERS), dtype=torch.float64),
            "loss": torch.ones(tasks, len(HORIZONS), voices),
            "count": torch.zeros(tasks, 1),
            "known": torch.full((tasks, classes), 0.0 if self.spec.regression else UNSEEN),
            "unit": torch.zeros(tasks, 2),  # typical error; squared miss in units of the scale
            **adam_begin("mixer", self._start.expand(tasks, -1).contiguous()),
        }

    def standing(self, state: State) -> dict[str, float]:
        """The voices' weights by fixed share, of the first task; they sum to one."""
        return dict(zip(self.table, state["weight"][0].tolist(), strict=True))

    def faults(self, state: State, task: int = 0) -> dict[str, int]:
        """How often each expert broke and was begun anew; those that never did are left out."""
        return self._table.faults(state, task)

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer each row by what has been learned so far."""
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        seen_TB = torch.zeros_like(y_TB, dtype=torch.bool)
        said = self._table.hear(state, self._rows(state, x_TBF, y_TB, seen_TB), predict)
        return self.answer(state, self.hear(state, said, y_TB, seen_TB), y_TB, seen_TB)[0]

    def unsaid(self, classes: int) -> Tensor:
        """Give the words of a row that was not asked: NaN, shape W; W = 0: too many to keep."""
        return self._judge.unsaid(classes)

    @override
    def foresee(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> Said:
        """Let losses and shares move from row to row, and teach nobody."""
        seen_TB = all_seen(y_TB, seen_TB)
        said = self._table.hear(state, self._rows(state, x_TBF, y_TB, seen_TB))
        heard = self.hear(state, said, y_TB, seen_TB, then_TBW)
        return self.answer(state, heard, y_TB, seen_TB)[0]

    @override
    def predict_then_learn(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> tuple[Said, State]:
        """Losses and shares exact at every row; the mixer takes one step; experts as they do.

        `then_TBW` holds the words of late rows as they were asked, NaN for the others.
        """
        seen_TB = all_seen(y_TB, seen_TB)
        said, experts = self.ask(state, x_TBF, y_TB, seen_TB)
        heard = self.hear(state, said, y_TB, seen_TB, then_TBW)
        answer, after = self.answer(state, heard, y_TB, seen_TB)
        if not bool(seen_TB.any()):
            return answer, state
        return answer, {**state, **experts, **after}

    def ask(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[list[Said], dict[str, Tensor]]:
        """Let every expert answer and learn; give what they said, and their states after."""
        counts = zip(state["count"][:, 0].tolist(), seen_TB.sum(1).tolist(), strict=True)
        due = [at for at, (had, new) in enumerate(counts) if (had + new) // LOOK > had // LOOK]
        return self._table.learn(state, self._rows(state, x_TBF, y_TB, seen_TB), due)

    def widen(self, state: State, classes: int) -> State:
        """Widen every expert; nothing here depends on the number of classes but who is known."""
        after = {**state, **self._table.widen(state, classes)}
        room = classes - state["known"].shape[1]
        after["known"] = torch.nn.functional.pad(state["known"], (0, room), value=UNSEEN)
        return after

    def _rows(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Rows:
        room = 0 if self.spec.regression else state["known"].shape[1]
        return Rows(x_TBF, y_TB, seen_TB, room)

    def hear(
        self,
        state: State,
        said: Sequence[Said],
        y_TB: Tensor,
        seen_TB: Tensor,
        then_TBW: Tensor | None = None,
    ) -> Heard:
        """Line the voices up, with their losses before each row."""
        return self._judge.hear(state, said, y_TB, seen_TB, then_TBW)

    def answer(
        self, state: State, heard: Heard, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, dict[str, Tensor]]:
        """Two answers, weighed; and what changes at the end of the block.

        A block that overflows what is kept of the voices leaves that as it was.
        """
        said, after = self._judge.answer(state, heard, y_TB, seen_TB)
        if finite([*words([said]), *(after[name] for name in FRAGILE)]):
            return said, after
        fresh = self._own(len(y_TB), state["known"].shape[1])
        return settled(said), {
            name: held(leaf, state[name], fresh[name].to(leaf.device))
            for name, leaf in after.items()
        }
