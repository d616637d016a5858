import gzip
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evaluate.apart import apart
from agent.evaluate.contest import Contest, Entry
from agent.evaluate.guess import Guess, WishError, Wishes, guess
from agent.evaluate.measures import Ledger
from agent.evaluate.ours import Agent
from agent.evaluate.plan import Plan, Result
from agent.evaluate.report import report
from agent.evaluate.rivals import Features, Said, rival
from agent.evaluate.run import run
from agent.evaluate.table import cells, remarks
from agent.evaluate.wording import delay, kinds, listed
from agent.from_river import RiverNameError
from agent.service.report import Scores
from streams.records import Event, Label, Refused, Truth
from streams.schema import Schema
from streams.source import SourceError


def scores(rows: Sequence[tuple[float, ...]]) -> Scores:
    return Scores(*np.array(rows, np.float64).reshape(-1, 5).T)


def column(text: str, name: str = "a") -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line.startswith(f"{name}:"))


def written(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def stream(path: Path, count: int = 400) -> Path:
    """Two classes that a number and a word decide; times a minute apart."""
    draw = random.Random(3)  # noqa: S311 (data, no secret)
    rows = []
    for i in range(count):
        x, shop = draw.gauss(0, 1), draw.choice(["fuel", "books"])
        rows.append((1.7e9 + 60 * i, x, shop, "yes" if (x > 0) == (shop == "fuel") else "no"))
    return written(path, ("time", "x", "shop", "sold"), rows)


# measures


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(-1, 2), st.floats(0, 9), st.sampled_from([0, 0.5])
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 7),
)
@settings(deadline=None)
def test_figures_of_classes_are_those_of_a_plain_count(
    rows: list[tuple[int, int, float, float]], cut: int
) -> None:
    ledger = Ledger("classes")
    for at in range(0, len(rows), cut):
        ledger.add(scores([(t, g, loss, 0.0, s) for t, g, loss, s in rows[at : at + cut]]))
    found, total = ledger.figures(), len(rows)
    agreed = sum(t == g for t, g, _, _ in rows) / total
    chance = sum(
        sum(t == c for t, *_ in rows) * sum(g == c for _, g, *_ in rows) for c in range(3)
    ) / (total * total)
    assert found["accuracy"] == pytest.approx(agreed)
    assert found["log_loss"] == pytest.approx(sum(loss for _, _, loss, _ in rows) / total)
    if chance < 1:
        assert found["kappa"] == pytest.approx((agreed - chance) / (1 - chance))
    else:
        assert found["kappa"] is None
    assert found["mae"] is None


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9])), min_size=2, max_size=30
    )
)
@settings(deadline=None)
def test_average_precision_is_that_of_the_rarer_of_two_classes(
    rows: list[tuple[bool, float]],
) -> None:
    ledger = Ledger("classes")
    ledger.add(scores([(truth, truth, 0.1, 0.0, score) for truth, score in rows]))
    found = ledger.figures()["average_precision"]
    ones = sum(truth for truth, _ in rows)
    if ones in {0, len(rows)}:
        assert found is None
        return
    rare = 2 * ones <= len(rows)
    ranked = [(truth == rare, score if rare else -score) for truth, score in rows]
    expected, before = 0.0, 0
    for line in sorted({score for _, score in ranked}, reverse=True):
        shown = [positive for positive, score in ranked if score >= line]
        expected += sum(shown) / len(shown) * (sum(shown) - before)
        before = sum(shown)
    assert found == pytest.approx(expected / before)


@given(st.lists(st.tuples(st.floats(-99, 99), st.floats(-99, 99)), min_size=1, max_size=30))
@settings(deadline=None)
def test_figures_of_numbers_are_those_of_a_plain_sum(rows: list[tuple[float, float]]) -> None:
    ledger = Ledger("number")
    ledger.add(scores([(truth, guess, math.nan, 0.0, 0.0) for truth, guess in rows]))
    found = ledger.figures()
    errors = [truth - guess for truth, guess in rows]
    mean = math.fsum(truth for truth, _ in rows) / len(rows)
    spread = math.fsum((truth - mean) ** 2 for truth, _ in rows)
    square = math.fsum(error * error for error in errors)
    assert found["mae"] == pytest.approx(math.fsum(map(abs, errors)) / len(rows))
    assert found["rmse"] == pytest.approx(math.sqrt(square / len(rows)))
    if spread > 1e-6:
        assert found["r2"] == pytest.approx(1 - square / spread, rel=1e-6, abs=1e-6)
    assert found["accuracy"] is None


