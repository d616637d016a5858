"""What Prometheus reads: well-named, and true to what the loop reported."""

import re
from collections import defaultdict

import numpy as np
import pytest

from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.report import Step
from agent.service.status import About
from agent.service.tally import Tally
from streams.schema import Goal
from tests.steps import START, synthetic_run

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$")
UNITS = ("seconds", "bytes", "ratio", "records", "events", "total", "info")
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
            assert name.endswith("_seconds")


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
    assert found["adaptd_refused_total"][f'{{reason="{reason}"}}'] == expected


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
    for name in ("loss", "accuracy", "kappa", "average_precision"):
        shown = found[f"adaptd_prequential_{name}"]
        assert shown['{over="window"}'] == pytest.approx(getattr(figures.window, name))
        assert shown['{over="run"}'] == pytest.approx(getattr(figures.run, name))
    assert found["adaptd_expert_weight"]['{expert="attention"}'] == pytest.approx(
        figures.voices["attention"]
    )
    assert found["adaptd_pending_events"][""] == steps[-1].pending
    assert found["adaptd_lag_records"][""] == steps[-1].lag
    checkpoint = steps[-1].checkpoint
    assert checkpoint is not None
    assert found["adaptd_checkpoint_size_bytes"][""] == checkpoint.bytes
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
    assert "adaptd_prequential_loss" not in found


def test_two_daemons_in_one_process_do_not_share_their_counts() -> None:
    one, other = exposition("classes", list(synthetic_run(steps=3))), exposition("classes", [])
    assert samples(one)["adaptd_events_total"][""] > 0
    assert samples(other)["adaptd_events_total"][""] == 0
