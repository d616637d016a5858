from pathlib import Path

import pytest

from agent.evaluate.apart import apart
from agent.evaluate.contest import Entry
from agent.evaluate.guess import Guess, Wishes, guess
from agent.evaluate.ours import Agent
from agent.evaluate.plan import Plan
from agent.evaluate.run import run
from agent.evaluate.table import remarks
from tests.streamfiles import stream


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