def test_a_curve_divides_the_labels_evenly_and_joins_to_the_whole() -> None:
    ledger = Ledger("classes")
    right = [i % 3 > 0 for i in range(1000)]
    ledger.add(scores([(1, hit, 0.0, 0.0, 0.0) for hit in right]))
    ends, curves = ledger.curves()
    assert ends == list(range(100, 1001, 100))
    assert np.mean(np.array(curves["accuracy"])) == pytest.approx(sum(right) / 1000)


def test_nothing_scored_has_no_figures() -> None:
    assert set(Ledger("classes").figures().values()) == {None}
    assert Ledger("number").curves()[1] == {"mae": [None], "rmse": [None]}


# the guess


@pytest.mark.parametrize(
    ("cells_", "kind"),
    [
        (["1", "2.5", "-3e2"], "numeric"),
        (["1", "nan", "2", "NA", "3"], "numeric"),
        (["a", "b", "a"], "categorical"),
        (["2024-01-01", "2024-01-02", "2024-01-02"], "time"),
        (["the cat sat here", "on the mat there", "so be it"], "tokens"),
        (["u-1", "u-2", "u-3"], None),
        (["", "", ""], None),
    ],
)
def test_a_columns_kind_is_guessed_from_its_cells(
    tmp_path: Path, cells_: list[str], kind: str | None
) -> None:
    rows = [(cell, i, i % 2) for i, cell in enumerate(cells_)]
    path = written(tmp_path / "f.csv", ("a", "other", "y"), rows)
    found = guess(path, Wishes("y"))
    assert found.schema.fields.get("a") == kind
    assert len(column("\n".join(found.said))) == 1


@pytest.mark.parametrize(
    ("name", "cells_", "kind"),
    [
        ("customer_id", ["7", "8", "7"], "categorical"),
        ("TERMINAL_ID", ["7", "8", "7"], "categorical"),
        ("userId", ["7", "8", "7"], "categorical"),
        ("timestamp", ["1700000000", "1700000060", "1700000120"], "time"),
        ("humid", ["7", "8", "7"], "numeric"),
        ("transaction_id", ["7", "8", "9"], None),
    ],
)
def test_a_columns_name_tells_ids_and_times_from_numbers(
    tmp_path: Path, name: str, cells_: list[str], kind: str | None
) -> None:
    rows = [(cell, i, i % 2) for i, cell in enumerate(cells_)]
    found = guess(written(tmp_path / "f.csv", (name, "other", "y"), rows), Wishes("y"))
    assert found.schema.fields.get(name) == kind


@pytest.mark.parametrize(
    ("cells_", "goal"),
    [
        (["yes", "no", "yes"], "classes"),
        ([0, 1, 1], "classes"),
        ([0.5, 1.25, 7], "number"),
        (list(range(30)), "number"),
    ],
)
def test_the_goal_is_guessed_from_the_target(
    tmp_path: Path, cells_: list[object], goal: str
) -> None:
    rows = [(i, cell) for i, cell in enumerate(cells_)]
    assert guess(written(tmp_path / "f.csv", ("x", "y"), rows), Wishes("y")).schema.goal == goal


def test_wishes_go_over_guesses(tmp_path: Path) -> None:
    rows = [(i, i % 3, "w", 1.7e9 - i, i % 2) for i in range(9)]
    path = written(tmp_path / "f.csv", ("a", "b", "c", "when", "y"), rows)
    wishes = Wishes(
        "y", goal="number", time="when", id="a", drop=("c",), kinds={"b": "categorical"}
    )
    found = guess(path, wishes)
    assert found.schema == Schema({"b": "categorical", "when": "time"}, "number", "y", time="when")


def test_event_time_is_a_column_of_times_that_never_fall(tmp_path: Path) -> None:
    rows = [(1.7e9 - i, 1.7e9 + i, i % 2) for i in range(9)]
    path = written(tmp_path / "f.csv", ("ts_down", "ts_up", "y"), rows)
    assert guess(path, Wishes("y")).schema.time == "ts_up"


