"""Worlds of labelled rows: classes split without overlap, rows never both taught and asked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.worlds.images import OmniglotSettings, omniglot
from streams.worlds.labelled import ArraysSettings, ClassSet, arrays
from streams.worlds.picks import choose, distinct
from streams.worlds.sinusoids import SinusoidSettings, sinusoid
from streams.worlds.tasks import SPLITS, Split, by_class
from tests.omniglot import PATH, made, needs_omniglot


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def labelled(rows: int = 9, classes: int = 12) -> ClassSet:
    """A set whose one feature is the row's number: what was drawn can be read from it."""
    group = np.tile(np.arange(classes), rows)
    x = np.arange(rows * classes, dtype=np.float32)[:, None]
    parts = np.split(np.arange(classes), [6, 9])
    return ClassSet(x, group, dict(zip(SPLITS, parts, strict=True)), ways=3)


@settings(max_examples=30)
@given(
    seed=st.integers(0), shots=st.integers(1, 4), queries=st.integers(0, 5),
    split=st.sampled_from(SPLITS),
)  # fmt: skip
def test_every_class_has_its_rows_once_and_of_the_right_class(
    seed: int, shots: int, queries: int, split: Split
) -> None:
    world = labelled()
    episode = world.episode(split, 4, shots, queries, drawn(seed))
    for task in range(4):
        support = episode.support_x[task, :, 0].astype(int)
        query = episode.query_x[task, :, 0].astype(int)
        assert len({*support.tolist(), *query.tolist()}) == 3 * (shots + queries)
        assert np.bincount(episode.support_y[task], minlength=3).tolist() == [shots] * 3
        assert np.bincount(episode.query_y[task], minlength=3).tolist() == [queries] * 3
        ids = episode.tasks[task]
        assert np.array_equal(ids[episode.support_y[task]], support % 12)
        assert np.array_equal(ids[episode.query_y[task]], query % 12)
        low, high = {"train": (0, 6), "validation": (6, 9), "test": (9, 12)}[split]
        assert ((ids >= low) & (ids < high)).all()


def test_support_can_be_put_class_by_class() -> None:
    episode = by_class(labelled().episode("train", 3, 2, 1, drawn()))
    assert episode.support_y.tolist() == [[0, 0, 1, 1, 2, 2]] * 3
    rows = episode.support_x[..., 0].astype(int) % 12
    assert np.array_equal(rows, episode.tasks.repeat(2, axis=1))
    with pytest.raises(ValueError, match="numbers"):
        by_class(sinusoid(SinusoidSettings()).episode("train", 1, 2, 1, drawn()))


def test_rows_are_shuffled_otherwise() -> None:
    labels = labelled().episode("train", 50, 3, 1, drawn()).support_y
    assert len(np.unique(labels, axis=0)) > 40


def test_too_many_shots_or_ways_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train: 0 classes have 8 \+ 2 rows"):
        labelled().episode("train", 1, 8, 2, drawn())
    with pytest.raises(ValueError, match="validation: 1 classes; 3 ways ask for more"):
        ClassSet(np.zeros((6, 1), np.float32), np.arange(6), {
            "train": np.arange(3), "validation": np.array([3]), "test": np.array([4, 5]),
        }, 3)  # fmt: skip


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(4, 2_000), min_size=1, max_size=5), many=st.integers(1, 4),
    seed=st.integers(0),
)  # fmt: skip
def test_distinct_numbers_are_distinct_and_below_their_count(
    counts: list[int], many: int, seed: int
) -> None:
    picked = distinct(np.array(counts), many, drawn(seed))
    assert picked.shape == (len(counts), many)
    assert (picked >= 0).all()
    assert (picked < np.array(counts)[:, None]).all()
    assert all(len(set(row)) == many for row in picked.tolist())


def test_distinct_numbers_of_short_runs_stay_below_each_count() -> None:
    counts = np.tile([3, 4, 250], 200)
    picked = distinct(counts, 3, drawn())
    assert (picked < counts[:, None]).all()
    assert all(sorted(row) == [0, 1, 2] for row in picked[::3].tolist())
    assert all(len(set(row)) == 3 for row in picked.tolist())


def test_distinct_numbers_of_long_runs_are_as_likely_in_every_place() -> None:
    """Floyd's way alone would put the last number into the last place far too often."""
    picked = distinct(np.full(30_000, 300), 3, drawn())
    for place in picked.T:
        counted = np.bincount(place, minlength=300)
        assert np.abs(counted - 100).max() < 60
        assert abs(counted[299] - 100) < 45


