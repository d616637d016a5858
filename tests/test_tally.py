"""The tally against plain computations over everything that it was told."""

import time
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.service.figures import Figures, TallySettings
from agent.service.report import NO_SCORES, Scores, Step
from agent.service.scorecard import average_precision
from agent.service.tally import Tally
from tests.steps import class_scores, number_scores, synthetic_run


def told(tally: Tally, steps: Iterable[Step]) -> Figures:
    for step in steps:
        tally(step)
    figures = tally.figures()
    assert figures is not None
    return figures


def labels_of(steps: Iterable[Step]) -> np.ndarray:
    return np.concatenate([np.stack(step.scores.columns()) for step in steps], axis=1)


def naive_kappa(truth: np.ndarray, guess: np.ndarray) -> float:
    chance = sum(float(np.mean(truth == c) * np.mean(guess == c)) for c in np.unique(truth))
    return (float(np.mean(truth == guess)) - chance) / (1 - chance)


def naive_average_precision(positive: np.ndarray, score: np.ndarray) -> float:
    total, recall = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        shown = score >= threshold
        gained = float(positive[shown].sum() / positive.sum())
        total += (gained - recall) * float(positive[shown].mean())
        recall = gained
    return total


def test_the_figures_over_classes_are_those_of_a_plain_computation() -> None:
    steps = list(synthetic_run(steps=120, batch=30, share=0.1))
    figures = told(Tally("classes"), steps)
    for card, part in (
        (figures.run, labels_of(steps)),
        (figures.window, labels_of(steps)[:, -1000:]),
    ):
        truth, guess, loss, _, _ = part
        assert card.labels == len(truth)
        assert card.loss == pytest.approx(loss.mean())
        assert card.accuracy == pytest.approx(np.mean(truth == guess))
        assert card.kappa == pytest.approx(naive_kappa(truth, guess))
        assert np.isnan(card.mae)


def test_the_average_precision_of_the_window_is_exact_and_that_of_the_run_nearly() -> None:
    steps = list(synthetic_run(steps=100, batch=50, share=0.05))
    figures = told(Tally("classes", TallySettings(rare_window=2_000)), steps)
    truth, _, _, _, score = labels_of(steps)
    assert figures.rare == "fraud"
    assert figures.window.average_precision == pytest.approx(
        naive_average_precision(truth[-2000:] == 1, score[-2000:])
    )
    whole = naive_average_precision(truth == 1, score)
    assert figures.run.average_precision == pytest.approx(whole, abs=0.005)


def test_the_rarer_class_is_the_positive_one_even_when_it_is_class_0() -> None:
    scores = class_scores(np.random.default_rng(0), 3_000, 0.9, 1.0)
    figures = told(Tally("classes"), [Step(0, 0, scores=scores, classes=("bad", "good"))])
    exact = naive_average_precision(scores.truth == 0, -scores.score)
    assert figures.rare == "bad"
    assert figures.rare_share == pytest.approx(np.mean(scores.truth == 0))
    assert figures.window.average_precision == pytest.approx(exact)
    assert figures.run.average_precision == pytest.approx(exact, abs=0.005)


def test_a_third_class_ends_the_average_precision_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 500).astype(float)
    zeros = np.zeros(500)
    scores = Scores(truth, np.where(rng.random(500) < 0.7, truth, -1.0), zeros, zeros, zeros)
    figures = told(Tally("classes"), [Step(0, 0, scores=scores, classes=tuple("abcde"))])
    assert np.isnan(figures.run.average_precision)
    assert figures.run.kappa == pytest.approx(naive_kappa(truth, scores.guess))
    assert figures.window.kappa == pytest.approx(figures.run.kappa)


def test_the_figures_over_numbers_are_those_of_a_plain_computation() -> None:
    steps = list(synthetic_run("number", steps=80, batch=40))
    figures = told(Tally("number"), steps)
    for card, part in (
        (figures.run, labels_of(steps)),
        (figures.window, labels_of(steps)[:, -1000:]),
    ):
        truth, guess = part[0], part[1]
        error = truth - guess
        assert card.mae == pytest.approx(np.abs(error).mean())
        assert card.rmse == pytest.approx(np.sqrt((error**2).mean()))
        assert card.r2 == pytest.approx(1 - (error**2).mean() / truth.var())
        assert np.isnan(card.accuracy)


