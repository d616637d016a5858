"""Names with a time each, of which the oldest is found at once."""

from heapq import heapify, heappop, heappush


class Aged:
    """A set of names ordered by time, then by when they were added.

    A heap with lazy deletion: it holds at most twice as many entries as there are names, and 64.
    """

    __slots__ = ("_added", "_entries", "_heap")

    def __init__(self) -> None:
        self._added = 0
        self._entries: dict[str, tuple[float, int, str]] = {}
        self._heap: list[tuple[float, int, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def columns(self) -> tuple[list[str], list[float]]:
        """Give names and times, in the order in which they were added."""
        return list(self._entries), [entry[0] for entry in self._entries.values()]

    def add(self, name: str, time: float) -> None:
        """Add a name that is not there."""
        self._added += 1
        entry = (time, self._added, name)
        self._entries[name] = entry
        heappush(self._heap, entry)

    def remove(self, name: str) -> float:
        """Take a name out and give its time; KeyError if it is not there."""
        time = self._entries.pop(name)[0]
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = list(self._entries.values())
            heapify(self._heap)
        return time

    def oldest(self) -> tuple[str, float] | None:
        """Give the oldest name and its time; None where there is none."""
        heap, entries = self._heap, self._entries
        while heap:
            time, _, name = heap[0]
            if entries.get(name) is heap[0]:
                return name, time
            heappop(heap)
        return None
