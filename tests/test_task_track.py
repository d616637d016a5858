"""The tasks' posterior over time: in bounded columns, with the changes; and drawn on the page."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from agent.continual.changes import Change, TaskReport
from agent.service.health import Health
from agent.service.history import History
from agent.service.metrics import Metrics
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.tasktrack import SHOWN, WIDTH, TaskTrack
from agent.service.web import Web, WebSettings, routes
from tests.browser import CHROMIUM, look
from tests.steps import synthetic_run

ORDER = (0, 1, 0, 2)


def report(posterior: dict[int, float], *noticed: Change) -> TaskReport:
    current = max(posterior, key=lambda number: posterior[number])
    counts = {"new": 0, "returned": 0}
    return TaskReport(current, posterior[current], len(posterior), posterior, 0.1, counts, noticed)


def tracked() -> tuple[TaskTrack, History]:
    history = History(WIDTH, 100, [])
    return TaskTrack(0, [history], marks=3), history


def test_a_column_folded_into_another_is_added_to_it_in_points_and_in_what_is_open() -> None:
    history = History(3, 4, [], stride=2)
    for row in ([1, 2, np.nan], [1, np.nan, np.nan], [5, 7, 8]):
        history.add(np.array(row, np.float64))
    history.fold(1, 2)
    np.testing.assert_equal(history.rows(), [[1, np.nan, 2], [5, np.nan, 15]])


def test_probabilities_sum_to_one_with_that_of_a_new_task() -> None:
    track, _ = tracked()
    assert track.columns() == {}
    told = report({0: 0.5, 3: 0.25})
    track.note(told, 0.0, 0, 0)
    row = track.row(told)
    assert track.columns() == {"task:0": 0, "task:3": 1, "task:new": WIDTH - 1}
    assert np.nansum(row) == pytest.approx(1)
    assert row[-1] == pytest.approx(0.25)
    assert np.isnan(track.row(None)).all()


def test_tasks_that_are_forgotten_make_room_and_their_past_is_kept_among_the_others() -> None:
    track, history = tracked()
    for number in range(3 * SHOWN):
        told = report({number: 0.75, max(number - 1, 0): 0.75 if number == 0 else 0.125})
        track.note(told, 0.0, 0, 0)
        history.add(np.array(track.row(told)))
    names, rows = track.columns(), history.rows()
    assert len(names) == WIDTH
    assert f"task:{3 * SHOWN - 1}" in names
    np.testing.assert_allclose(np.nansum(rows, 1), 1)
    assert rows[1, names["task:others"]] == pytest.approx(0.875)


def test_more_tasks_than_columns_are_told_together() -> None:
    track, _ = tracked()
    told = report(dict.fromkeys(range(16), 1 / 16))
    track.note(told, 0.0, 0, 0)
    assert track.row(told)[SHOWN:] == [0.5, 0.0]
    assert "task:others" in track.columns()


def test_changes_of_before_the_run_are_no_news_and_none_is_marked_twice() -> None:
    track, _ = tracked()
    old, now, last = (
        Change(10, "new", 1, 1.0),
        Change(70, "new", 2, 1.0),
        Change(90, "returned", 0, 1),
    )
    track.note(report({1: 1.0}, old), 1.0, 5, 4)
    assert not track.marks
    track.note(report({0: 1.0}, old, now, last), 2.0, 15, 14)
    track.note(report({0: 1.0}, old, now, last), 3.0, 25, 24)
    assert [(mark.kind, mark.task, mark.labels) for mark in track.marks] == [
        ("new", 2, 14),
        ("returned", 0, 14),
    ]


def served(order: tuple[int, ...]) -> tuple[Tally, Status, Health]:
    tally, health = Tally("classes"), Health(time.monotonic)
    for step in synthetic_run(steps=200, tasks=order):
        tally(step)
    return tally, Status(About("1", "a test"), tally, health, lambda: 2e9), health


def test_history_serves_the_posterior_and_the_changes() -> None:
    _, status, _ = served(ORDER)
    told = json.loads(status.history("run"))
    columns = {name: np.array(told["columns"][name], float) for name in told["columns"]}
    tasks = [columns[name] for name in columns if name.startswith("task:")]
    assert len(tasks) == 4
    np.testing.assert_allclose(np.nansum(tasks, 0), 1, atol=1e-4)
    assert [(one["kind"], one["task"]) for one in told["changes"]] == [
        ("new", 1),
        ("returned", 0),
        ("new", 2),
    ]
    assert columns["task:1"][80] > 0.8
    assert sum(columns[name][-1] for name in columns if name.startswith("voice:")) > 0.99


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("order", [ORDER, ()])
def test_the_panel_is_there_where_tasks_are_looked_for(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    tally, status, health = served(order)
    metrics = Metrics(About("1", "a test"), tally, health, lambda: 0.0)
    with Web(WebSettings(port=0), routes(status, health, metrics.text)) as web:
        seen = look(web.url, tmp_path)
    assert seen.console == []
    assert seen.html.count("<canvas") == (7 if order else 6)
    assert (', 2 new, 1 returned"' in seen.html) is bool(order)
    assert ("task 2</span> <b>97 %</b>" in seen.html) is bool(order)
