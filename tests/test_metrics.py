"""What Prometheus reads: well-named, and true to what the loop reported."""

import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.service.health import Health
from agent.service.measured.family import Family
from agent.service.measured.table import SECTIONS
from agent.service.metrics import Metrics
from agent.service.report import NO_SCORES, Step
from agent.service.status import About
from agent.service.tally import Tally
from docs.make_metrics import page
from streams.schema import Goal
from tests.steps import START, synthetic_run, task_report

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$")
ROOT = Path(__file__).parent.parent
BAD_UNITS = re.compile(r"_(ms|millis|milliseconds|minutes|hours|kb|mb|kilobytes|percent)(_|$)")
Samples = dict[str, dict[str, float]]


def exposition(goal: Goal, steps: list[Step]) -> str:
    tally, health = Tally(goal), Health(lambda: 5.0)
    metrics = Metrics(About("1.2.3", "a test"), tally, health, lambda: START + 100)
    for step in steps:
        tally(step)
        metrics(step)
    text, kind = metrics.text()
    assert kind.startswith("text/plain; version=")
    return text.decode()


def samples(text: str) -> Samples:
    found: Samples = defaultdict(dict)
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            assert (labels or "") not in found[name], f"twice: {line}"
            found[name][labels or ""] = float(value)
    return found


def types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_names_keep_the_rules_of_prometheus(goal: Goal) -> None:
    text = exposition(goal, list(synthetic_run(goal, steps=20)))
    helps = set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    for name, kind in types(text).items():
        assert name in helps, f"{name} has no help"
        assert re.fullmatch(r"(adaptd|process|python)_[a-z0-9_]+", name)
        assert not BAD_UNITS.search(name), f"{name}: base units only"
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
        assert not re.search(r"_(gauge|counter|histogram)$", name)
        if kind == "histogram":
            assert name.endswith(("_seconds", "_events"))


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_every_sample_belongs_to_a_family_and_stands_once(goal: Goal) -> None:
    text = exposition(goal, list(synthetic_run(goal, steps=20)))
    families = types(text)
    for name in samples(text):
        assert name in families or re.sub(r"_(bucket|sum|count)$", "", name) in families


def test_counts_are_those_of_the_steps() -> None:
    steps = list(synthetic_run(steps=100))
    found = samples(exposition("classes", steps))
    assert found["adaptd_events_total"][""] == sum(step.events for step in steps)
    assert found["adaptd_predictions_total"][""] == sum(step.predictions for step in steps)
    for outcome in ("joined", "orphan", "duplicate"):
        expected = sum(step.labels[outcome] for step in steps)
        assert found["adaptd_labels_total"][f'{{outcome="{outcome}"}}'] == expected
    reason = "not_a_number"
    expected = sum(step.refused.get(reason, 0) for step in steps)
    assert expected > 0
    assert found["adaptd_dead_letters_total"][f'{{reason="{reason}"}}'] == expected


def test_histograms_hold_every_label_and_every_step_once() -> None:
    steps = list(synthetic_run(steps=50))
    found = samples(exposition("classes", steps))
    delays = np.concatenate([step.scores.delay for step in steps])
    buckets = found["adaptd_label_delay_seconds_bucket"]
    assert found["adaptd_label_delay_seconds_count"][""] == len(delays)
    assert found["adaptd_label_delay_seconds_sum"][""] == pytest.approx(delays.sum())
    for labels, count in buckets.items():
        bound = float(labels.removeprefix('{le="').removesuffix('"}').replace("+Inf", "inf"))
        assert count == np.count_nonzero(delays <= bound)
    assert list(buckets.values()) == sorted(buckets.values())
    learn = '{stage="learn"}'
    spent = sum(step.seconds["learn"] for step in steps)
    assert found["adaptd_stage_seconds_count"][learn] == len(steps)
    assert found["adaptd_stage_seconds_sum"][learn] == pytest.approx(spent)


