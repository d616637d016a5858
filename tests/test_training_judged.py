"""How meta-training is watched and judged: history, board, assessment, verdict."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.learners.base import Numbers
from agent.training.against import cells, verdict
from agent.training.assess import Score, assess
from agent.training.episodes import Sampler
from agent.training.show import Board, History, sparkline
from agent.training.trainer import train
from agent.training.watch import Several, Silent
from tests.trainings import SMALL, KilledError, Killer, learner, world


def test_watchers_write_history_and_a_board_that_go_on_after_a_resumption(tmp_path: Path) -> None:
    of = world()
    for killer, resume in ((Killer(8), False), (Silent(), True)):
        watch = Several(History(tmp_path), Board(tmp_path), killer)
        try:
            train(learner("maml", of), of, SMALL, folder=tmp_path, watch=watch, resume=resume)
        except KilledError:
            watch.ended("killed")
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f'{{"iteration": {at}' for at in (0, 5, 10, 12)
    ]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) >= 1


def test_a_sparkline_falls_as_its_values_do() -> None:
    line = sparkline([math.nan, *range(100, 0, -1)], width=8)
    assert len(line) == 8
    assert list(line) == sorted(line, reverse=True)


def test_assessment_scores_the_same_tasks_alike_for_everyone() -> None:
    of = world()
    scores = assess(learner("maml", of), of, "test", tasks=30, shots=[0, 1, 5], steps=[0, 2])
    assert [(one.shots, one.steps) for one in scores] == [
        (0, 0), (0, 2), (1, 0), (1, 2), (5, 0), (5, 2)
    ]  # fmt: skip
    assert scores[0].mean == scores[1].mean
    batch = Sampler(of, "test", 30, 5, 15, 0).batch(0, shots=5)
    said = learner("maml", of).predict(learner("maml", of).begin(30), batch.query_x)
    assert isinstance(said, Numbers)
    mean, _ = said.moments()
    wanted = ((mean - batch.query_y) ** 2).mean(1).detach().numpy()
    np.testing.assert_allclose(scores[4].each, wanted, rtol=1e-5)
    half = 1.96 * wanted.std(ddof=1) / math.sqrt(30)
    assert scores[4].half_width == pytest.approx(half, rel=1e-4)


def _score(metric: str, each: Sequence[float]) -> Score:
    return Score(5, 1, metric, float(np.mean(each)), 0.0, np.array(each))


def test_the_verdict_is_by_the_paired_difference_to_the_better_baseline() -> None:
    ours = _score("mse", [1.0, 2.0, 3.0])
    rivals = {"finetune": [_score("mse", [1.5, 2.6, 3.4])], "scratch": [_score("mse", [9, 9, 9])]}
    (cell,) = cells([ours], rivals)
    assert cell.rival == "finetune"
    assert cell.gain == pytest.approx(0.5)
    assert cell.verdict == "better"
    said = verdict([cell], "maml")
    assert said.startswith("Meta-learning added value")
    assert "5 shots and 1 steps: mse 2 against 2.5 of finetune (by 0.5 ± 0.11)" in said


def test_the_verdict_says_when_nothing_was_gained() -> None:
    ours = _score("accuracy", [0.5, 0.7, 0.6])
    (cell,) = cells([ours], {"finetune": [_score("accuracy", [0.6, 0.6, 0.6])]})
    assert cell.verdict == "even"
    assert verdict([cell], "maml").startswith("Meta-learning added no value here")