def test_choices_are_allowed_and_different() -> None:
    allowed = drawn().random((200, 9)) < 0.6
    allowed[:, :3] = True
    picked = choose(allowed, 3, drawn(1))
    assert np.take_along_axis(allowed, picked, 1).all()
    assert all(len(set(row)) == 3 for row in picked.tolist())
    assert len(np.unique(choose(np.ones((500, 3), bool), 3, drawn()), axis=0)) == 6


# Omniglot and other arrays


def test_alphabets_are_kept_apart_with_their_turns(tmp_path: Path) -> None:
    """The made images say by a pixel which alphabet they are of, whichever way they are turned."""
    path = made(tmp_path)
    world = omniglot(OmniglotSettings(path, ways=4, validation=("Beta",)))
    of = {"train": {0, 2}, "validation": {1}, "test": {3}}
    for split in SPLITS:
        episode = world.episode(split, 40, 1, 2, drawn())
        images = episode.support_x.reshape(-1, 28, 28)
        rows = [np.rot90(image, -turn) for image in images for turn in range(4)]
        found = {int(np.argwhere(one == 1)[0][0]) for one in rows
                 if (one[:4] == 1).any() and one[27, 27] > 0}  # fmt: skip
        assert found == of[split]
        assert set((episode.tasks % 4).ravel().tolist()) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="alphabets Beta: in both validation and test"):
        omniglot(OmniglotSettings(path, 4, validation=("Beta",), test=("Beta", "Delta")))
    with pytest.raises(ValueError, match="'Bet' is unknown; there are Alpha, Beta"):
        omniglot(OmniglotSettings(path, 4, validation=("Bet",)))


def test_unturned_and_shrunk_characters(tmp_path: Path) -> None:
    small = OmniglotSettings(made(tmp_path), 4, validation=("Beta",), turned=False, side=14)
    episode = omniglot(small).episode("train", 10, 1, 1, drawn())
    assert episode.support_x.shape == (10, 4, 196)
    assert set((episode.tasks % 4).ravel().tolist()) == {0}
    whole = omniglot(replace(small, side=28)).episode("train", 10, 1, 1, drawn())
    means = whole.support_x.reshape(10, 4, 14, 2, 14, 2).mean((3, 5)).reshape(10, 4, 196)
    assert np.abs(means - episode.support_x).max() < 1 / 255


def test_a_missing_file_or_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        omniglot(OmniglotSettings(tmp_path / "none.npz"))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="no array 'images'; there are x"):
        omniglot(OmniglotSettings(tmp_path / "other.npz"))


def test_any_labelled_arrays_make_a_world(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    label = np.array([f"c{i % 20}" for i in range(200)])
    x = np.arange(400, dtype=np.float64).reshape(200, 2, 1)
    np.savez(path, x=x, y=label)
    world = arrays(ArraysSettings(path, ways=3))
    seen = {
        split: set(world.episode(split, 60, 1, 1, drawn()).tasks.ravel().tolist())
        for split in SPLITS
    }
    assert [len(seen[split]) for split in SPLITS] == [12, 4, 4]
    assert len(set.union(*seen.values())) == 20
    split = np.where(np.arange(200) % 20 < 8, "train", "validation")
    split = np.where(np.arange(200) % 20 > 14, "test", split)
    split[3] = "test"
    np.savez(path, x=x, y=label, part=split)
    with pytest.raises(ValueError, match="classes c3: in both train and test"):
        arrays(ArraysSettings(path, ways=3, split="part"))


class TestOmniglot:
    """The real file."""

    pytestmark = needs_omniglot

    def test_the_alphabets_of_the_test_are_those_of_set_2_alone(self) -> None:
        with np.load(PATH) as data:
            ids, first = data["character_id"], data["in_small1"]
        place = {one: at for at, one in enumerate(np.unique(ids).tolist())}
        of_first = {place[one] for one in ids[first].tolist()}
        world = omniglot(OmniglotSettings(PATH, ways=20))
        seen = {
            split: set((world.episode(split, 300, 1, 0, drawn()).tasks // 4).ravel().tolist())
            for split in SPLITS
        }
        assert seen["train"] | seen["validation"] == of_first
        assert seen["test"] == set(place.values()) - of_first
        assert not seen["train"] & seen["validation"]
        assert [len(seen[split]) for split in SPLITS] == [112, 24, 106]

    def test_pixels_are_ink(self) -> None:
        episode = omniglot(OmniglotSettings(PATH)).episode("test", 2, 1, 15, drawn())
        assert episode.query_x.shape == (2, 75, 784)
        assert episode.query_x.min() == 0
        assert 0.9 < episode.query_x.max() <= 1
        assert 0.03 < episode.query_x.mean() < 0.2
