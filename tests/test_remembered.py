"""Ids that are over: bounded, and photographed chunk by chunk as if all at once."""

import random
from collections import OrderedDict

import numpy as np
import pytest

from streams import remembered
from streams.packed import pack
from streams.remembered import Remembered


def plain(known: OrderedDict[str, bool]) -> list[bytes]:
    """Photograph all of them at once."""
    text, lengths = pack(list(known))
    joined = np.fromiter(known.values(), np.bool_, len(known))
    return [text.tobytes(), lengths.tobytes(), joined.tobytes()]


def shown(kept: Remembered) -> list[bytes]:
    return [array.tobytes() for array in kept.snapshot()]


@pytest.mark.parametrize("most", [0, 1, 7, 8, 40])
@pytest.mark.parametrize("again", [0.0, 0.01, 0.3])
def test_photographs_are_those_of_a_plain_list_whenever_they_are_taken(
    monkeypatch: pytest.MonkeyPatch, most: int, again: float
) -> None:
    monkeypatch.setattr(remembered, "CHUNK", 8)
    draw = random.Random(most)  # noqa: S311 - what happens when, no secret
    kept, known = Remembered(most), OrderedDict[str, bool]()
    for at in range(400):
        name = draw.choice(list(known)) if known and draw.random() < again else f"é{at}" * (at % 3)
        joined = draw.random() < 0.7
        kept.add(name, joined=joined)
        known[name] = joined
        known.move_to_end(name)
        if len(known) > most:
            known.popitem(last=False)
        assert (len(kept), name in kept, kept.joined(name)) == (
            len(known), name in known, known.get(name, False))  # fmt: skip
        if draw.random() < 0.2:
            assert shown(kept) == plain(known)
    assert shown(kept) == plain(known)


def test_restored_it_goes_on_alike_and_with_less_room_the_oldest_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "CHUNK", 8)
    kept, other, less = Remembered(30), Remembered(30), Remembered(5)
    for at in range(50):
        kept.add(f"e{at}", joined=at % 2 == 0)
    other.restore(*kept.snapshot())
    less.restore(*kept.snapshot())
    for one in (kept, other, less):
        one.add("new", joined=True)
    assert shown(kept) == shown(other)
    assert len(less) == 5
    assert "e46" in less
    assert "e45" not in less


def test_what_was_photographed_does_not_change_any_more() -> None:
    kept = Remembered(10)
    for at in range(10):
        kept.add(f"e{at}", joined=True)
    before = kept.snapshot()
    copies = [array.copy() for array in before]
    for at in range(10, 30):
        kept.add(f"e{at}", joined=False)
    kept.snapshot()
    assert all(np.array_equal(one, copy) for one, copy in zip(before, copies, strict=True))
