"""Drift marks: seldom where nothing changed, soon where the loss rose."""

import numpy as np
import pytest

from agent.service.drift import Alarm, DriftSettings


@pytest.mark.parametrize("kind", ["even", "rare", "squared", "learning"])
def test_no_drift_is_marked_where_there_is_none(kind: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        loss = rng.exponential(0.3, 100_000)
        if kind == "rare":
            loss = np.where(rng.random(100_000) < 0.008, 8.0, 0.03) * loss
        if kind == "squared":
            loss = rng.standard_normal(100_000) ** 2 - 1.0
        if kind == "learning":
            loss *= 1 + 3 * np.exp(-np.arange(100_000) / 3_000)
        assert Alarm(DriftSettings()).add(loss) == []


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_a_rise_of_the_loss_is_marked_once_and_soon(factor: float) -> None:
    loss = np.random.default_rng(0).exponential(0.3, 60_000)
    loss[40_000:] *= factor
    (rise,) = Alarm(DriftSettings()).add(loss)
    assert 40_000 < rise.label < 42_000
    assert rise.before == pytest.approx(0.3, rel=0.1)
    assert rise.after > 1.2 * rise.before


def test_a_fall_of_the_loss_is_not_a_drift() -> None:
    loss = np.random.default_rng(0).exponential(0.3, 60_000)
    loss[40_000:] /= 3
    assert Alarm(DriftSettings()).add(loss) == []


@pytest.mark.parametrize("cut", [1, 7, 1_000])
def test_how_the_losses_were_cut_moves_no_mark(cut: int) -> None:
    loss = np.random.default_rng(0).exponential(0.3, 20_000)
    loss[10_000:] *= 2
    alarm = Alarm(DriftSettings())
    pieces = [alarm.add(loss[at : at + cut]) for at in range(0, len(loss), cut)]
    assert [rise for piece in pieces for rise in piece] == Alarm(DriftSettings()).add(loss)


@pytest.mark.parametrize(
    ("block", "warm", "confidence"), [(0, 64, 0.1), (32, 1, 0.1), (32, 64, 0.0), (32, 64, 1.0)]
)
def test_settings_that_cannot_work_are_refused(block: int, warm: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="give"):
        DriftSettings(block, warm, confidence)
