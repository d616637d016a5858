"""What a learner that infers its task offers beyond the protocol, for whoever plans through it.

Shapes: T tasks (here: streams, robots), M tasks remembered.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from agent.learners.base import Learner, State


@dataclass(frozen=True, slots=True)
class Believed:
    """Which task each stream is thought to be in.

    Args:
        number_T: of the current task; the first one's is 0.
        changes_T: noticed so far.
        new_T: of these, to tasks not met before.
        ids_TM: numbers of the tasks remembered, -1 where there is none.
        posterior_TM: their probabilities; what they lack to one is that of a new one.
    """

    number_T: Tensor
    changes_T: Tensor
    new_T: Tensor
    ids_TM: Tensor
    posterior_TM: Tensor


@runtime_checkable
class Inferring(Protocol):
    """A learner over the states of another one, of which one answers best now."""

    def foremost(self, state: State) -> tuple[Learner, State]:
        """Give the inner learner, and of each stream the state that answers best now."""
        ...

    def believed(self, state: State) -> Believed:
        """Read which tasks there are, and which one is now."""
        ...
