from pathlib import Path

import pytest

from agent.evaluate.guess import WishError
from agent.evaluate.plan import Result
from agent.evaluate.report import report
from agent.evaluate.table import cells, remarks
from agent.evaluate.wording import delay, kinds, listed

RESULT = Result(
    "adaptd",
    events=1000,
    labels=900,
    figures={"accuracy": 0.9, "mae": None},
    seconds=(0.5, 1.0),
    peak_rss_bytes=2**20,
    ends=(500, 900),
    curves={"accuracy": [0.8, None], "kappa": [0.5, 0.6]},
)


def test_a_row_of_json_has_every_figure_by_name() -> None:
    row = RESULT.row()
    assert list(row) == [
        *("name", "events", "labels", "accuracy", "kappa", "log_loss", "average_precision"),
        *("mae", "rmse", "r2", "events_per_s", "events_per_s_end_to_end", "peak_rss_bytes"),
        *("refused", "error"),
    ]
    assert (row["events_per_s"], row["events_per_s_end_to_end"]) == (2000, 1000)
    assert list(Result("x", error="no").row()) == list(row)


def test_the_table_leaves_out_figures_that_nobody_has() -> None:
    titles, rows = cells([RESULT, Result("x", error="no")])
    assert titles[:3] == ["model", "events", "accuracy"]
    assert "kappa" not in titles
    assert rows[0][:3] == ["adaptd", "1,000", "0.9000"]
    assert rows[1][:2] == ["x", "failed"]
    assert len({len(row) for row in rows} | {len(titles)}) == 1
    assert any("100 events have no label" in line for line in remarks([RESULT]))


def test_the_page_needs_nothing_but_itself_and_escapes_names(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    report(path, "a<b", ["x & y: numeric"], [RESULT])
    text = path.read_text()
    assert "<svg" in text
    assert "a&lt;b" in text
    assert "x &amp; y" in text
    assert not any(word in text for word in ("<script", "src=", "@import", "url(http"))
    again = tmp_path / "again.html"
    report(again, "a<b", ["x & y: numeric"], [RESULT])
    assert again.read_text() == text


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    report(path, "title", [], [RESULT])
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100", (100, None)),
        ("0", (0, None)),
        ("30s", (None, 30.0)),
        ("1.5h", (None, 5400.0)),
        ("7d", (None, 604_800.0)),
        (" 2w ", (None, 1_209_600.0)),
    ],
)
def test_a_delay_is_events_or_event_time(text: str, found: tuple[int | None, float | None]) -> None:
    assert delay(text) == found


@pytest.mark.parametrize("text", ["", "1.5", "-3", "7 days", "d", "7y"])
def test_what_is_no_delay_is_told(text: str) -> None:
    with pytest.raises(WishError, match="write 100 for events"):
        delay(text)


def test_lists_divide_at_commas_outside_brackets() -> None:
    found = listed(["river:a.B(x=1, y=2),no-change", " river:c.D ", "no-change,"])
    assert found == ["river:a.B(x=1, y=2)", "no-change", "river:c.D"]


def test_kinds_are_read_and_wrong_ones_told() -> None:
    assert kinds(["a=b=time", "x=tokens"]) == {"a=b": "time", "x": "tokens"}
    for text in ("x=word", "time", "=time"):
        with pytest.raises(WishError, match="kinds are numeric"):
            kinds([text])
