"""The field's benchmark: the rows that every model reads, and how they are ranked."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.evaluate.plan import Plan
from agent.evaluate.rivals import NoChange
from benchmarks.field import peers, runs, streams
from benchmarks.field.columns import HASHED, Columns
from benchmarks.field.fed import Fed
from benchmarks.field.runs import Job
from benchmarks.field.scores import beside_best, by_model, by_stream
from benchmarks.field.streams import Stream, judge_of, read, rows_of
from streams.records import Event, Label
from streams.schema import Schema


def _table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.DictWriter(sink, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_without_a_target_and_columns_that_are_dropped_are_left_out() -> None:
    source = [{"a": str(n), "b": "x", "y": "" if n == 1 else "1"} for n in range(5)]
    kept = list(rows_of(Stream("s", "f", "y", drop=("b",), rows=3), source))
    assert kept == [{"a": str(n), "y": "1"} for n in (0, 2, 3)]


def test_shuffling_moves_no_row_out_of_its_batch_and_is_the_same_every_time() -> None:
    source = [{"batch": str(n // 20), "a": str(n), "y": "1"} for n in range(60)]
    stream = Stream("s", "f", "y", drop=("batch",), shuffled="batch")
    order = [int(row["a"]) for row in rows_of(stream, source)]
    assert order != list(range(60))
    assert [sorted(order[at : at + 20]) for at in (0, 20, 40)] == [
        list(range(at, at + 20)) for at in (0, 20, 40)
    ]
    assert order == [int(row["a"]) for row in rows_of(stream, source)]


def test_average_precision_judges_only_where_the_rarer_of_two_classes_is_rare(
    tmp_path: Path,
) -> None:
    for rare, judge in ((9, "average_precision"), (10, "kappa")):
        rows = [{"x": "0", "y": str(int(n < rare))} for n in range(100)]
        assert judge_of(Stream("s", "f", "y"), _table(tmp_path / "a.csv", rows)) == judge
    assert judge_of(Stream("s", "f", "y", "number"), tmp_path / "a.csv") == "mae"


def test_a_missing_number_is_the_mean_so_far_and_words_are_codes_in_order() -> None:
    columns = Columns({"a": "numeric", "w": "categorical"}, {"w": 3})
    rows = [columns.row(values) for values in ((2.0, "u"), (4.0, "v"), (None, "u"), (None, None))]
    np.testing.assert_array_equal(rows, [[2.0, 0.0], [4.0, 1.0], [3.0, 0.0], [3.0, 2.0]])
    assert columns.named((1.0, "v")) == {"a": 1.0, "w": "1"}
    assert columns.wide((1.0, "v")) == {"a": 1.0, "w=0": 0.0, "w=1": 1.0, "w=2": 0.0}


def test_words_may_be_given_as_plain_numbers() -> None:
    columns = Columns({"a": "numeric", "w": "categorical"}, {"w": 3}, coded=True)
    assert not columns.nominal
    assert [columns.named((1.0, word))["w"] for word in "uvu"] == [0.0, 1.0, 0.0]


def test_a_text_is_counts_of_its_words_and_a_time_its_place_in_the_calendar() -> None:
    columns = Columns({"t": "tokens", "at": "time"}, {})
    row = columns.row((("one", "two", "one"), 1_454_423_400.0))  # Tuesday, 2 Feb 2016, 14:30
    assert row[:HASHED].sum() == 3
    assert row[:HASHED].max() == 2
    assert row[HASHED:].tolist() == [14.5, 1.0, 33.0]


def test_a_peer_learns_a_late_label_with_what_it_said_of_its_event() -> None:
    fed = Fed(NoChange(), Schema({"x": "numeric"}, target="y"), tuple)
    events = [Event(str(n), "", float(n), (float(n),)) for n in range(3)]
    early = fed.feed([events[0], Label("0", 1.0, "a"), events[1], events[2]])
    late = fed.feed([Label("1", 3.0, "b"), Label("2", 4.0, "b")])
    assert early.guess.tolist() == [-1]
    assert late.truth.tolist() == [1, 1]
    assert late.guess.tolist() == [0, 0]  # both were said when "a" was the last label


def _found(peer: str, kappa: float | None, seed: int = 0, **more: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("accuracy", "average_precision", "mae"))
    run = {"stream": "s", "peer": peer, "library": "none", "seed": seed, "judge": "kappa"}
    cost = {"events_per_s": 100.0, "seconds": 0.2, "cpu_s": 0.1, "peak_rss_bytes": 0}
    cost |= {"events": 10, "labels": 10, "all": True}
    return figures | run | cost | {"kappa": kappa} | more


def test_seeds_are_averaged_before_models_are_ranked_and_ties_share_a_rank() -> None:
    found = [_found("a", 0.9), _found("a", 0.1, seed=1), _found("b", 0.6), _found("c", 0.6)]
    ranked = {row["model"]: row["rank"] for row in by_stream([*found, _found("d", None)])}
    assert ranked == {"b": 1.5, "c": 1.5, "a": 3, "d": 4}
    over = {row["model"]: row for row in by_model(by_stream(found))}
    assert over["a"]["wins"] == 0
    assert over["b"]["wins"] == over["c"]["wins"] == 1


def test_the_least_error_wins_where_the_target_is_a_number_and_short_runs_are_marked() -> None:
    found = [
        _found("a", None, judge="mae", mae=2.0, all=False),
        _found("b", None, judge="mae", mae=1.0),
    ]
    rows = by_stream(found)
    assert [(row["model"], row["events"]) for row in rows] == [("b", "10"), ("a", "10 *")]
    assert [row["goal"] for row in by_model(rows)] == ["number", "number"]


def test_a_run_that_was_cut_short_is_compared_on_the_labels_that_both_met() -> None:
    found = [_found("a", 0.9, labels=5, events=5, all=False), _found("b", 0.8), _found("c", 0.7)]
    early = {"a": 0.9, "b": 0.95, "c": 0.6}

    def at(run: dict[str, Any], labels: int) -> float:
        return float(early[run["peer"]] if labels == 5 else run["kappa"])

    rows = by_stream(found, at)
    assert [(row["model"], row["rank"]) for row in rows] == [("b", 1), ("a", 2), ("c", 3)]


def test_of_two_ways_with_words_a_peers_better_one_is_ranked() -> None:
    found = [_found("a", 0.7), _found("arf", 0.6), _found("arf-codes", 0.8)]
    for runs_ in (found, found[::-1]):
        rows = by_stream(runs_)
        assert [(row["model"], row["kappa"]) for row in rows] == [("ARF", 0.8), ("a", 0.7)]


def test_our_lead_is_over_the_best_peer_and_less_error_is_a_lead() -> None:
    rows = by_stream([_found("ours", 0.9), _found("a", 0.7), _found("b", 0.8)])
    (best,) = beside_best(rows, "ours")
    assert (best["best peer"], best["rank"]) == ("b", 1)
    assert best["ahead"] == pytest.approx(0.1)
    found = [_found(name, None, judge="mae", mae=mae) for name, mae in (("ours", 3.0), ("a", 2.0))]
    assert beside_best(by_stream(found), "ours")[0]["ahead"] == -1.0


def test_our_rate_over_arfs_is_told_by_the_wall_and_by_the_processors_clock() -> None:
    arf: dict[str, Any] = {"arf_events": 5, "arf_seconds": 1.0, "arf_cpu_s": 0.25}
    (row,) = by_stream([_found("ours", 0.9, **arf)])
    assert row["times ARF"] == pytest.approx(10.0)
    assert row["times ARF, CPU"] == pytest.approx(5.0)


def test_the_figure_over_first_labels_is_of_those_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    columns = np.array([[0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], np.float32)
    job = Job("s", "early")
    np.savez_compressed(job.path.with_suffix(".npz"), truth_guess_score=columns)
    run = _found("early", 0.0, labels=4, delay=0)
    assert runs.at(run, 4) == 0.0
    assert runs.at(run, 2) == 1.0


def test_a_run_stops_at_its_limit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream("s", "f", "y")
    rows = [{"x": str(n), "y": "ab"[n % 2]} for n in range(600)]
    file = _table(tmp_path / "s.csv", rows)
    monkeypatch.setattr(runs, "every_stream", lambda _: {"s": stream})
    monkeypatch.setattr(runs, "prepared", lambda *_: file)
    whole, ledger = runs.measured(Job("s", "majority"))
    assert (whole["events"], whole["all"], whole["labels"]) == (600, True, 600)
    assert ledger.columns().shape == (4, 600)
    assert not runs.measured(Job("s", "majority", rows=300))[0]["all"]
    short, _ = runs.measured(Job("s", "majority", limit_s=1e-9))
    assert (short["events"], short["all"]) == (runs.BATCH, False)


def test_without_capymoa_rivers_model_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream("s", "f", "y")
    file = _table(tmp_path / "s.csv", [{"x": str(n), "y": "ab"[n > 9]} for n in range(20)])
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    plan = Plan(read(stream, file))
    source = plan.file()
    records = list(source.poll(20, 0.0))
    source.close()
    slow = {"mlp", "lb", "srp", "lb-codes", "srp-codes"}
    for peer in set(peers.FIELD["classes"]) - slow:
        scores = peers.made(peer, plan, stream, file, 0).feed(records)
        assert len(scores) == 20, peer


@pytest.mark.data
def test_every_stream_of_the_folder_is_there_but_the_one_that_cycles() -> None:
    if not (streams.DATA / "streams.toml").exists():
        pytest.skip("needs ../shared/data")
    found = streams.every_stream()
    assert "powersupply" not in found
    assert sum(one.goal == "classes" for one in found.values()) == 14
    assert sum(one.goal == "number" for one in found.values()) == 4
