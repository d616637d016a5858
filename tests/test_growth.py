"""Blocks of a young stream: small, so that the first labels count at once."""

from itertools import pairwise

import numpy as np
import pytest

from agent.continual.growth import enough
from agent.continual.mixing import cuts
from agent.service.block import Block


def test_blocks_grow_with_what_is_known() -> None:
    found = [enough(learned, 32, 0.25) for learned in (0, 1, 7, 8, 40, 127, 128, 10_000)]
    assert found == [1, 1, 1, 2, 10, 31, 32, 32]


def test_without_growth_all_blocks_are_whole() -> None:
    assert enough(0, 32, 0.0) == 32


@pytest.mark.parametrize("known", [1.0, 0.3, 0.0])
def test_cuts_take_every_lane_once_and_no_more_labels_than_enough(known: float) -> None:
    seen_L = np.random.default_rng(1).random(500) < known
    found = list(cuts(seen_L, 32))
    assert found[0].start == 0
    assert found[-1].stop == len(seen_L)
    assert all(one.stop == other.start for one, other in pairwise(found))
    learned = 0
    for cut in found:
        labels = int(seen_L[cut].sum())
        assert labels <= enough(learned, 32)
        assert cut.stop - cut.start <= 32
        assert cut is found[-1] or labels == enough(learned, 32) or cut.stop - cut.start == 32
        learned += labels
    assert (len(found) > len(seen_L) / 32 + 10) == (known > 0)


def test_a_block_is_full_of_labels_or_of_lanes() -> None:
    block = Block.empty(4, 3, enough=2)
    row = np.zeros(2, np.float32)
    block.teach(row, 1.0, 0)
    assert not block.full
    block.teach(row, 0.0, 0)
    assert block.full
    again = Block.empty(4, 3, enough=2)
    again.restore(block.snapshot())
    assert again.full
    wide = Block.empty(2, 3)
    wide.teach(row, 1.0, 0)
    assert not wide.full
    wide.teach(row, 1.0, 0)
    assert wide.full
