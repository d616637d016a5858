"""The ids of events that are over, oldest first, bounded, and cheap to photograph again and again.

A daemon remembers some hundred thousand ids and is photographed every few seconds, while it stands
still; between two photographs few of them change. So ids are packed once, a chunk at a time.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.packed import pack, unpack

CHUNK = 4096
Array: TypeAlias = NDArray[Any]


class _Packed(NamedTuple):
    text: Array
    lengths: Array
    joined: Array


class Remembered:
    """Which ids were joined with their label, and which were dropped without.

    Args:
        most: ids kept at most; the oldest goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._joined: OrderedDict[str, bool] = OrderedDict()
        self._packed: deque[_Packed] = deque()  # the oldest ids, in chunks
        self._gone = 0  # ids of the first chunk that are not kept any more

    def __len__(self) -> int:
        return len(self._joined)

    def __contains__(self, name: str) -> bool:
        return name in self._joined

    def joined(self, name: str) -> bool:
        """Say whether an id is known as joined."""
        return self._joined.get(name, False)

    def add(self, name: str, *, joined: bool) -> None:
        """Note an id as the newest; one that was known before moves to the end."""
        known = self._joined
        if name in known:
            known.move_to_end(name)
            self._packed.clear()
            self._gone = 0
        known[name] = joined
        if len(known) > self._most:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._joined.popitem(last=False)
        if self._packed:
            self._gone += 1
            if self._gone == len(self._packed[0].lengths):
                self._packed.popleft()
                self._gone = 0

    def snapshot(self) -> tuple[Array, Array, Array]:
        """Give all ids' bytes, their lengths in characters, and which were joined."""
        known = self._joined
        left = len(known) - sum(len(one.lengths) for one in self._packed) + self._gone
        new = list(islice(reversed(known.items()), left))[::-1]
        whole = len(new) // CHUNK * CHUNK
        self._packed += [_pack(new[at : at + CHUNK]) for at in range(0, whole, CHUNK)]
        parts = [*self._packed, _pack(new[whole:])]
        if self._gone:
            parts[0] = _pack(list(islice(known.items(), len(parts[0].lengths) - self._gone)))
        text, lengths, joined = (np.concatenate(some) for some in zip(*parts, strict=True))
        return text, lengths, joined

    def restore(self, text: Array, lengths: Array, joined: Array) -> None:
        """Go on as the one that gave these; where fewer are kept now, the oldest go."""
        self._packed.clear()
        self._gone = 0
        self._joined = OrderedDict(zip(unpack(text, lengths), joined.tolist(), strict=True))
        while len(self._joined) > self._most:
            self._forget_oldest()


def _pack(items: Sequence[tuple[str, bool]]) -> _Packed:
    text, lengths = pack([name for name, _ in items])
    return _Packed(text, lengths, np.fromiter((kept for _, kept in items), np.bool_, len(items)))
