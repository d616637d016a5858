import numpy as np
import pytest
from numpy.random import default_rng

from streams.worlds.drift.concepts import ConceptSettings, bias, concept_scores
from streams.worlds.drift.course import Course
from streams.worlds.drift.dress import DressSettings, dressed
from streams.worlds.drift.effects import caused
from streams.worlds.drift.inputs import Inputs, InputSettings, autoregressive, indicated, inputs
from streams.worlds.drift.labels import LabelSettings, in_runs, known, numbers, picked, sampled
from streams.worlds.drift.rules import MAKERS, Domain, levelled


def rows_of(count: int, features: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype]:
    return default_rng(seed).standard_normal((count, features), np.float32)


def halves(rows: int) -> Course:
    concept_N = (np.arange(rows) >= rows // 2).astype(np.int64)
    return Course(concept_N, concept_N.astype(np.float64))


def test_columns_are_autoregressive_as_a_loop_would_make_them() -> None:
    noise = rows_of(300, 3).astype(np.float64).astype(np.float32)
    for rho in (0.5, 0.98):
        slow = noise.astype(np.float64)
        for row in range(1, 300):
            slow[row] = rho * slow[row - 1] + (1 - rho * rho) ** 0.5 * slow[row]
        assert np.allclose(autoregressive(noise, rho), slow, atol=1e-4)
    long = autoregressive(rows_of(20000, 2), 0.9)
    assert np.allclose(long.std(0), 1, atol=0.1)
    assert np.allclose((long[1:] * long[:-1]).mean(0), 0.9, atol=0.1)


def test_indicators_are_on_in_some_rows_and_codes_follow_zipf() -> None:
    settings = InputSettings(features=30, cards=(500, 3), binary=1.0)
    made = inputs(settings, np.zeros(4000, np.int64), default_rng(0))
    z_NF = indicated(made.z_NF, made.binary_F, 0.4, default_rng(1))
    on = (z_NF > 0).mean(0)
    assert all(len(np.unique(column)) == 2 for column in z_NF.T)
    assert 0.02 < on.min() < on.max() < 0.42
    assert made.codes_NK.min() == 1
    assert made.codes_NK.max(0).tolist()[1] == 3
    often = np.sort(np.bincount(made.codes_NK[:, 0], minlength=501)[1:])[::-1]
    assert often[0] > 5 * often[100] > 0


def test_wandering_inputs_end_far_from_where_they_began() -> None:
    ends = []
    for wander in (0.0, 3.0):
        settings = InputSettings(features=8, wander=wander)
        z = inputs(settings, np.zeros(3000, np.int64), default_rng(0)).z_NF
        ends.append(np.abs(z[:300].mean(0) - z[-300:].mean(0)).max())
    assert ends[0] < 0.4
    assert ends[1] > 0.8


@pytest.mark.parametrize("rule", sorted(MAKERS))
@pytest.mark.parametrize("width", [1, 2, 9])
def test_a_rule_is_a_function_of_its_rows_and_levelled_ones_vary_by_one(
    rule: str, width: int
) -> None:
    draw = default_rng(3)
    z_NF, codes_NK = rows_of(500, 7), draw.integers(0, 6, (500, 2)).astype(np.int32)
    made = MAKERS[rule](Domain(np.array([0, 2, 3]), (5, 5), width), draw)
    score = levelled(made, z_NF, codes_NK)
    said = score(z_NF, codes_NK)
    assert said.shape == (500, width)
    assert np.allclose(score(z_NF[40:60], codes_NK[40:60]), said[40:60], atol=1e-4)
    centred = said - said.mean(0)
    if width > 1:
        centred = centred - centred.mean(1, keepdims=True)
    assert centred.std() == pytest.approx(1, abs=0.01)
    other = z_NF.copy()
    other[:, [1, 4, 5, 6]] = 9  # of no matter to the rule
    assert np.allclose(score(other, codes_NK), said, atol=1e-5)


def test_an_indicator_rule_counts_to_k() -> None:
    words = MAKERS["words"](Domain(np.arange(4), (), 1), default_rng(0))
    z_NF = np.where(rows_of(200, 4) > 0, 1, -1).astype(np.float32)
    score = words(z_NF, np.zeros((200, 0), np.int32))[:, 0]
    more = z_NF.copy()
    more[:, :] = 1
    assert (words(more, np.zeros((200, 0), np.int32))[:, 0] >= score).all()
    assert score.max() >= 1


def test_scores_are_raised_until_classes_are_as_frequent_as_asked() -> None:
    at_MC = 4 * default_rng(0).standard_normal((512, 3))
    prior = np.array([0.02, 0.28, 0.7])
    raised = at_MC + bias(at_MC, prior)
    p = np.exp(raised - raised.max(1, keepdims=True))
    assert np.allclose((p / p.sum(1, keepdims=True)).mean(0), prior, atol=0.01)


def test_labels_can_stick_follow_a_chain_cycle_or_come_in_runs() -> None:
    scores = np.zeros((5000, 3))

    def stays(settings: LabelSettings) -> float:
        y = sampled(scores, settings, default_rng(0))
        return float((y[1:] == y[:-1]).mean())

    assert stays(LabelSettings(3)) == pytest.approx(1 / 3, abs=0.03)
    assert stays(LabelSettings(3, "sticky", 3.0)) == pytest.approx(
        np.exp(3) / (np.exp(3) + 2), abs=0.03
    )
    y = sampled(scores, LabelSettings(3, "chain", 3.0), default_rng(0))
    moves = np.histogram2d(y[:-1], y[1:], 3)[0]
    likeliest = (moves.max(1) / moves.sum(1).clip(1)).mean()
    assert likeliest > 0.5
    y = sampled(scores, LabelSettings(3, "cycle", 4.0, period=50), default_rng(0))
    assert (y[50:] == y[:-50]).mean() > 0.6
    order = in_runs(y, np.zeros(5000, np.int64), 100)
    assert sorted(order) == list(range(5000))
    assert (np.diff(y[order]) != 0).sum() <= 3 * 50


def test_labels_of_noise_are_those_of_earlier_rows() -> None:
    scores = np.where(np.arange(4000)[:, None] % 10 == 0, [[0, 99.0]], [[99.0, 0]])
    y = sampled(scores, LabelSettings(2, noise=0.5), default_rng(0))
    wrong = y != scores.argmax(1)
    assert wrong.mean() == pytest.approx(0.5 * 2 * 0.1 * 0.9, abs=0.02)
    assert y.mean() == pytest.approx(0.1, abs=0.02)


def test_numbers_can_remember_and_have_heavy_tails() -> None:
    def made(settings: LabelSettings) -> np.ndarray:
        y = numbers(np.zeros(20000), settings, default_rng(0))
        scaled: np.ndarray = (y - y.mean()) / y.std()
        return scaled

    def memory(y: np.ndarray) -> float:
        return float((y[1:] * y[:-1]).mean())

    assert abs(memory(made(LabelSettings(0, noise=1.0)))) < 0.05
    for timing in ("sticky", "chain"):
        y = made(LabelSettings(0, timing, 0.9, noise=1.0))
        assert memory(y) == pytest.approx(0.9, abs=0.05)
    tails = [(made(LabelSettings(0, noise=1.0, heavy=h)) ** 4).mean() for h in (False, True)]
    assert tails[0] < 3.5
    assert tails[1] > 5
    assert numbers(np.zeros(9), LabelSettings(0, noise=1, skew=True), default_rng(0)).min() > 0


def test_delays_are_none_fixed_spread_or_never() -> None:
    own = np.arange(5000)
    assert np.array_equal(known(5000, "none", default_rng(0)), own)
    fixed = known(5000, "fixed", default_rng(1))
    late = (fixed - own)[fixed >= 0]
    assert len(set(late)) == 1
    assert (fixed[-late[0] :] == -1).all()
    spread = known(5000, "spread", default_rng(2))
    assert len(set((spread - own)[spread >= 0])) > 5
    never = known(5000, "never", default_rng(3))
    assert 0.05 < (never == -1).mean() < 0.95
    assert ((never == own) | (never == -1)).all()


def test_a_pool_gives_the_classes_that_are_wanted_in_its_order() -> None:
    pool = np.array([1, 0, 1, 0, 1])
    assert picked(pool, np.array([0, 1, 1, 0, 0])).tolist() == [1, 0, 2, 3, 1]


def test_features_are_dressed_with_gaps_copies_late_columns_and_units() -> None:
    z_NF, none_F = rows_of(1000, 20), np.zeros(20, np.bool_)
    bare = dressed(z_NF, none_F, DressSettings(odd=0), default_rng(0))
    assert np.array_equal(bare, z_NF)
    holes = np.isnan(dressed(z_NF, none_F, DressSettings(missing=0.2), default_rng(0))).mean(0)
    assert 0 < (holes > 0).sum() < 20
    assert np.allclose(holes[holes > 0], 0.2, atol=0.05)
    late = dressed(z_NF, none_F, DressSettings(odd=0, late=0.5), default_rng(0))
    gone = np.isnan(late) | (late == 0)
    assert gone[:100].any()
    assert not gone[-150:].any()
    scale = dressed(z_NF, none_F, DressSettings(odd=0, units=True), default_rng(0)).std(0)
    assert scale.max() > 1e4 * scale.min()
    copied = dressed(z_NF, none_F, DressSettings(odd=0, copies=0.5), default_rng(0))
    alike = np.corrcoef(copied.T) - np.eye(20)
    assert (alike.max(0) > 0.95).any()
    flags = dressed(z_NF, ~none_F, DressSettings(), default_rng(0))
    assert set(np.unique(flags)) == {0, 1}


def test_effects_of_a_label_tell_of_it_and_move_with_the_concept() -> None:
    y_N = np.arange(4000) % 3
    made = Inputs(rows_of(4000, 6), np.ones((4000, 1), np.int32), np.zeros(6, np.bool_))
    settings = ConceptSettings("effects", "near", 3, cards=(7,), change=0.5)
    told = caused(made, y_N, halves(4000), settings, 1.0, 3.0, default_rng(1))

    def centres(rows: slice) -> np.ndarray:
        return np.array([told.z_NF[rows][y_N[rows] == c].mean(0) for c in range(3)])

    before, after = centres(slice(2000)), centres(slice(2000, 4000))
    assert np.abs(before[0] - before[1]).max() > 1
    assert np.abs(before - after).max() > 0.5
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.3


def test_classes_that_arrive_come_late_and_two_are_there_from_the_start() -> None:
    concept_N = np.repeat(np.arange(6), 200)
    way = Course(concept_N, concept_N.astype(np.float64))
    settings = ConceptSettings("linear", "arrive", 8)
    z_NF, none_NK = rows_of(1200, 5), np.zeros((1200, 0), np.int32)
    scores = concept_scores(settings, way, z_NF, none_NK, np.full(8, 1 / 8), default_rng(2))
    y_N = sampled(scores, LabelSettings(8), default_rng(0))
    met = [len(np.unique(y_N[: 200 * (1 + k)])) for k in range(6)]
    assert 2 <= met[0] < 8
    assert met[-1] > met[0]