def test_the_spread_of_a_far_off_target_keeps_its_precision() -> None:
    scores = number_scores(np.random.default_rng(3), 1_000, 1.0)
    far = Scores(scores.truth + 1e9, scores.guess + 1e9, scores.loss, scores.delay, scores.score)
    near, distant = (
        told(Tally("number"), [Step(0, 0, scores=scores)]),
        told(Tally("number"), [Step(0, 0, scores=far)]),
    )
    assert distant.run.r2 == pytest.approx(near.run.r2, rel=1e-5)


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_how_the_labels_were_cut_into_steps_changes_no_figure(cuts: list[int]) -> None:
    scores = class_scores(np.random.default_rng(1), 2_500, 0.2, 1.0)
    whole = told(Tally("classes"), [Step(0, 0, scores=scores, classes=("a", "b"))])
    ends = [*np.cumsum(cuts).tolist(), 2_500]
    steps, start = [], 0
    for index, end in enumerate(min(end, 2_500) for end in ends):
        part = Scores(*(column[start:end] for column in scores.columns()))
        steps.append(Step(index, index, scores=part, classes=("a", "b")))
        start = end
    cut = told(Tally("classes"), steps)
    assert cut.window == whole.window
    assert cut.delay == whole.delay
    assert cut.run.kappa == whole.run.kappa
    assert cut.run.loss == pytest.approx(whole.run.loss)


def test_counts_refusals_rate_delays_and_weights_are_told() -> None:
    steps = list(synthetic_run(steps=200, batch=100, tick=0.25))
    figures = told(Tally("classes"), steps)
    delay = np.sort(labels_of(steps)[3, -1000:])
    assert figures.events == sum(step.events for step in steps)
    assert figures.labels["joined"] == sum(len(step.scores) for step in steps)
    assert figures.refused == {
        reason: sum(step.refused.get(reason, 0) for step in steps) for reason in figures.refused
    }
    assert figures.seconds["learn"] == pytest.approx(sum(step.seconds["learn"] for step in steps))
    recent, spent = steps[-19:], steps[-1].now - steps[-20].now
    assert figures.rate == pytest.approx(sum(step.events for step in recent) / spent)
    assert figures.delay == pytest.approx((delay[499], delay[899], delay[989]))
    assert figures.voices == pytest.approx(steps[-1].voices, abs=0.05)


def test_before_the_first_step_there_are_no_figures_and_no_points() -> None:
    tally = Tally("classes")
    assert tally.figures() is None
    assert len(tally.history("run")[1]) == 0


def test_steps_without_labels_or_classes_leave_the_scores_unknown() -> None:
    figures = told(Tally("classes"), [Step(0.1 * i, i, events=2) for i in range(5)])
    assert figures.events == 10
    assert figures.run.labels == 0
    assert np.isnan(figures.window.loss)
    assert np.isnan(figures.window.average_precision)


def test_a_loss_that_is_not_a_number_does_not_blind_the_tally() -> None:
    good = class_scores(np.random.default_rng(0), 100, 0.5, 1.0)
    bad = Scores(good.truth, good.guess, np.full(100, np.inf), good.delay, good.score)
    figures = told(Tally("classes"), [Step(0, 0, scores=bad), Step(1, 1, scores=good)])
    assert figures.run.loss == pytest.approx((1e3 + good.loss.mean()) / 2)


def test_more_experts_than_columns_are_summed_as_others() -> None:
    voices = {f"expert{i}": (i + 1) / 210 for i in range(20)}
    tally = Tally("classes", TallySettings(voices=6))
    figures = told(tally, [Step(0, 0, voices=voices), Step(1, 1, voices=voices)])
    assert [*figures.voices] == [*(f"expert{i}" for i in range(5)), "others"]
    assert sum(figures.voices.values()) == pytest.approx(1)
    names, rows = tally.history("run")
    assert rows[-1, names.index("voice:others")] == pytest.approx(figures.voices["others"])


