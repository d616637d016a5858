"""Meta-training: what it optimises, that it resumes to the bit, and what it says at the end."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from typing_extensions import override

from agent.learners.meta import Meta
from agent.learners.registry import Outer
from agent.training import keep
from agent.training.assess import assess
from agent.training.average import Averaging
from agent.training.episodic import Episodic
from agent.training.settings import TrainingError, TrainSettings
from agent.training.trainer import train
from agent.training.unroll import adapt, episode_loss
from agent.training.watch import Row, Silent
from streams.worlds.labelled import ClassSet
from streams.worlds.tasks import Split
from tests.trainings import SMALL, KilledError, Killer, learner, world


def weights(made: Meta) -> dict[str, nn.Parameter]:
    assert isinstance(made.start, nn.ParameterDict)
    return dict(made.start.items())


def same(one: Meta, two: Meta) -> bool:
    other = two.state_dict()
    return all(torch.equal(leaf, other[name]) for name, leaf in one.state_dict().items())


class Rows(Silent):
    """Remembers where a run began."""

    began_at = -1

    @override
    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        self.began_at = iteration


RESUMED: list[tuple[str, str, Outer]] = [
    ("maml", "sinusoid", "episodes"),
    ("reptile", "sinusoid", "reptile"),
    ("maml", "sinusoid", "joint"),
    ("prototypical", "mixtures", "episodes"),
]


@pytest.mark.parametrize(("name", "tasks", "outer"), RESUMED)
def test_a_run_that_was_killed_at_any_iteration_resumes_to_the_same_bits(
    name: str, tasks: str, outer: Outer, tmp_path: Path
) -> None:
    of = world(tasks)
    whole = train(learner(name, of), of, SMALL, outer=outer)
    for at in np.random.default_rng(0).choice(np.arange(1, SMALL.iterations + 1), 3, replace=False):
        folder = tmp_path / str(at)
        with pytest.raises(KilledError):
            train(learner(name, of), of, SMALL, folder=folder, watch=Killer(int(at)), outer=outer)
        seen = Rows()
        again = train(
            learner(name, of), of, SMALL, folder=folder, watch=seen, outer=outer, resume=True
        )
        assert seen.began_at == (at - 1) // 3 * 3
        assert same(whole.learner, again.learner)
        figures = [(row.iteration, row.train, row.validation) for row in again.history]
        wanted = [(row.iteration, row.train, row.validation) for row in whole.history]
        np.testing.assert_equal(figures, wanted)


def test_a_run_that_is_asked_to_stop_leaves_a_checkpoint_and_goes_on_to_the_same_bits(
    tmp_path: Path,
) -> None:
    of = world()
    whole = train(learner("maml", of), of, SMALL)
    calls = iter(range(100))
    first = train(learner("maml", of), of, SMALL, folder=tmp_path, stop=lambda: next(calls) == 6)
    assert not first.finished
    assert first.stopped == "stopped as asked"
    second = train(learner("maml", of), of, SMALL, folder=tmp_path, resume=True)
    assert second.finished
    assert same(whole.learner, second.learner)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    of = world()
    first = train(learner("maml", of), of, SMALL, folder=tmp_path)
    seen = Rows()
    again = train(learner("maml", of), of, SMALL, folder=tmp_path, watch=seen, resume=True)
    assert seen.began_at == SMALL.iterations
    assert same(first.learner, again.learner)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    of = world()
    train(learner("maml", of), of, SMALL, folder=tmp_path)
    other = replace(SMALL, tasks_per_step=5)
    with pytest.raises(TrainingError, match="tasks_per_step: 4 then, 5 now"):
        train(learner("maml", of), of, other, folder=tmp_path, resume=True)
    with pytest.raises(TrainingError, match="learner: Maml then, Reptile now"):
        train(learner("reptile", of), of, SMALL, folder=tmp_path, resume=True)
    (tmp_path / keep.FILE).write_bytes((tmp_path / keep.FILE).read_bytes()[:100])
    with pytest.raises(TrainingError, match="damaged"):
        train(learner("maml", of), of, SMALL, folder=tmp_path, resume=True)


def test_meta_training_lowers_the_loss_on_tasks_it_never_saw() -> None:
    of = world()
    settings = replace(SMALL, iterations=150, tasks_per_step=10, shots=(5, 5), validate_every=50)
    done = train(learner("maml", of), of, settings)
    assert done.history[-1].best < 0.8 * done.history[0].validation
    (fresh,) = assess(learner("maml", of), of, "test", tasks=50, shots=[5], steps=[2])
    (trained,) = assess(done.learner, of, "test", tasks=50, shots=[5], steps=[2])
    assert trained.mean < fresh.mean


def test_reptile_moves_its_start_to_the_mean_of_adapted_weights() -> None:
    of, settings = world(), replace(SMALL, steps=(3, 3))
    made = learner("reptile", of)
    way = Averaging(made, of, settings)
    batch, steps = way.draw("train", 0)
    x = torch.cat([batch.support_x, batch.query_x], 1)
    y = torch.cat([batch.support_y, batch.query_y], 1)
    state = adapt(made, made.begin(4), x, y, steps)
    wanted = {name: state[f"fast.{name}"].detach().mean(0) for name in weights(made)}
    start = {name: leaf.detach().clone() for name, leaf in weights(made).items()}
    way.add(0, 0, 1.0)
    for name, leaf in weights(made).items():
        assert leaf.grad is not None
        torch.testing.assert_close(start[name] - leaf.grad, wanted[name])


def test_shards_add_up_to_the_mean_of_their_gradients() -> None:
    of = world()
    made = learner("maml", of)
    way = Episodic(made, of, SMALL)
    losses = [episode_loss(made, *way.draw("train", 3, shard)) for shard in (0, 1)]
    wanted = torch.autograd.grad((losses[0] + losses[1]) / 2, list(weights(made).values()))
    for shard in (0, 1):
        way.add(3, shard, 0.5)
    for leaf, grad in zip(weights(made).values(), wanted, strict=True):
        torch.testing.assert_close(leaf.grad, grad)


def test_sequences_are_learned_class_by_class_in_one_pass() -> None:
    of = world("mixtures")
    way = Episodic(learner("maml", of), of, replace(SMALL, shots=(3, 3)), ordered=True)
    batch, steps = way.draw("train", 0)
    assert steps == 1
    assert batch.support_y[0].tolist() == sorted(batch.support_y[0].tolist())
    assert set(batch.query_y[0].tolist()) == set(range(of.classes))


def test_shots_and_steps_are_drawn_from_the_whole_of_their_ranges() -> None:
    of = world()
    way = Episodic(learner("maml", of), of, replace(SMALL, shots=(1, 3), steps=(1, 4)))
    drawn = {way.numbers("train", at) for at in range(100)}
    assert drawn == {(shots, steps) for shots in (1, 2, 3) for steps in (1, 2, 3, 4)}


def test_steps_that_are_not_finite_are_skipped_and_counted_and_too_many_end_the_run() -> None:
    of = world()
    made = learner("maml", of, rate=1e30, clip=1e30)
    start = {name: leaf.clone() for name, leaf in made.state_dict().items()}
    with pytest.raises(TrainingError, match="not finite 4 times in a row"):
        train(made, of, replace(SMALL, most_skipped=3, steps=(3, 3)))
    assert all(torch.equal(leaf, start[name]) for name, leaf in made.state_dict().items())


def test_early_stopping_keeps_the_best_weights() -> None:
    of = world()
    made = learner("maml", of)
    start = {name: leaf.clone() for name, leaf in made.state_dict().items()}
    settings = replace(
        SMALL, iterations=400, validate_every=2, patience=2, optimizer="sgd", rate=30.0, clip=1e9
    )
    done = train(made, of, settings)
    assert done.stopped == "2 validations without a new best"
    assert done.history[-1].iteration == 4
    assert all(torch.equal(leaf, start[name]) for name, leaf in made.state_dict().items())


def test_the_limit_of_time_is_kept_by_the_clock_that_is_handed_in() -> None:
    ticks = iter(range(1000))
    done = train(
        learner("maml", world()), world(), replace(SMALL, seconds=5.0), clock=lambda: next(ticks)
    )
    assert done.stopped == "5 seconds are over"
    assert done.history[-1].iteration == 6


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 0.5, 0.0]),
        ("cosine", [0.5, 1.0, 0.5, 0.0]),
    ],
)
def test_rates_rise_at_first_and_fall_as_their_schedule_says(
    schedule: str, wanted: list[float]
) -> None:
    settings = TrainSettings(iterations=101, warmup=1)
    rates = [settings.rate_at(at, start=1.0, schedule=schedule) for at in (0, 1, 51, 101)]
    assert rates == pytest.approx(wanted)


def test_bf16_trains_too() -> None:
    done = train(learner("prototypical", world("mixtures")), world("mixtures"),
                 replace(SMALL, precision="bf16"))  # fmt: skip
    assert math.isfinite(done.history[-1].train)
    assert (
        done.history[-1].train
        != train(learner("prototypical", world("mixtures")), world("mixtures"), SMALL)
        .history[-1]
        .train
    )


def alphabet() -> ClassSet:
    """Sixty classes that lie in two directions of twenty; the rest of a row is noise."""
    draw = np.random.default_rng(0)
    centres, mix = draw.normal(size=(60, 2)), draw.normal(size=(2, 10))
    group = np.repeat(np.arange(60), 20)
    told = (centres[group] + 0.2 * draw.normal(size=(1200, 2))) @ mix
    x = np.concatenate([told, 3 * draw.normal(size=(1200, 10))], 1).astype(np.float32)
    splits: dict[Split, NDArray[np.int64]] = {
        "train": np.arange(40), "validation": np.arange(40, 50), "test": np.arange(50, 60),
    }  # fmt: skip
    return ClassSet(x, group, splits, 5)


def test_joint_training_of_classes_teaches_the_body_what_tells_them_apart() -> None:
    of, made = alphabet(), learner("finetune", alphabet())
    settings = replace(SMALL, iterations=200, tasks_per_step=8, shots=(5, 5), validate_every=100)
    before, after = (
        assess(one, of, "test", tasks=100, shots=[5], steps=[10])[0]
        for one in (made, train(learner("finetune", of), of, settings, outer="joint").learner)
    )
    assert after.mean > before.mean + 0.1
    assert "out.weight" not in made.state_dict()


def test_joint_training_where_no_class_comes_back_is_refused_with_the_reason() -> None:
    with pytest.raises(TrainingError, match="classes of its own"):
        train(learner("maml", world("mixtures")), world("mixtures"), SMALL, outer="joint")


@pytest.mark.parametrize(
    ("field", "value"),
    [("iterations", -1), ("shots", (5, 1)), ("shots", (0, 1)), ("rate", 0.0), ("threads", -1)],
)
def test_settings_that_cannot_be_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        TrainSettings(**{field: value})  # type: ignore[arg-type]  # wrong on purpose
