"""Who looks on while a learner is meta-trained. A watcher changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Row:
    """Where a run stands at a validation.

    Args:
        iteration: outer steps done.
        train: mean training loss since the row before.
        validation: loss on held-out tasks.
        best: the lowest of those so far.
        skipped: steps that were not finite, so far.
        seconds: of training so far, those before a resumption too.
    """

    iteration: int
    train: float
    validation: float
    best: float
    skipped: int
    seconds: float


class Watcher(Protocol):
    """Is told what happens."""

    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        """A run starts at an iteration; at 0, or later where it was taken up again."""
        ...

    def stepped(self, iteration: int) -> None:
        """An outer step was done."""
        ...

    def noted(self, row: Row) -> None:
        """A validation was done."""
        ...

    def ended(self, why: str) -> None:
        """The run stopped."""
        ...


class Silent:
    """Looks on and says nothing; the start of other watchers."""

    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        """Nothing."""

    def stepped(self, iteration: int) -> None:
        """Nothing."""

    def noted(self, row: Row) -> None:
        """Nothing."""

    def ended(self, why: str) -> None:
        """Nothing."""


class Several(Silent):
    """Tells several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    @override
    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        for one in self._watchers:
            one.began(iteration, iterations, rows)

    @override
    def stepped(self, iteration: int) -> None:
        for one in self._watchers:
            one.stepped(iteration)

    @override
    def noted(self, row: Row) -> None:
        for one in self._watchers:
            one.noted(row)

    @override
    def ended(self, why: str) -> None:
        for one in self._watchers:
            one.ended(why)
