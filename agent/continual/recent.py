"""A learner that is taught its last M examples at every step, as a rule anew from its start.

Begun anew it is GrBAL (Nagabandi et al. 2019): the meta-learned start is adapted on the last M
examples alone, so nothing that was taught before them is left, and nothing is forgotten but by
design. Any learner can stand inside: gradients, a learned update rule, a posterior, a set-encoding.
Going on from where it stands it rehearses: fine-tuning on a buffer of what came last.

Shapes: T tasks, B rows, F features, M examples kept, O outputs.
"""

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Said, State
from agent.learners.meta import targets
from agent.nets import part, prefixed, rows_seen
from agent.nets.window import front, held_after, run_of, slid


class Recent(Blockwise):
    """The start of a learner, taught the last examples, whenever there is a new one.

    Args:
        learner: of numbers.
        memory: M.
        anew: whether it begins from its start each time, or goes on.

    Raises:
        ValueError: it is a learner of classes, or M is less than 1.
    """

    def __init__(self, learner: Learner, memory: int = 16, *, anew: bool = True) -> None:
        if not learner.spec.regression or memory < 1:
            raise ValueError("Recent takes a learner of numbers, and a memory of 1 or more")
        self.spec, self.learner = learner.spec, learner
        self.memory, self.anew = memory, anew

    @property
    def voices(self) -> tuple[str, ...]:
        """The learner's."""
        return self.learner.voices

    def begin(self, tasks: int) -> State:
        """The learner's start, and no examples."""
        inner = self.learner.begin(tasks)
        at = next(iter(inner.values())).device
        return {
            "x": torch.zeros(tasks, self.memory, self.spec.features, device=at),
            "y": torch.zeros(tasks, self.memory, self.spec.outputs, device=at),
            "held": torch.zeros(tasks, 1, dtype=torch.int64, device=at),
            **prefixed("inner", inner),
        }

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As the learner, taught the last examples."""
        return self.learner.predict(part("inner", state), x_TBF)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Shift the examples in, and begin anew from all that are kept."""
        seen = rows_seen(y_TB, seen_TB)
        run = run_of(seen)
        x = slid(state["x"], front(x_TBF, run), run)
        y = slid(state["y"], front(targets(self.spec, y_TB, 0), run), run)
        held = held_after(state["held"], run, self.memory)
        there = torch.arange(self.memory, device=held.device) >= self.memory - held
        y_TM = y if self.spec.outputs > 1 else y[..., 0]
        stands = self.learner.begin(len(x)) if self.anew else part("inner", state)
        inner = self.learner.learn(stands, x, y_TM, there)
        return {"x": x, "y": y, "held": held, **prefixed("inner", inner)}

    def widen(self, state: State, classes: int) -> State:
        """Numbers have no classes."""
        del classes
        return state
