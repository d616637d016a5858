"""Fixed share in closed form: a loop's weights over long blocks, and no row moved by later ones."""

import math

import pytest
import torch
from torch import Tensor

from agent.continual.share import DECADES, fixed_share
from tests.draws import drawn


def looped(
    weight_V: Tensor, gained_BV: Tensor, seen_B: Tensor, back: float, floor: float
) -> Tensor:
    """Weights of one task before every row and after the last, one row after the other."""
    trail, weight = [weight_V], weight_V
    for gained, seen in zip(gained_BV.double(), seen_B.tolist(), strict=True):
        if seen:
            won = (gained - gained.max()).exp().clamp(min=floor) * weight
            weight = (1 - back) * won / won.sum() + back / len(won)
        trail.append(weight)
    return torch.stack(trail)


@pytest.mark.parametrize(("floor", "back"), [(0.05, 0.01), (1e-6, 0.3), (1e-300, 1e-4), (0.5, 1)])
def test_long_blocks_agree_with_a_loop_whatever_the_floor(floor: float, back: float) -> None:
    gained, seen = 20 * drawn(2, 300, 4), drawn(2, 300, seed=1) > -0.5
    gained[:, ::7] *= 1e6
    weight = torch.softmax(drawn(2, 4, seed=2).double(), 1)
    trail, after = fixed_share(weight, gained, seen, back, floor)
    for task in range(2):
        expected = looped(weight[task], gained[task], seen[task], back, floor)
        assert torch.allclose(trail[task], expected[:-1], rtol=1e-7, atol=1e-12)
        assert torch.allclose(after[task], expected[-1], rtol=1e-7, atol=1e-12)


def test_rows_span_more_than_one_stretch() -> None:
    assert DECADES * math.log(10) / -math.log(0.05) < 300


def test_a_row_is_the_same_to_the_bit_whatever_comes_after_it() -> None:
    gained, seen = 3 * drawn(1, 64, 18), torch.ones(1, 64, dtype=torch.bool)
    weight = torch.full((1, 18), 1 / 18, dtype=torch.float64)
    whole, _ = fixed_share(weight, gained, seen, 0.01, 0.05)
    other, blind = gained.clone(), seen.clone()
    for row in (63, 33, 20, 7, 1):
        other[:, row:] = 9 * drawn(1, 64 - row, 18, seed=row)
        blind[:, row:] = False
        for one, told in ((other, seen), (gained, blind)):
            again, _ = fixed_share(weight, one, told, 0.01, 0.05)
            assert torch.equal(again[:, : row + 1], whole[:, : row + 1])


def test_a_voice_that_says_no_number_weighs_as_the_worst() -> None:
    gained = torch.tensor([[[math.nan, -1.0, -1e9], [math.inf, -math.inf, -2.0]]])
    weight = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    seen = torch.ones(1, 2, dtype=torch.bool)
    trail, after = fixed_share(weight, gained, seen, 0.0, 0.05)
    assert trail[0, 1].tolist() == pytest.approx([0.05 / 1.1, 1 / 1.1, 0.05 / 1.1])
    assert after[0].argmax() == 1
    assert bool(after.isfinite().all())
