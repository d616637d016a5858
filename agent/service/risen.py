"""Counts that live in states, turned into counts of this process.

A state keeps its counts over restarts and takes them along when its shard moves to another process.
A counter that leapt with every shard that comes would look as if all had happened now.
"""

from collections.abc import Hashable, Mapping


class Risen:
    """How much counts have risen under one's eyes.

    `counts` has them by name; what was there at the first look counts as 0.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._before: Mapping[str, int] = {}
        self._era: Hashable = None

    def look(self, now: Mapping[str, int], era: Hashable) -> None:
        """Take the counts as they stand; what came with a new `era` is not counted."""
        if era == self._era and now == self._before:
            return
        for name, count in now.items():
            rise = count - self._before.get(name, 0) if era == self._era else 0
            self.counts[name] = self.counts.get(name, 0) + max(0, rise)
        self._before, self._era = dict(now), era
