"""Meta-learners sit at a stream's table, untrained by name or trained from their folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.faults import SettingsError
from agent.learners.base import Spec
from agent.learners.meta import Meta
from agent.learners.registry import every_learner
from agent.service.prequential import Prequential
from agent.settings import load as load_settings
from agent.toml import Text
from agent.training.weights import Card, save
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Goal, Schema

ROWS = 640


def events(goal: Goal) -> list[Event]:
    draw = np.random.default_rng(0)
    return [
        Event(
            str(i), "", float(i), (float(a), float(b)), 1e4 * a if goal == "number" else str(a > 0)
        )
        for i, (a, b) in enumerate(draw.normal(size=(ROWS, 2)))
    ]


def built(goal: Goal, *learners: str) -> Prequential:
    return Prequential.build(
        Schema({"a": "numeric", "b": "numeric"}, goal),
        AgentSettings(learners=learners),
        EncoderSettings(),
        PendingSettings(),
    )


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_learners_by_name_learn_beside_the_default_agent(goal: Goal) -> None:
    names = ("maml", "gemcl" if goal == "classes" else "sb-mcl", "learned-rule")
    learner = built(goal, *names)
    assert set(names) <= set(learner.voices())
    fed = learner.feed(events(goal))
    assert len(fed.predictions) == ROWS
    assert float(fed.scores.loss[-200:].mean()) < float(fed.scores.loss[:50].mean())


def test_a_mixture_over_tasks_sits_at_the_table_where_it_is_asked_to() -> None:
    fields = Schema(dict.fromkeys(("a", "b"), "numeric"), target="y", goal="classes")
    settings = (EncoderSettings(), PendingSettings())
    plain, asked = (
        Prequential.build(fields, AgentSettings(device="cpu", tasks=tasks), *settings)
        for tasks in (False, True)
    )
    assert plain.tasks() is None
    assert "mixture" in asked.voices()
    assert "mixture" not in plain.voices()
    report = asked.tasks()
    assert report is not None
    assert report.tasks == 1


def test_a_state_with_meta_learners_is_taken_up_again_to_the_bit() -> None:
    stream = events("classes")
    whole, first, second = (built("classes", "gemcl", "maml") for _ in range(3))
    expected = whole.feed(stream).predictions
    begun = first.feed(stream[:300]).predictions
    leaves, meta = first.snapshot()
    second.restore(leaves, meta)
    assert [*begun, *second.feed(stream[300:]).predictions] == expected


def trained(folder: Path, spec: Spec) -> Path:
    entry = every_learner()["gemcl" if spec.classes else "alpaca"]
    learner = entry(spec)
    assert isinstance(learner, Meta)
    with torch.no_grad():
        for leaf in learner.parameters():
            leaf.add_(0.05)  # weights that no fresh learner has
    folder.mkdir()
    save(folder, learner, Card.of(entry.name, entry.options(), spec))
    return folder


def test_a_trained_learner_brings_its_weights(tmp_path: Path) -> None:
    width = built("classes")._teacher.block.x_BF.shape[1] - 1  # all but the lateness
    folder = trained(tmp_path / "gemcl", Spec(width, 5))
    stream = events("classes")
    said = built("classes", str(folder)).feed(stream).predictions
    assert said != built("classes", "gemcl").feed(stream).predictions


@pytest.mark.parametrize(
    ("spec", "words"),
    [(Spec(3, 5), "trained for 3 features and classes"), (Spec(9, 0), "numbers")],
)
def test_weights_of_other_rows_or_another_goal_stop_the_start(
    tmp_path: Path, spec: Spec, words: str
) -> None:
    folder = trained(tmp_path / "other", spec)
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {}, {"agent.learners": Text(f'["{folder}"]', "--set")})
    (fault,) = caught.value.faults
    assert fault.line().startswith("agent.learners: ")
    assert words in fault.line()


def test_an_unknown_learner_stops_the_start_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {}, {"agent.learners": Text('["gemlc"]', "--set")})
    assert "did you mean gemcl?" in caught.value.faults[0].line()