def test_scores_weights_and_standing_are_those_of_the_tally() -> None:
    steps = list(synthetic_run(steps=60))
    found = samples(exposition("classes", steps))
    tally = Tally("classes")
    for step in steps:
        tally(step)
    figures = tally.figures()
    assert figures is not None
    for name, shown in (
        ("loss", found["adaptd_prequential_loss_nats"]),
        ("accuracy", found["adaptd_prequential_accuracy_ratio"]),
        ("kappa", found["adaptd_prequential_kappa_ratio"]),
        ("average_precision", found["adaptd_prequential_average_precision_ratio"]),
        ("no_change", found["adaptd_no_change_accuracy_ratio"]),
        ("labels", found["adaptd_scored_labels"]),
    ):
        assert shown['{over="window"}'] == pytest.approx(getattr(figures.window, name))
        assert shown['{over="run"}'] == pytest.approx(getattr(figures.run, name))
    assert found["adaptd_expert_weight_ratio"]['{expert="attention"}'] == pytest.approx(
        figures.voices["attention"]
    )
    assert found["adaptd_pending_events"][""] == steps[-1].pending
    assert found["adaptd_lag_records"][""] == steps[-1].lag
    checkpoint = steps[-1].checkpoint
    assert checkpoint is not None
    assert found["adaptd_checkpoint_bytes"][""] == checkpoint.bytes
    age = START + 100 - checkpoint.wall
    assert found["adaptd_checkpoint_age_seconds"][""] == pytest.approx(age)
    assert found["adaptd_ready"][""] == 0
    assert found["adaptd_build_info"]['{goal="classes",version="1.2.3"}'] == 1
    assert found["process_resident_memory_bytes"][""] > 1e6


def test_before_the_first_step_the_counters_stand_at_zero() -> None:
    found = samples(exposition("number", []))
    assert found["adaptd_events_total"][""] == 0
    assert found["adaptd_labels_total"]['{outcome="orphan"}'] == 0
    assert found["adaptd_label_delay_seconds_count"][""] == 0
    assert found["adaptd_transactions_total"][""] == 0
    assert "adaptd_prequential_loss_nats" not in found
    assert "adaptd_lag_seconds" not in found


def test_two_daemons_in_one_process_do_not_share_their_counts() -> None:
    one, other = exposition("classes", list(synthetic_run(steps=3))), exposition("classes", [])
    assert samples(one)["adaptd_events_total"][""] > 0
    assert samples(other)["adaptd_events_total"][""] == 0


