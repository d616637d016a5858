"""Batches of episodes: a function of their number; and how far apart two distributions are."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.learners.base import Spec
from agent.learners.registry import every_learner
from agent.training.episodes import Batch, Sampler, spec_of
from streams.worlds.mixtures import Mixtures, MixtureSettings
from streams.worlds.networks import NetworkSettings, network
from streams.worlds.sinusoids import SinusoidSettings, sinusoid
from streams.worlds.tasks import SPLITS, Split

SINES = sinusoid(SinusoidSettings())
CLOUDS = Mixtures(MixtureSettings(features=3, ways=4))
WAVES = Sampler(SINES, "train", tasks=5, shots=4, queries=6, seed=3)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch))


@settings(max_examples=25)
@given(at=st.integers(0, 1 << 40), rank=st.integers(0, 1_000), split=st.sampled_from(SPLITS))
def test_a_batch_is_a_function_of_seed_split_number_and_rank(
    at: int, rank: int, split: Split
) -> None:
    sampler = replace(WAVES, split=split)
    batch = sampler.batch(at, rank)
    assert same(batch, replace(sampler).batch(at, rank))
    others = (
        sampler.batch(at + 1, rank),
        sampler.batch(at, rank + 1),
        replace(sampler, seed=4).batch(at, rank),
    )
    assert not any(same(batch, other) for other in others)


def test_batches_are_tensors_of_the_shapes_asked_for() -> None:
    batch = WAVES.batch(0)
    assert batch.support_x.shape == (5, 4, 1)
    assert batch.query_y.shape == (5, 6)
    assert batch.support_x.dtype == batch.support_y.dtype == torch.float32
    classes = Sampler(CLOUDS, "test", 2, 3, 1, 0).batch(9)
    assert classes.support_x.shape == (2, 12, 3)
    assert classes.query_x.shape == (2, 4, 3)
    assert classes.support_y.dtype == torch.int64
    assert all(getattr(classes, f.name).is_contiguous() for f in fields(Batch))
    several = Sampler(network(NetworkSettings(outputs=3)), "train", 2, 3, 1, 0).batch(0)
    assert several.support_y.shape == (2, 3, 3)


def test_other_shots_are_of_the_same_tasks() -> None:
    assert np.array_equal(WAVES.episode(7).tasks, WAVES.episode(7, shots=1).tasks)
    assert WAVES.batch(7, shots=1).support_x.shape == (5, 1, 1)


def test_support_in_order_holds_the_same_rows() -> None:
    shuffled = Sampler(CLOUDS, "train", 3, 2, 1, 0)
    ordered = replace(shuffled, ordered=True).batch(5)
    assert ordered.support_y.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 3
    loose = shuffled.batch(5)
    assert torch.equal(loose.query_x, ordered.query_x)
    for label in range(4):
        rows = loose.support_x[loose.support_y == label].view(3, 2, 3)
        assert torch.equal(rows, ordered.support_x[:, 2 * label : 2 * label + 2])


def test_splits_share_no_task() -> None:
    seen = [
        {one for at in range(50) for one in replace(WAVES, split=s).episode(at).tasks.tolist()}
        for s in SPLITS
    ]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert not seen[0] & seen[2]


def test_a_learner_learns_what_it_is_given() -> None:
    for world in (SINES, CLOUDS):
        batch = Sampler(world, "train", 2, 3, 2, 0).batch(0)
        learner = every_learner()["maml"](spec_of(world))
        state = learner.learn(learner.begin(2), batch.support_x, batch.support_y)
        learner.predict(state, batch.query_x)


def test_a_spec_says_what_a_world_asks() -> None:
    assert spec_of(SINES) == Spec(1, 0, 1)
    assert spec_of(CLOUDS) == Spec(3, 4, 1)
    assert spec_of(network(NetworkSettings(features=2, outputs=3))) == Spec(2, 0, 3)


@pytest.mark.parametrize("wrong", [{"tasks": 0}, {"shots": 0}, {"queries": -1}, {"seed": -1}])
def test_no_sampler_of_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no sampler of"):
        replace(WAVES, **wrong)  # type: ignore[arg-type] # numbers all


def test_no_sampler_of_an_unknown_split() -> None:
    with pytest.raises(ValueError, match="split: 'dev' is unknown"):
        replace(WAVES, split="dev")  # type: ignore[arg-type] # as a person might
