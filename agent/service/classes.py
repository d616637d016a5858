"""The classes met so far: names to indices, in the order of their first label."""

from collections.abc import Sequence
from typing import Final

import structlog

from streams.records import Truth

log = structlog.get_logger(__name__)

MOST: Final = 1000
"""Classes that are told apart, unless the schema names more. A label that never repeats, such as an
id taken for a class, would otherwise make every answer longer without end."""

OTHER: Final = "(other)"
"""The class of all labels that came when there were `MOST`."""


class ClassesMet:
    """Finds classes on the fly and says how much room the learner needs for them.

    Args:
        room: classes that the learner has room for; for numbers, the floats kept of an answer.
        numbers: whether the labels are numbers, which are their own indices.
    """

    def __init__(self, room: int, *, numbers: bool) -> None:
        self.names: list[str] = []
        self.room = room
        self._most = MOST
        self._numbers = numbers
        self._index: dict[str, int] = {}

    def number(self, truth: Truth) -> float:
        """Give a number as it is; a class by its index, a new one at the end."""
        if self._numbers:
            return float(truth)
        name = str(truth)
        index = self._index.get(name)
        if index is None and len(self.names) >= self._most:
            name = OTHER
            index = self._index.get(name)
        if index is None:
            index = self._add(name)
        return float(index)

    def _add(self, name: str) -> int:
        if name is OTHER:
            log.warning("too many classes; all new ones count as one", classes=len(self.names))
        index = self._index[name] = len(self.names)
        self.names.append(name)
        return index

    def meet(self, names: Sequence[str]) -> None:
        """Take these as met, before any label."""
        self._most = max(self._most, len(names))
        for name in names:
            self.number(name)

    def fit(self, truth: float) -> bool:
        """Whether there is room for this label."""
        return self._numbers or truth < self.room

    def widen(self, truth: float) -> int:
        """Double the room until this label fits; give it."""
        while not self.fit(truth):
            self.room *= 2
        return self.room

    def restore(self, names: Sequence[str], room: int) -> None:
        """Go on with these names."""
        self.names[:] = names
        self._index = {name: index for index, name in enumerate(names)}
        self.room = room
