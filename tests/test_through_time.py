"""Meta-training through time: what a window's loss is made of, and that it resumes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typing_extensions import override

from agent.learners.meta import Meta
from agent.learners.registry import every_learner
from agent.training.episodes import spec_of
from agent.training.settings import TrainSettings
from agent.training.through_time import ThroughTime, TimeSettings, earlier, through_time
from agent.training.trainer import train
from agent.training.watch import Silent
from streams.worlds.families import TASKS
from streams.worlds.recurring import RecurringSettings
from streams.worlds.tasks import TaskWorld

TIME = TimeSettings(stream=RecurringSettings(length=30, segment=5, tasks=3), horizon=10, block=2)
SETTINGS = TrainSettings(
    iterations=10, tasks_per_step=3, validate_every=4, validation_tasks=6, checkpoint_every=1
)


def made(name: str = "lstm", tasks: str = "sinusoid") -> tuple[Meta, TaskWorld]:
    family = TASKS[tasks]
    world = family.build(family.settings())
    learner = every_learner()[name](spec_of(world))
    assert isinstance(learner, Meta)
    return learner, world


class KilledError(RuntimeError):
    """Stands for the end of the process."""


class Killer(Silent):
    """Ends a run in the middle of a stream."""

    @override
    def stepped(self, iteration: int) -> None:
        if iteration == 6:
            raise KilledError


@pytest.mark.parametrize("name", ["lstm", "maml"])
def test_a_run_that_was_killed_inside_a_stream_goes_on_there_to_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    learner, world = made(name)
    whole = train(learner, world, SETTINGS, way=through_time(TIME)).learner.state_dict()
    with pytest.raises(KilledError):
        train(
            made(name)[0], world, SETTINGS, way=through_time(TIME), folder=tmp_path, watch=Killer()
        )
    again = train(
        made(name)[0], world, SETTINGS, way=through_time(TIME), folder=tmp_path, resume=True
    )
    assert all(torch.equal(leaf, whole[name]) for name, leaf in again.learner.state_dict().items())


def test_a_window_goes_on_from_the_state_of_the_one_before_and_is_cut_off_from_it() -> None:
    learner, world = made()
    way = ThroughTime(learner, world, SETTINGS, TIME)
    seen = []
    for at in range(4):
        way.add(at, 0, 1.0)
        kept = way.kept()
        seen.append(float(kept["0.count"][0, 0]))
        assert not any(leaf.requires_grad for leaf in kept.values())
    assert seen == [10, 20, 30, 10]


def test_without_retention_the_loss_is_that_of_answering_before_learning() -> None:
    learner, world = made("maml")
    way = ThroughTime(learner, world, SETTINGS, replace(TIME, retention=0.0))
    loss = way.add(0, 0, 1.0)
    streams = way._streams("train", 0, 0)
    x, y = torch.from_numpy(streams.x[:, :10]), torch.from_numpy(streams.y[:, :10])
    state, losses = learner.begin(3), []
    for first in range(0, 10, 2):
        rows = slice(first, first + 2)
        losses.append(learner.objective(learner.predict(state, x[:, rows]), y[:, rows]))
        state = learner.learn(state, x[:, rows], y[:, rows])
    torch.testing.assert_close(loss, torch.cat(losses, 1).mean().detach())


def test_retention_weighs_in_once_a_stream_has_met_a_second_task() -> None:
    learner, world = made("maml")
    losses = {
        weight: [
            ThroughTime(learner, world, SETTINGS, replace(TIME, retention=weight)).add(at, 0, 1.0)
            for at in (0,)
        ]
        for weight in (0.0, 1.0)
    }
    assert losses[1.0][0] > losses[0.0][0]
    alone = replace(TIME, stream=RecurringSettings(length=30, tasks=1))
    both = [
        ThroughTime(learner, world, SETTINGS, replace(alone, retention=weight)).add(0, 0, 1.0)
        for weight in (0.0, 1.0)
    ]
    assert both[0] == both[1]


def test_rows_of_an_earlier_task_are_of_one_task_that_is_not_on() -> None:
    slot = np.array([[0, 0, 1, 1, 2], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]])
    for seed in range(20):
        rows, had = earlier(slot, 6, np.random.default_rng(seed))
        assert had.tolist() == [True, False, True]
        assert set(slot[0, rows[0]]) in ({0}, {1})
        assert set(slot[2, rows[2]]) == {1}


def test_a_learner_trained_through_time_answers_streams_better_than_before() -> None:
    learner, world = made("maml")
    time = TimeSettings(
        stream=RecurringSettings(length=60, segment=20, tasks=2), horizon=20, block=4
    )
    settings = replace(SETTINGS, iterations=60, tasks_per_step=8, validate_every=20, rate=3e-3)
    done = train(learner, world, settings, way=through_time(time))
    assert done.history[-1].best < 0.8 * done.history[0].validation


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"block": 51}, {"cue": -1}, {"asked": 0}])
def test_times_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"horizon|cue"):
        TimeSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
