"""Changes of the task are logged once; what is believed of tasks is served and exported."""

import json

import numpy as np
import torch
from structlog.testing import capture_logs

from agent.continual.changes import TaskReport
from agent.continual.mixture import Mixture
from agent.learners.base import Spec
from agent.learners.recency import Recency
from agent.learners.ridge import Ridge
from agent.service.answers import ClassAnswers
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.report import Step
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.teacher import Teacher

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
    assert "adaptd_task" not in metrics.text()[0].decode()
    tally(Step(now=2.0, wall=2.0, tasks=tasks))
    text = metrics.text()[0].decode()
    assert '\nadaptd_task_changes_total{kind="new"} 4.0\n' in text
    assert '\nadaptd_task_changes_total{kind="returned"} 5.0\n' in text
    for name, value in (("s", "3.0"), ("", "2.0"), ("_probability", "0.75"), ("_hazard", "0.002")):
        assert f"\nadaptd_task{name} {value}\n" in text
    told = json.loads(Status(about, tally, health, lambda: 2.0).now())["figures"]["tasks"]
    assert told["posterior"] == {"0": 0.125, "2": 0.75, "4": 0.0}
    assert told["hazard"] == 0.002
