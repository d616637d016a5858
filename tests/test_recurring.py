"""Streams of tasks that begin, end and return."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.worlds.images import OmniglotSettings, omniglot
from streams.worlds.mixtures import Mixtures, MixtureSettings
from streams.worlds.networks import NetworkSettings, network
from streams.worlds.recurring import RecurringSettings, recurring, segments
from streams.worlds.sinusoids import SinusoidSettings, sinusoid
from tests.omniglot import PATH, needs_omniglot


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=40)
@given(
    length=st.integers(1, 80), segment=st.floats(1, 30), tasks=st.integers(1, 6),
    back=st.floats(0, 1), seed=st.integers(0),
)  # fmt: skip
def test_tasks_are_numbered_as_they_are_met(
    length: int, segment: float, tasks: int, back: float, seed: int
) -> None:
    course = RecurringSettings(length, segment, tasks, back)
    slot = segments(course, 3, drawn(seed))
    assert slot.shape == (3, length)
    assert (slot[:, 0] == 0).all()
    assert slot.max() < tasks
    highest = np.maximum.accumulate(slot, 1)
    assert (np.diff(highest, axis=1) <= 1).all()


def test_segments_last_as_long_as_said_and_tasks_return() -> None:
    course = RecurringSettings(length=20_000, segment=25.0, tasks=10_000, back=0.4)
    slot = segments(course, 4, drawn())
    change = np.diff(slot, axis=1) != 0
    assert abs(1 / change.mean() - 25) < 2
    news = np.diff(np.maximum.accumulate(slot, 1), axis=1) > 0
    assert abs(1 - news.sum() / change.sum() - 0.4) < 0.04
    two = segments(RecurringSettings(20_000, 10.0, tasks=2, back=1.0), 4, drawn())
    assert abs(1 / (np.diff(two, axis=1) != 0).mean() - 10) < 1  # never back to the same one
    never = segments(RecurringSettings(2_000, 10.0, 1_000, back=0.0), 4, drawn())
    assert (np.diff(never, axis=1) >= 0).all()


def test_every_row_is_of_the_task_that_is_on() -> None:
    """A sine wave through each task's rows, fitted over all its returns, leaves nothing."""
    found = recurring(
        sinusoid(SinusoidSettings()), RecurringSettings(300, 15, tasks=3), "train", 4, drawn()
    )
    assert found.x.shape == (4, 300, 1)
    assert found.tasks.shape == (4, 3)
    for stream in range(4):
        for one in range(3):
            mine = found.slot[stream] == one
            x, y = found.x[stream, mine, 0].astype(float), found.y[stream, mine]
            design = np.stack([np.sin(x), np.cos(x)], 1)
            fitted, *_ = np.linalg.lstsq(design, y, rcond=None)
            assert np.abs(design @ fitted - y).max() < 1e-4
            assert len(set(x.tolist())) == mine.sum()  # no row twice while there are others
    assert np.array_equal(found.starts()[:, 1:] == 1, np.diff(found.slot, axis=1) != 0)
    assert (found.starts()[:, 0] == 1).all()


def test_classes_of_returning_tasks_lie_where_they_lay() -> None:
    world = Mixtures(MixtureSettings(features=6, ways=3, clouds=1, apart=5.0, scatter=0, width=0.1))
    found = recurring(world, RecurringSettings(200, 10, tasks=3, rows=20), "test", 3, drawn())
    assert found.y.dtype == np.int64
    for stream in range(3):
        for one in range(3):
            for label in range(3):
                rows = found.x[stream][(found.slot[stream] == one) & (found.y[stream] == label)]
                assert len(rows) == 0 or np.ptp(rows, axis=0).max() < 2


def test_few_rows_come_again() -> None:
    found = recurring(
        sinusoid(SinusoidSettings()), RecurringSettings(100, 10, tasks=2, rows=5), "train", 2,
        drawn(),
    )  # fmt: skip
    assert all(len(np.unique(x)) <= 10 for x in found.x)


def test_streams_repeat_by_their_seed_and_hold_several_numbers() -> None:
    world = network(NetworkSettings(outputs=2))
    one, again, other = (
        recurring(world, RecurringSettings(50), "train", 2, drawn(seed)) for seed in (1, 1, 2)
    )
    assert one.y.shape == (2, 50, 2)
    assert np.array_equal(one.y, again.y)
    assert not np.array_equal(one.y, other.y)


@pytest.mark.parametrize("name", ["length", "segment", "tasks", "back", "rows"])
def test_a_wrong_setting_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RecurringSettings(**{name: -1})


class TestOmniglot:
    """The real file."""

    pytestmark = needs_omniglot

    def test_characters_make_a_stream(self) -> None:
        world = omniglot(OmniglotSettings(PATH, ways=5))
        found = recurring(world, RecurringSettings(100, 20, 3, rows=20), "train", 2, drawn())
        assert found.x.shape == (2, 100, 784)
        assert found.tasks.shape == (2, 3, 5)
        assert set(found.y.ravel().tolist()) == set(range(5))