def test_every_expert_has_its_weight_however_many_columns_there_are() -> None:
    weights = {f"e{i}": 1 / 30 for i in range(30)}
    figures = told(Tally("classes"), [Step(i, i, voices=weights) for i in range(5)])
    assert len(figures.voices) == TallySettings().voices
    assert figures.experts == pytest.approx(weights)


def test_weights_that_leap_are_shown_by_their_running_mean() -> None:
    steps = [Step(i, i, voices={"a": i % 2, "b": 1 - i % 2}) for i in range(200)]
    figures = told(Tally("classes"), steps)
    assert figures.voices == pytest.approx({"a": 0.5, "b": 0.5}, abs=0.05)
    assert sum(figures.voices.values()) == pytest.approx(1)


def test_a_week_long_run_shows_its_whole_life_and_its_recent_part_in_bounded_points() -> None:
    tally = Tally("classes", TallySettings(points=60))
    week, count = 7 * 86_400.0, 30_000
    for index in range(count):
        now = index * week / count
        tally(Step(now, now, events=3, voices={"a": 1.0}))
    names, life = tally.history("run")
    _, recent = tally.history("recent")
    wall = names.index("wall")
    assert 30 <= len(life) <= 61
    assert len(recent) <= 61
    assert life[0, wall] < week / 30
    assert life[-1, wall] == recent[-1, wall] == pytest.approx(week, rel=1e-3)
    assert np.all(np.diff(life[:, wall]) > 0)
    assert recent[-1, wall] - recent[0, wall] < week / 30
    assert life[-1, names.index("events")] == 3 * count


@given(
    positive=st.lists(st.booleans(), min_size=1, max_size=40),
    score=st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), min_size=40, max_size=40),
)
def test_average_precision_takes_equal_scores_as_one_step(
    positive: list[bool], score: list[float]
) -> None:
    said = np.array(score[: len(positive)])
    truth = np.array(positive)
    expected = naive_average_precision(truth, said) if truth.any() else float("nan")
    assert average_precision(truth, said) == pytest.approx(expected, nan_ok=True)


def test_drifts_show_as_marks_with_their_place() -> None:
    steps = list(synthetic_run(steps=400, batch=400))
    figures = told(Tally("classes"), steps)
    joined = np.cumsum([len(step.scores) for step in steps])
    assert figures.drifts == len(figures.marks) == 2
    for mark, drift in zip(figures.marks, (0.35, 0.7), strict=True):
        at = int(joined[int(400 * drift)])
        assert at < mark.labels < at + 5_000
        assert steps[0].wall < mark.wall < steps[-1].wall


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"window": 0}, "window"),
        ({"rare_window": 10}, "rare_window"),
        ({"points": 7}, "points"),
        ({"tick": 0.0}, "tick"),
        ({"marks": 0}, "marks"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} is"):
        TallySettings(**wrong)  # type: ignore[arg-type]  # the point of the test


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        Scores(np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2))


@pytest.mark.slow
def test_the_tally_costs_little_of_a_core_at_20_000_events_a_second() -> None:
    """The page must not cost throughput: 30 seconds of a fast stream in well under one."""
    rng = np.random.default_rng(0)
    parts = [class_scores(rng, 100, 0.05, 1.0) for _ in range(50)]
    voices = {"attention": 0.6, "network": 0.4}
    steps = [
        Step(
            i / 200,
            i / 200,
            100,
            100,
            {"joined": 100},
            {},
            {"poll": 0.001},
            parts[i % 50],
            voices,
            ("a", "b"),
        )
        for i in range(6_000)
    ]
    tally = Tally("classes")
    start = time.process_time()
    for step in steps:
        tally(step)
    assert time.process_time() - start < 0.05 * 30  # measured: 0.01; room for a busy machine
    assert len(NO_SCORES) == 0