def test_json_lines_gzipped_are_guessed_as_csv_is(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.gz"
    rows = [{"x": i / 2, "tags": ["a", "b"], "ok": True, "y": "no"} for i in range(5)]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode() + b"\n{broken"))
    found = guess(path, Wishes("y"))
    assert found.schema.fields == {"x": "numeric", "tags": "tokens", "ok": "categorical"}


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        (Wishes("sodl"), "did you mean sold?"),
        (Wishes("sold", time="tmie"), "did you mean time?"),
        (Wishes("sold", drop=("shp",)), "did you mean shop?"),
        (Wishes("sold", kinds={"z": "time"}), "no column 'z'"),
        (Wishes("sold", goal="number"), "cannot be a number"),
        (Wishes("sold", drop=("x", "shop", "time")), "no column is left"),
    ],
)
def test_a_wish_that_does_not_fit_is_told(tmp_path: Path, wishes: Wishes, word: str) -> None:
    with pytest.raises(WishError, match=word):
        guess(stream(tmp_path / "f.csv", 20), wishes)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv"):
        guess(tmp_path / "none.csv", Wishes("y"))
    (tmp_path / "empty.csv").write_text("x,y\n")
    with pytest.raises(SourceError, match="no row in it can be read"):
        guess(tmp_path / "empty.csv", Wishes("y"))


def test_an_empty_target_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", ("x", "y"), [(1, ""), (2, "")])
    with pytest.raises(WishError, match="is empty in the first"):
        guess(path, Wishes("y"))


# rivals


