"""Calibration and coverage against counting by hand."""

import pytest
import torch

from agent.learners.base import Classes, Numbers
from agent.training.calibration import Bins, calibration, coverage, quantile, reliability


def test_bins_of_equal_width_count_as_by_hand() -> None:
    draw = torch.Generator().manual_seed(0)
    said = torch.rand(500, generator=draw)
    came = torch.rand(500, generator=draw) < said**2
    found = reliability(said, came, bins=10)
    gap = 0.0
    for at in range(10):
        mine = [i for i in range(500) if at / 10 < said[i] <= (at + 1) / 10]
        hits = sum(bool(came[i]) for i in mine) / len(mine)
        trust = sum(float(said[i]) for i in mine) / len(mine)
        gap += abs(trust - hits) * len(mine) / 500
    assert found.error == pytest.approx(gap, abs=1e-6)
    assert found.error > 0.05
    assert found.share.sum() == pytest.approx(1.0)


def test_bins_of_equal_mass_hold_as_many_answers_each() -> None:
    said = torch.rand(103, generator=torch.Generator().manual_seed(1)) ** 4
    found = reliability(said, said > 0.5, bins=10, by="mass")
    counts = (found.share * 103).round()
    assert counts.max() - counts.min() <= 1
    order = said.sort().values.double()
    assert found.confidence[0] == pytest.approx(order[:11].mean().item(), abs=1e-6)


def test_who_says_the_truth_is_calibrated_and_who_boasts_is_not() -> None:
    draw = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 20_000, 4, generator=draw)
    y = torch.distributions.Categorical(logits=logits).probs
    y = torch.multinomial(y[0], 1, generator=draw).view(1, -1)
    voice = torch.zeros(1, 20_000, 1)
    said = [Classes(voice, torch.log_softmax(k * logits, 2).unsqueeze(2)) for k in (1, 3)]
    bins: tuple[Bins, ...] = ("width", "mass")
    for by in bins:
        errors = [calibration(one, y, by=by).error for one in said]
        assert errors[0] < 0.015
        assert errors[1] > 0.15
    assert calibration(said[0], y, of=1).error < 0.015
    assert calibration(said[0], y, of=1).worst < 0.15


def test_certainty_and_no_answers() -> None:
    sure = reliability(torch.tensor([0.0, 1.0]), torch.tensor([False, True]))
    assert sure.error == 0
    with pytest.raises(ValueError, match="an answer"):
        reliability(torch.zeros(0), torch.zeros(0, dtype=torch.bool))


def test_coverage_of_a_mixture_is_that_of_its_own_quantiles() -> None:
    draw = torch.Generator().manual_seed(3)
    count = 20_000
    voice = torch.tensor([0.3, 0.7]).log().expand(1, count, -1)
    mean = torch.tensor([-4.0, 1.0]).expand(1, count, -1)
    scale = torch.tensor([0.5, 2.0]).expand(1, count, -1)
    pick = (torch.rand(1, count, 1, generator=draw) < 0.7).long()
    noise = torch.randn(1, count, 1, generator=draw)
    y = (mean.gather(2, pick) + scale.gather(2, pick) * noise).squeeze(2)
    for level, share in coverage(Numbers(voice, mean, scale), y).items():
        assert share == pytest.approx(level, abs=0.012)
    assert coverage(Numbers(voice, mean, scale / 3), y)[0.9] < 0.7
    within = quantile(Numbers(voice, mean, scale), y)
    assert within.mean().item() == pytest.approx(0.5, abs=0.01)


def test_coverage_of_several_outputs_counts_each() -> None:
    one = torch.zeros(1, 4, 1)
    mean, scale = torch.zeros(1, 4, 1, 2), torch.ones(1, 4, 1, 2)
    y = torch.tensor([[[0.0, 9.0], [0.5, 9.0], [-0.6, 9.0], [0.7, 9.0]]])
    assert coverage(Numbers(one, mean, scale), y, (0.5, 0.95)) == {0.5: 0.375, 0.95: 0.5}