def test_the_page_of_metrics_is_up_to_date() -> None:
    """Else: .venv/bin/python docs/make_metrics.py."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_what_is_exposed_is_what_the_table_lists_with_its_types(goal: Goal) -> None:
    exposed = types(exposition(goal, list(synthetic_run(goal, steps=5))))
    listed = {one.name: one.kind for families in SECTIONS.values() for one in families}
    assert len(listed) == sum(map(len, SECTIONS.values())), "a name stands twice"
    own = {name: kind for name, kind in exposed.items() if name.startswith("adaptd_")}
    assert own == {name: "gauge" if kind == "info" else kind for name, kind in listed.items()}


def test_a_unit_that_the_name_can_carry_stands_in_it() -> None:
    for families in SECTIONS.values():
        for one in families:
            if one.unit in {"seconds", "bytes", "ratio", "nats"}:
                assert f"_{one.unit}" in one.name


def test_families_with_a_wrong_name_or_half_a_sentence_are_refused() -> None:
    with pytest.raises(ValueError, match="alone, end in _total"):
        Family("adaptd_x", "counter", "", "A count.", lambda at: at.wall)
    with pytest.raises(ValueError, match="whole sentences"):
        Family("adaptd_x", "gauge", "", "A gauge", lambda at: at.wall)


def test_what_the_loop_outlived_is_counted() -> None:
    step = replace(
        next(synthetic_run()),
        shards=4,
        rebalances=3,
        recreations=2,
        rewinds=5,
        paused=1,
        transactions=77,
        seconds={"poll": 0.5, "predict": 0.02, "learn": 0.03, "commit": 4.0, "odd": 9.0},
    )
    before = replace(step, faults={"attention": 5}, scores=NO_SCORES, seconds={}, events=0)
    step = replace(step, faults={"attention": 7, "gone": 1})
    found = samples(exposition("classes", [before, step]))
    assert found["adaptd_shards"][""] == 4
    assert found["adaptd_rebalances_total"][""] == 3
    assert found["adaptd_producer_recreations_total"][""] == 2
    assert found["adaptd_rewinds_total"][""] == 5
    assert found["adaptd_paused_partitions"][""] == 1
    assert found["adaptd_transactions_total"][""] == 77
    resets = found["adaptd_expert_resets_total"]
    assert resets['{expert="attention"}'] == 2
    assert resets['{expert="gone"}'] == 1
    assert resets['{expert="network"}'] == 0
    assert found["adaptd_stage_seconds_sum"]['{stage="commit"}'] == 4
    assert found["adaptd_batch_events_sum"][""] == step.events


def test_an_answer_has_taken_as_long_as_it_was_not_committed() -> None:
    work = {"poll": 0.25, "encode": 0.25, "learn": 0.5}
    steps = [
        Step(10.0, START, events=5, seconds=work),  # at least once: with the sink at once
        Step(11.0, START, events=6, seconds=work, transactions=1),
        Step(13.0, START, seconds=work, transactions=1),  # arrived at 12.25, waits
        Step(14.0, START, seconds=work, transactions=1),
        Step(14.5, START, seconds={"poll": 0.5}, events=20, transactions=2),
        Step(20.0, START, seconds={"poll": 5.5}, transactions=2),
        Step(21.0, START, seconds=work, transactions=3),  # labels alone
        Step(22.0, START, events=1, seconds=work, transactions=4),
    ]
    found = samples(exposition("classes", steps))
    assert found["adaptd_answer_seconds_count"][""] == 4
    assert found["adaptd_answer_seconds_sum"][""] == 3 * 0.75 + 2.25
    assert found["adaptd_batch_events_sum"][""] == 32


def test_a_shard_that_comes_brings_no_changes_and_no_resets_with_it() -> None:
    base, report = next(synthetic_run()), task_report((0, 1), 0.9)
    steps = [
        replace(
            base,
            shards=shards,
            rebalances=rebalances,
            tasks=replace(report, changes={"new": new, "returned": 1}),
            faults={"attention": new},
        )
        for shards, rebalances, new in ((1, 0, 7), (1, 0, 9), (2, 1, 500), (2, 1, 501), (1, 2, 9))
    ]
    found = samples(exposition("classes", steps))
    assert found["adaptd_task_changes_total"] == {'{kind="new"}': 3, '{kind="returned"}': 0}
    assert found["adaptd_expert_resets_total"]['{expert="attention"}'] == 3


def test_lag_in_event_time_grows_with_the_wall_clock() -> None:
    step = replace(next(synthetic_run()), event_time=START - 20)
    found = samples(exposition("classes", [step]))
    assert found["adaptd_lag_seconds"][""] == 120  # it is scraped at START + 100
    assert found["adaptd_event_timestamp_seconds"][""] == START - 20


def test_a_lag_that_is_not_known_is_not_told_as_none() -> None:
    base = next(synthetic_run())
    known, unknown = (exposition("classes", [replace(base, lag=lag)]) for lag in (0, None))
    assert samples(known)["adaptd_lag_records"][""] == 0
    assert "adaptd_lag_records" not in samples(unknown)


def test_series_stay_few_however_many_tasks_reasons_and_events_there_are() -> None:
    base = next(synthetic_run())
    report = task_report(range(40), 0.999)
    posterior = dict.fromkeys(range(60), 0.01)
    step = replace(
        base,
        tasks=replace(report, posterior=posterior),
        refused={f"reason-{i}": 1 for i in range(500)},
    )
    found = samples(exposition("classes", [step]))
    assert len(found["adaptd_task_posterior_ratio"]) == 10
    assert sum(found["adaptd_task_posterior_ratio"].values()) == pytest.approx(1)
    assert len(found["adaptd_dead_letters_total"]) <= 33
    assert sum(found["adaptd_dead_letters_total"].values()) == 500
    assert sum(map(len, found.values())) < 250


@pytest.mark.parametrize("goal", ["classes", "number"])
@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus"
)
def test_promtool_finds_nothing_to_say_against_the_exposition(goal: Goal) -> None:
    text = exposition(goal, list(synthetic_run(goal, steps=20, tasks=(0, 1, 0))))
    found = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607 - wherever it is installed
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