class Remembers:
    """A rival that notes what it was asked and taught."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def predict(self, x: Features) -> Said:
        self.calls.append(("predict", x["x"]))
        return Said("a", {"a": 0.75, "b": 0.25})

    def learn(self, x: Features, y: Truth) -> None:
        self.calls.append(("learn", (x["x"], y)))


SCHEMA = Schema({"x": "numeric", "words": "tokens"}, target="y")


def test_a_rival_is_tested_then_trained_and_late_labels_score_what_was_said_then() -> None:
    of = Remembers()
    contest = Contest(of, SCHEMA)
    first = contest.feed(
        [Event("1", "", 10.0, (1.0, ("a", "b"))), Event("2", "", 11.0, (2.0, None), "a")]
    )
    later = contest.feed(
        [Refused("oversize", "", "", b""), Label("1", 15.0, "b"), Label("9", 15.0, "b")]
    )
    assert of.calls == [
        ("predict", 1.0),
        ("predict", 2.0),
        ("learn", (2.0, "a")),
        ("learn", (1.0, "b")),
    ]
    assert [list(column) for column in first.columns()] == [
        [0], [0], [pytest.approx(-math.log(0.75))], [0], [0]
    ]  # fmt: skip
    assert [list(column) for column in later.columns()] == [
        [1], [0], [pytest.approx(-math.log(0.25))], [5], [0.25]
    ]  # fmt: skip


def test_no_change_repeats_the_last_label_and_majority_says_the_most_frequent() -> None:
    events = [Event(str(i), "", i, (0.0, None), label) for i, label in enumerate("aabba")]
    no_change = Contest(rival("no-change", "classes", 0), SCHEMA).feed(events)
    majority = Contest(rival("majority", "classes", 0), SCHEMA).feed(events)
    assert list(no_change.guess) == [-1, 0, 0, 1, 1]
    assert list(majority.guess) == [-1, 0, 0, 0, 0]
    assert majority.loss[3] == pytest.approx(-math.log(1 / 3))
    numbers = [Event(str(i), "", i, (0.0, None), float(i)) for i in range(4)]
    mean = Contest(rival("mean", "number", 0), Schema(SCHEMA.fields, "number", "y")).feed(numbers)
    assert list(mean.guess) == [0, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("name", "goal", "word"),
    [
        ("nobody", "classes", "no rival"),
        ("river:linear_model.LinearRegression", "classes", "no Classifier"),
        ("river:tree.HoeffdingTreeClassifier", "number", "no Regressor"),
        ("river:tree.HoeffdingTreClassifier", "classes", "did you mean HoeffdingTreeClassifier"),
    ],
)
def test_a_rival_that_is_none_is_told(name: str, goal: str, word: str) -> None:
    with pytest.raises(RiverNameError, match=word):
        rival(name, goal, 0)  # type: ignore[arg-type]  # a Goal, as a plain str from the table


@pytest.mark.parametrize(
    "name",
    [
        "preprocessing.StandardScaler | linear_model.LogisticRegression",
        "naive_bayes.GaussianNB",
        "tree.HoeffdingTreeClassifier",
        "neighbors.KNNClassifier",
    ],
)
def test_any_river_model_takes_raw_rows_with_words_and_gaps(tmp_path: Path, name: str) -> None:
    path = stream(tmp_path / "f.csv")
    path.write_text(path.read_text().replace(",fuel,", ",,", 1))
    plan = Plan(guess(path, Wishes("sold", drop=("time",))))
    result = run(plan, Entry(f"river:{name}", plan.guess.schema), lambda _: None)
    assert result.labels == 400
    assert result.figures["log_loss"] is not None


# runs


def plan_of(path: Path, **more: object) -> Plan:
    return Plan(guess(path, Wishes("sold")), **more)  # type: ignore[arg-type]  # fields by name


def test_every_model_meets_every_row_once_whatever_the_batch(tmp_path: Path) -> None:
    path = stream(tmp_path / "f.csv")
    found = []
    for batch in (1, 7, 1024):
        plan = plan_of(path, batch=batch)
        result = run(plan, Entry("river:naive_bayes.GaussianNB", plan.guess.schema), lambda _: None)
        found.append((result.events, result.labels, result.figures, result.curves))
    assert found[0] == found[1] == found[2]
    assert found[0][:2] == (400, 400)


@pytest.mark.parametrize("late", [{"delay_events": 50}, {"delay_seconds": 3000.0}])
def test_late_labels_all_come_and_cost_the_same_knowledge(
    tmp_path: Path, late: dict[str, object]
) -> None:
    path = stream(tmp_path / "f.csv")
    at_once, delayed = plan_of(path), plan_of(path, **late)
    for name in ("no-change", "river:naive_bayes.GaussianNB"):
        entry = Entry(name, at_once.guess.schema)
        now, then = (run(plan, entry, lambda _: None) for plan in (at_once, delayed))
        assert then.labels == now.labels == 400
        assert then.figures != now.figures


def test_only_the_first_rows_are_taken_and_their_late_labels_still_come(tmp_path: Path) -> None:
    plan = plan_of(stream(tmp_path / "f.csv"), rows=100, delay_events=30, batch=64)
    told: list[float] = []
    result = run(plan, Entry("no-change", plan.guess.schema), told.append)
    assert (result.events, result.labels) == (100, 100)
    assert told
    assert told[-1] <= 1.0


def test_the_agent_beats_no_change_where_features_decide(tmp_path: Path) -> None:
    plan = plan_of(stream(tmp_path / "f.csv", 1500))
    from agent.continual.default import AgentSettings  # noqa: PLC0415 (only this test needs torch)

    ours = run(plan, Agent.of(plan, AgentSettings(), 1), lambda _: None)
    other = run(plan, Entry("no-change", plan.guess.schema), lambda _: None)
    assert ours.figures["accuracy"] is not None
    assert other.figures["accuracy"] is not None
    assert ours.figures["accuracy"] > other.figures["accuracy"] + 0.1
    assert ours.labels == other.labels == 1500


def test_bad_rows_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    path = stream(tmp_path / "f.csv")
    path.write_text(path.read_text() + "1.8e9,wide,fuel,yes\n1.8e9,1.0,fuel\n")
    plan = plan_of(path)
    plan = Plan(Guess(plan.guess.schema, plan.guess.file, frozenset({""}), ()))
    result = run(plan, Entry("no-change", plan.guess.schema), lambda _: None)
    assert result.refused == {"wrong-type": 1, "wrong-columns": 1}
    assert result.first.startswith("f.csv:402: ")
    assert any("2 records refused" in line for line in remarks([result]))


def test_a_process_of_its_own_reports_its_own_memory_and_a_failure_by_name(tmp_path: Path) -> None:
    """Slow: two processes are started. The memory of this one, which holds torch, is larger."""
    plan = plan_of(stream(tmp_path / "f.csv"), rows=100)
    told: list[tuple[str, float]] = []
    good = apart(plan, Entry("no-change", plan.guess.schema), lambda *one: told.append(one))
    assert good.error is None
    assert good.labels == 100
    assert 10e6 < good.peak_rss_bytes < 250e6
    assert told[-1] == ("no-change", 1.0)
    bad = apart(plan, Entry("river:cluster.KMeans", plan.guess.schema), lambda *_: None)
    assert bad.error is not None
    assert "KMeans is no Classifier" in bad.error
    assert remarks([bad, good])[0].startswith("river:cluster.KMeans failed: RiverNameError")


# results


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


# what a person types


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
