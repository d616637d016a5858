"""Changes of the task are logged once; what is believed of tasks is served and exported."""

import json
from pathlib import Path

import numpy as np
import torch
from structlog.testing import capture_logs

from agent.continual.changes import TaskReport
from agent.continual.mixture import Mixture
from agent.encode import Encoder, EncoderSettings
from agent.learners.base import Spec
from agent.learners.recency import Recency
from agent.learners.ridge import Ridge
from agent.service.answers import ClassAnswers
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.report import Step
from agent.service.status import About, Status
from agent.service.tags import Tags
from agent.service.tally import Tally
from agent.service.teacher import Teacher
from streams.codec import encode_prediction
from streams.labels import PendingSettings
from streams.records import ClassPrediction, Event, NumberPrediction, Record
from streams.schema import Schema

LANES = 32
SPEC = Spec(5, 2, dated=True)
CPU = torch.device("cpu")


def _teacher() -> Teacher:
    return Teacher(Mixture(Ridge(SPEC)), ClassAnswers(["no", "yes"]), LANES, CPU)


def _teach(teacher: Teacher, blocks: int, *, turned: bool, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(blocks):
        x = draw.normal(size=(LANES, 4)).astype(np.float32)
        for row in x:
            teacher.block.teach(row, float((row.sum() > 0) ^ turned), 0)
        teacher.learn()
        teacher.open()


def test_a_change_is_logged_once_and_not_again_after_a_restart() -> None:
    teacher = _teacher()
    with capture_logs() as logs:
        _teach(teacher, 30, turned=False, seed=0)
        assert logs == []
        _teach(teacher, 15, turned=True, seed=1)
        assert [line["kind"] for line in logs] == ["new"]
        assert logs[0]["event"] == "task changed"
        assert logs[0]["task"] == 1
        assert logs[0]["label"] > 30 * LANES
        again = _teacher()
        again.restore(teacher.snapshot())
        _teach(again, 15, turned=False, seed=2)
        assert [line["kind"] for line in logs] == ["new", "returned"]
        assert logs[1]["task"] == 0
    report = again.tasks()
    assert report is not None
    assert report.current == 0
    assert report.changes == {"new": 1, "returned": 1}


def test_a_learner_that_looks_for_no_tasks_reports_none() -> None:
    teacher = Teacher(Recency(SPEC), ClassAnswers(["no", "yes"]), LANES, CPU)
    with capture_logs() as logs:
        _teach(teacher, 2, turned=False, seed=0)
    assert teacher.tasks() is None
    assert logs == []


def test_what_is_believed_of_tasks_is_served_and_exported() -> None:
    tasks = TaskReport(2, 0.75, 3, {0: 0.125, 2: 0.75, 4: 0.0}, 0.002, {"new": 4, "returned": 5})
    tally, health, about = Tally("classes"), Health(lambda: 0.0), About("1", "a test")
    metrics = Metrics(about, tally, health, lambda: 1.0)
    tally(Step(now=1.0, wall=1.0))
    before = metrics.text()[0].decode()
    assert "\nadaptd_tasks 0.0\n" in before
    assert '\nadaptd_task_changes_total{kind="new"} 0.0\n' in before
    assert "\nadaptd_current_task " not in before
    tally(Step(now=2.0, wall=2.0, tasks=tasks))
    text = metrics.text()[0].decode()
    assert '\nadaptd_task_changes_total{kind="new"} 4.0\n' in text
    assert '\nadaptd_task_changes_total{kind="returned"} 5.0\n' in text
    for name, value in (
        ("tasks", "3.0"),
        ("current_task", "2.0"),
        ("task_probability_ratio", "0.75"),
        ("task_hazard_ratio", "0.002"),
        ('task_posterior_ratio{task="0"}', "0.125"),
        ('task_posterior_ratio{task="new"}', "0.125"),
    ):
        assert f"\nadaptd_{name} {value}\n" in text
    told = json.loads(Status(about, tally, health, lambda: 2.0).now())["figures"]["tasks"]
    assert told["posterior"] == {"0": 0.125, "2": 0.75, "4": 0.0}
    assert told["hazard"] == 0.002


def _stream(rows: int, *, turned: bool, seed: int) -> list[Record]:
    """Events of four numbers with their labels; `turned`, the other way round."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, 4))
    return [
        Event(f"{seed}/{i}", "k", float(i), tuple(row), "yes" if (sum(row) > 0) ^ turned else "no")
        for i, row in enumerate(values.tolist())
    ]


def _prequential(*, looks: bool = True) -> Prequential:
    schema = Schema(dict.fromkeys("abcd", "numeric"), classes=("no", "yes"))
    encoder = Encoder(schema.fields, EncoderSettings())
    spec = Spec(encoder.width + 1, 2, codes=encoder.codes, dated=True)
    learner = Mixture(Ridge(spec)) if looks else Ridge(spec)
    return Prequential(schema, learner, encoder, PendingSettings(), LANES)


def _story() -> list[Record]:
    parts = (_stream(30 * LANES, turned=seed % 2 == 1, seed=seed) for seed in range(3))
    return [record for part in parts for record in part]


def test_answers_carry_the_task_and_the_first_one_after_a_change_says_so() -> None:
    fed = _prequential().feed(_story())
    said = fed.predictions
    assert all(one.task is not None and 0 < (one.task_probability or 0) <= 1 for one in said)
    told = [(at, one.task, one.change) for at, one in enumerate(said) if one.change]
    assert [(task, change) for _, task, change in told] == [(1, "new"), (0, "returned")]
    for at, task, _ in told:
        assert at % LANES == 0
        assert said[at - 1].task == 1 - (task or 0)
    assert 0 < told[0][0] - 30 * LANES < 12 * LANES
    assert json.loads(encode_prediction(said[told[1][0]]))["change"] == "returned"


def test_no_cut_and_no_restart_changes_what_answers_say_of_tasks() -> None:
    story = _story()
    whole = _prequential().feed(story).predictions
    now, said = _prequential(), []
    for at in range(0, len(story), 77):
        said += now.feed(story[at : at + 77]).predictions
        arrays, rest = now.snapshot()
        now = _prequential()
        now.restore(arrays, json.loads(json.dumps(rest)))
    assert said == whole


def test_a_change_waits_for_an_answer_across_a_restart() -> None:
    tags, again = Tags(), Tags()
    tags.change = "returned"
    again.restore(tags.snapshot())
    assert again.change == "returned"
    again.restore({})  # a checkpoint of before
    assert again.change is None
    again.restore(Tags().snapshot())
    assert again.change is None


def test_answers_of_a_learner_that_looks_for_no_tasks_are_as_they_were() -> None:
    said = _prequential(looks=False).feed(_stream(2 * LANES, turned=False, seed=0)).predictions
    assert all(b'"task' not in encode_prediction(one) for one in said)
    assert len(said) == 2 * LANES


def test_the_page_on_records_names_every_field_of_an_answer_and_every_metric_of_tasks() -> None:
    page = (Path(__file__).parent.parent / "docs" / "records.md").read_text()
    fields = {*ClassPrediction.__struct_fields__, *NumberPrediction.__struct_fields__}
    assert {name for name in fields if f"`{name}`" not in page} == set()
    for name in ("_changes_total", "s", "", "_probability", "_hazard"):
        assert f"`adaptd_task{name}" in page
