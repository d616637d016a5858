"""Families of tasks: pure functions of their numbers, split without overlap, rows kept apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.build import build
from agent.toml import Table, Text
from streams.worlds.families import TASKS, family
from streams.worlds.hashed import normals, uniforms
from streams.worlds.images import OmniglotSettings
from streams.worlds.labelled import ArraysSettings
from streams.worlds.mixtures import Mixtures, MixtureSettings
from streams.worlds.sinusoids import SinusoidSettings, sinusoid
from streams.worlds.tabular import TableSettings
from streams.worlds.tasks import SPLITS, Episode, Ranges, Split, TaskWorld

NUMBERED = ("sinusoid", "harmonic", "piecewise", "networks", "mixtures")


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def built(name: str, **settings: object) -> TaskWorld:
    return TASKS[name].build(TASKS[name].settings(**settings))


def same(one: Episode, other: Episode) -> bool:
    return all(
        np.array_equal(getattr(one, leaf), getattr(other, leaf))
        for leaf in ("support_x", "support_y", "query_x", "query_y", "tasks")
    )


# Numbered families


@pytest.mark.parametrize("name", NUMBERED)
@settings(max_examples=15)
@given(
    tasks=st.integers(1, 5), shots=st.integers(1, 6), queries=st.integers(0, 5), seed=st.integers(0)
)
def test_an_episode_has_the_shapes_that_were_asked_for(
    name: str, tasks: int, shots: int, queries: int, seed: int
) -> None:
    world = built(name)
    each = max(1, world.classes)
    episode = world.episode("train", tasks, shots, queries, drawn(seed))
    assert episode.support_x.shape == (tasks, shots * each, world.features)
    assert episode.query_x.shape == (tasks, queries * each, world.features)
    assert episode.support_x.dtype == episode.query_x.dtype == np.float32
    assert episode.support_y.dtype == (np.int64 if world.classes else np.float32)
    assert np.isfinite(episode.support_x).all()
    assert np.isfinite(episode.support_y).all()
    assert same(episode, world.episode("train", tasks, shots, queries, drawn(seed)))


def test_another_seed_has_other_tasks() -> None:
    for name in NUMBERED:
        one, same_again, other = (
            built(name, seed=seed).episode("train", 3, 4, 2, drawn(1)) for seed in (5, 5, 6)
        )
        assert same(one, same_again)
        assert not same(one, other)
        assert np.array_equal(one.tasks, other.tasks)


def test_numbers_of_a_task_do_not_depend_on_its_neighbours() -> None:
    ids = np.array([3, 99, 1 << 40, 3])
    together = uniforms(11, ids, 6)
    assert np.array_equal(together[0], together[3])
    assert np.array_equal(together[:, :4], uniforms(11, ids, 4))
    assert np.array_equal(together[1:2], uniforms(11, ids[1:2], 6))
    assert not np.array_equal(together, uniforms(12, ids, 6))


def test_numbers_of_tasks_are_even_and_unrelated() -> None:
    many = uniforms(0, np.arange(20_000), 4)
    assert np.abs(many.mean(0) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(many.T) - np.eye(4)).max() < 0.03
    assert abs(np.corrcoef(many[1:, 0], many[:-1, 0])[0, 1]) < 0.03
    normal = normals(many)
    assert normal.shape == (20_000, 2)
    assert np.abs(normal.mean(0)).max() < 0.03
    assert np.abs(normal.std(0) - 1).max() < 0.03


def test_sinusoids_are_those_of_the_paper() -> None:
    world = sinusoid(SinusoidSettings())
    episode = world.episode("train", 4_000, 10, 40, drawn())
    x, y = episode.query_x[..., 0].astype(float), episode.query_y.astype(float)
    assert np.abs(x).max() <= 5
    design = np.stack([np.sin(x), np.cos(x)], -1)  # A sin(x - p) = A cos p sin x - A sin p cos x
    inner = design.swapaxes(1, 2) @ design
    fitted = np.linalg.solve(inner, design.swapaxes(1, 2) @ y[..., None])
    assert np.abs((design @ fitted)[..., 0] - y).max() < 1e-5
    amplitude = np.hypot(fitted[:, 0, 0], fitted[:, 1, 0])
    phase = np.arctan2(-fitted[:, 1, 0], fitted[:, 0, 0])
    assert amplitude.min() >= 0.1 - 1e-5
    assert amplitude.max() <= 5 + 1e-5
    assert abs(amplitude.mean() - 2.55) < 0.1
    assert phase.min() >= -1e-4
    assert phase.max() <= np.pi + 1e-4
    assert abs(phase.mean() - np.pi / 2) < 0.06


def test_pieces_are_lines_that_meet_or_levels() -> None:
    steps = built("piecewise", shape="constant", pieces=3).episode("train", 20, 200, 0, drawn())
    assert all(len(np.unique(y)) <= 3 for y in steps.support_y)
    lines = built("piecewise", pieces=3, seed=2).episode("train", 20, 200, 0, drawn())
    made = uniforms(2, lines.tasks, 2 + 4)
    for task, (x, y) in enumerate(zip(lines.support_x[..., 0], lines.support_y, strict=True)):
        knots = np.array([-5, *np.sort(made[task, :2]) * 10 - 5, 5])
        assert np.abs(np.interp(x, knots, made[task, 2:] * 6 - 3) - y).max() < 1e-5


def test_networks_give_several_numbers() -> None:
    world = built("networks", features=3, outputs=2)
    episode = world.episode("test", 6, 5, 4, drawn())
    assert episode.support_y.shape == (6, 5, 2)
    assert world.outputs == 2
    assert not np.allclose(episode.support_y[..., 0], episode.support_y[..., 1])


def test_noise_is_added() -> None:
    quiet = built("sinusoid").episode("train", 50, 50, 0, drawn())
    loud = built("sinusoid", noise=0.5).episode("train", 50, 50, 0, drawn())
    assert np.array_equal(quiet.support_x, loud.support_x)
    assert abs((loud.support_y - quiet.support_y).std() - 0.5) < 0.03


def test_clouds_of_a_mixture_are_told_apart_by_their_centres() -> None:
    world = Mixtures(MixtureSettings(features=8, ways=4, clouds=1, apart=3.0, scatter=0, width=0.3))
    episode = world.episode("train", 30, 10, 10, drawn())
    centre = np.stack(
        [[x[y == one].mean(0) for one in range(4)]
         for x, y in zip(episode.support_x, episode.support_y, strict=True)]
    )  # fmt: skip
    gap = np.linalg.norm(episode.query_x[:, :, None] - centre[:, None], axis=-1)
    assert (gap.argmin(2) == episode.query_y).mean() > 0.99


# Splits


def test_the_same_tasks_are_drawn_at_any_number_of_shots() -> None:
    for name in NUMBERED:
        world = built(name)
        one, ten = (world.episode("test", 6, shots, 3, drawn(4)) for shots in (1, 10))
        assert np.array_equal(one.tasks, ten.tasks)


@settings(max_examples=25)
@given(seed=st.integers(0), split=st.sampled_from(SPLITS))
def test_numbered_tasks_come_from_their_own_split(seed: int, split: Split) -> None:
    splits = Ranges((0, 10), (10, 14), (20, 500))
    ids = splits.pick(split, 10, drawn(seed))
    first, after = getattr(splits, split)
    assert ((ids >= first) & (ids < after)).all()
    assert len(set(ids.tolist())) == min(10, after - first) or split == "validation"


def test_a_task_in_two_splits_is_named() -> None:
    with pytest.raises(ValueError, match="tasks 8 to 9: in both train and test"):
        Ranges((0, 10), (20, 30), (8, 12))
    with pytest.raises(ValueError, match="validation: no tasks from 5 up to 5"):
        Ranges(validation=(5, 5))


def test_an_unknown_split_or_family_is_refused() -> None:
    with pytest.raises(ValueError, match="split: 'dev' is unknown; take one of train"):
        built("sinusoid").episode("dev", 1, 1, 1, drawn())  # type: ignore[arg-type] # as a person might
    with pytest.raises(ValueError, match="'sinus' is unknown; take one of arrays, harmonic"):
        family("sinus")


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("sinusoid", {"reach": 0.0}, "reach"),
        ("sinusoid", {"seed": -1}, "seed"),
        ("sinusoid", {"amplitude": (5.0, 1.0)}, "amplitude"),
        ("harmonic", {"frequency": (1.0,)}, "frequency"),
        ("harmonic", {"noise": float("nan")}, "noise"),
        ("piecewise", {"shape": "cubic"}, "shape"),
        ("piecewise", {"pieces": 0}, "pieces"),
        ("networks", {"hidden": 0}, "hidden"),
        ("mixtures", {"ways": 1}, "ways"),
        ("omniglot", {"path": Path("none"), "side": 20}, "side"),
        ("arrays", {"path": Path("none"), "share": 0.5}, "share"),
    ],
)
def test_a_wrong_setting_is_named(name: str, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TASKS[name].settings(**wrong)


def test_settings_are_read_from_text_and_tables() -> None:
    splits: Table = {"splits": {"train": [0, 5], "validation": [5, 6], "test": [6, 7]}}
    for name in NUMBERED:
        read = build(TASKS[name].settings, splits)
        assert read.splits == Ranges((0, 5), (5, 6), (6, 7))
    table: Table = {"path": "a.npz", "validation": Text("Beta, Gamma", "a flag")}
    assert build(OmniglotSettings, table).validation == ("Beta", "Gamma")
    table = {"path": "a.npz", "split": Text("part", "a flag")}
    assert build(ArraysSettings, table).split == "part"
    table = {"path": "a.csv", "task": "user", "target": "y", "goal": "classes", "ways": 3}
    assert build(TableSettings, table).ways == 3
