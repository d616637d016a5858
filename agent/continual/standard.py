"""Numbers in a stream's own unit, for a learner that was trained on numbers near one.

The targets' mean and deviation are followed online (Chan, Golub & LeVeque 1979), at most `MEMORY`
labels' worth, and a block is standardised by what was known before it: no label of a block tells
of itself. Only the first block, before which nothing is known, is learned by its own.

Shapes: T tasks, B rows, F features, O outputs.
"""

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Learner, Numbers, Said, State
from agent.nets import all_seen, part, prefixed

MEMORY = 10_000.0
LEAST = 1e-6  # of the size of the mean: the smallest deviation


class Standard(Exact):
    """A learner of numbers that sees them standardised, and answers in their unit.

    Args:
        learner: what learns; its spec must be of numbers.
    """

    def __init__(self, learner: Learner) -> None:
        if not learner.spec.regression:
            raise ValueError("classes have no unit: Standard is for learners of numbers")
        self._learner, self.spec = learner, learner.spec

    @property
    def voices(self) -> tuple[str, ...]:
        """Those of the learner."""
        return self._learner.voices

    def begin(self, tasks: int) -> State:
        """Nothing is known of the unit."""
        inner = self._learner.begin(tasks)
        zero = next(iter(inner.values())).new_zeros(tasks, 3, self.spec.outputs)
        return {"unit": zero, **prefixed("inner", inner)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer in the targets' unit."""
        said = self._learner.predict(part("inner", state), x_TBF)
        return self._back(said, state["unit"])

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer as `predict_then_learn` would."""
        unit = state["unit"]
        said = self._learner.foresee(part("inner", state), x_TBF, self._to(y_TB, unit), seen_TB)
        return self._back(said, unit)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer and learn in standard units."""
        inner, unit = part("inner", state), state["unit"]
        after = self._met(unit, y_TB, all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB))  # noqa: PLR2004
        if bool((unit[:, 0] > 0).all()):
            said, learned = self._learner.predict_then_learn(
                inner, x_TBF, self._to(y_TB, unit), seen_TB
            )
        else:
            fresh = (unit[:, :1] <= 0).expand_as(unit)
            by = torch.where(fresh, after, unit)
            said = self._learner.foresee(inner, x_TBF, self._to(y_TB, unit), seen_TB)
            learned = self._learner.learn(inner, x_TBF, self._to(y_TB, by), seen_TB)
        return self._back(said, unit), {"unit": after, **prefixed("inner", learned)}

    def widen(self, state: State, classes: int) -> State:
        """Numbers have no classes."""
        del classes
        return state

    def _met(self, unit_T3O: Tensor, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Count, mean and sum of squares after these labels."""
        y = y_TB.unsqueeze(2) if self.spec.outputs == 1 else y_TB
        seen = seen_TB.unsqueeze(2)
        new = seen.sum(1).to(y.dtype)
        mean_new = torch.where(seen, y, 0.0).sum(1) / new.clamp(min=1)
        square_new = torch.where(seen, (y - mean_new.unsqueeze(1)) ** 2, 0.0).sum(1)
        count, mean, square = unit_T3O.unbind(1)
        kept = count.clamp(max=MEMORY)
        square = square * kept / count.clamp(min=1)
        total, step = kept + new, mean_new - mean
        share = new / total.clamp(min=1)
        after = torch.stack(
            [total, mean + step * share, square + square_new + step**2 * kept * share], 1
        )
        sound = after.isfinite().all(1, keepdim=True) & (new > 0).unsqueeze(1)
        return torch.where(sound, after, unit_T3O)

    def _scale(self, unit_T3O: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation, shape T1 with one output, T1O with several."""
        count, mean, square = unit_T3O.unbind(1)
        spread = (square / count.clamp(min=1)).sqrt().maximum(LEAST * (1 + mean.abs()))
        spread = torch.where(square > 0, spread, 1.0)
        return (mean, spread) if self.spec.outputs == 1 else (mean[:, None], spread[:, None])

    def _to(self, y_TB: Tensor, unit_T3O: Tensor) -> Tensor:
        mean, spread = self._scale(unit_T3O)
        return (y_TB - mean) / spread

    def _back(self, said: Said, unit_T3O: Tensor) -> Said:
        if isinstance(said, Classes):
            raise TypeError("a learner of numbers answered with classes")
        mean, spread = (one.unsqueeze(2) for one in self._scale(unit_T3O))
        return Numbers(said.voice_TBV, said.mean_TBV * spread + mean, said.scale_TBV * spread)
