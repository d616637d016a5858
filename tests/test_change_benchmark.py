"""The benchmark of change: its streams change where they say, and its arithmetic."""

from itertools import islice

import numpy as np
import pytest

from benchmarks.change import figures, summary, worlds
from benchmarks.change.figures import Recovery
from benchmarks.change.worlds import COURSES, Course
from streams.worlds.drift import HELD_OUT_RULES
from streams.worlds.drift.plan import drawn


def _right(*parts: tuple[float, int]) -> figures.Rights:
    """Right as often as asked, evenly spread, part after part."""
    whole = [np.diff(np.floor(share * np.arange(n + 1) + 1e-9)) > 0 for share, n in parts]
    return np.concatenate(whole)


def _change(level: float, events: int, right: float) -> Recovery:
    return Recovery(level, events, back=True, after_L=np.full(events, right > 0))


def test_a_mean_stands_at_the_event_that_completes_its_window() -> None:
    np.testing.assert_allclose(figures.trailing(np.array([1, 0, 0, 1.0]), 2), [0.5, 0.0, 0.5])


def test_segments_begin_where_the_task_changes() -> None:
    assert figures.edges(np.array([2, 2, 0, 0, 0, 2])) == [0, 2, 5, 6]


def test_recovery_is_the_event_that_completes_the_first_window_at_the_level() -> None:
    task_N = np.repeat([0, 1, 2], 300)
    right_N = _right((1.0, 300), (0.0, 100), (1.0, 200), (0.5, 300))
    one, other = figures.recoveries(right_N, task_N, 100)
    assert (one.level, one.back) == (1.0, True)
    assert one.events == 100 + 48  # 48 right of the last 50 are 96 %, 47 are 94 %
    assert (other.level, other.back, other.events) == (1.0, False, 300)


def test_the_level_is_taken_before_the_change_and_nothing_behind_the_next_counts() -> None:
    right_N = _right((0.0, 200), (0.5, 100), (0.0, 300), (1.0, 300))
    one, other = figures.recoveries(right_N, np.repeat([0, 1, 2], 300), 100)
    assert one.level == pytest.approx(0.5)
    assert not one.back
    assert len(one.after_L) == 300
    assert (other.level, other.back, other.events) == (0.0, True, figures.WINDOW)


def test_the_mean_curve_ends_with_the_shortest_task() -> None:
    some = [_change(0.8, 5, 1.0), _change(0.6, 3, 0.0)]
    np.testing.assert_allclose(figures.mean_curve(some), [0.5, 0.5, 0.5])
    assert figures.mean_level(some) == pytest.approx(0.7)


def test_a_return_is_held_against_the_level_at_which_its_own_task_was_left() -> None:
    task_N = np.repeat([0, 1, 0], 200)
    right_N = _right((0.5, 100), (0.9, 100), (0.2, 200), (0.8, 50), (0.1, 150))
    new, back = figures.visits(right_N, task_N, 100)
    assert new.first
    assert new.left == pytest.approx(0.9)
    assert not back.first
    assert [back.early, back.left] == pytest.approx([0.8, 0.9])


def test_the_standard_error_is_that_of_the_mean() -> None:
    assert list(figures.with_error([1.0, 3.0])) == pytest.approx([2.0, 1.0])
    assert figures.with_error([4.0]) == (4.0, 0.0)


def test_every_noticed_change_is_an_alarm_at_the_look_that_found_it() -> None:
    assert figures.alarms([(50, 0, 0), (200, 1, 0), (450, 2, 1)]) == [200, 450, 450]
    assert figures.alarms([]) == []


def _run(right_N: figures.Rights) -> dict[str, object]:
    return {"stream": "usenet1", "right_N": right_N, "labels": len(right_N), "noticed": []}


def test_shares_are_of_the_best_peer_alone_at_one_level_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_N = np.repeat([0, 1], 300)
    monkeypatch.setattr(summary, "_tasks", lambda _run, _data: task_N)
    took = {"adaptd": 60, "no-change": 0, "arf": 120, "knn": 200}
    found = {
        ("usenet1", peer): [_run(_right((1.0, 300), (0.0, events), (1.0, 300 - events)))]
        for peer, events in took.items()
    }
    rows = {row["model"]: row for row in summary.tables(found, worlds.FOLDER)["recovery"]}
    assert rows["adaptd"]["median"] == 60 + 48
    assert rows["adaptd"]["mean / best"] == pytest.approx((60 + 48) / (120 + 48))
    assert rows["kNN"]["to the peers' level / best"] == pytest.approx((200 + 19) / (120 + 19))


def test_only_streams_count_that_every_model_went_through() -> None:
    runs = {name: [_run(_right((1.0, 9)))] for name in "abc"}
    none: dict[str, list[dict[str, object]]] = {name: [] for name in runs}
    kept = summary.shared({"x": runs, "y": {**runs, "b": []}, "none yet": none})
    assert kept == {"x": [*runs["a"], *runs["c"]], "y": [*runs["a"], *runs["c"]], "none yet": []}


@pytest.mark.parametrize("test", sorted(COURSES))
def test_generated_streams_change_on_time_by_rules_held_out_of_training(test: str) -> None:
    course = COURSES[test]
    found = next(worlds.every(test))
    at = figures.edges(found.concept_N)
    assert at == list(range(0, course.length * course.segments + 1, course.length))
    assert found.rule in HELD_OUT_RULES
    assert (found.known_N == np.arange(len(found.y_N))).all()
    assert len(np.unique(found.concept_N)) == (course.known or course.segments)


def test_where_labels_alone_tell_of_a_change_x_stays_as_it_was() -> None:
    apart: dict[float, float] = {}
    for shift in (0.0, 1.0):
        course = Course("recurring", 400, 6, known=2, shift=shift)
        draws = (worlds.changing(course, seed) for seed in range(60))
        streams = list(islice((one for one in draws if one is not None), 4))
        gaps = []
        for one in streams:
            x_NF = (one.x_NF - one.x_NF.mean(0)) / (one.x_NF.std(0) + 1e-9)
            each = [x_NF[one.concept_N == task].mean(0) for task in (0, 1)]
            gaps.append(float(np.abs(each[0] - each[1]).mean()))
        apart[shift] = float(np.mean(gaps))
    assert apart[0.0] < 0.1
    assert apart[1.0] > 0.3


def test_nothing_but_the_rule_moves_in_a_plan_made_plain() -> None:
    draw = np.random.default_rng(3)
    for _ in range(20):
        plan = drawn(900, ("abrupt",), HELD_OUT_RULES, 3, 5, draw)
        plan = worlds.plain(plan, COURSES["abrupt"], 3, draw)
        assert (plan.inputs.rho, plan.inputs.wander, plan.inputs.period) == (0.0, 0.0, 0)
        assert (plan.labels.timing, plan.labels.noise, plan.delay) == ("none", 0.0, "none")
        assert plan.concepts.relation == "fresh"


def test_mixed_rows_are_those_of_the_same_stream_in_another_order() -> None:
    seeds = (seed for seed in range(9) if worlds.still(seed, 300, mixed=False) is not None)
    seed = next(seeds)
    plain, mixed = (worlds.still(seed, 300, mixed=mixed) for mixed in (False, True))
    assert plain is not None
    assert mixed is not None
    assert not np.array_equal(plain.x_NF, mixed.x_NF, equal_nan=True)
    rows = [np.column_stack([one.x_NF, one.codes_NK, one.y_N]) for one in (plain, mixed)]
    ordered = [one[np.lexsort(one.T)] for one in rows]
    np.testing.assert_array_equal(ordered[0], ordered[1])
