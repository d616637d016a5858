"""How far apart two distributions of tasks are: near zero where alike, large where shifted."""

import numpy as np
import pytest

from agent.training.descriptors import Views, descriptors
from agent.training.mismatch import Mismatch, mismatch
from streams.worlds.images import OmniglotSettings, omniglot
from streams.worlds.mixtures import Mixtures, MixtureSettings
from streams.worlds.networks import NetworkSettings, network
from streams.worlds.piecewise import PiecewiseSettings, piecewise
from streams.worlds.sinusoids import SinusoidSettings, sinusoid
from streams.worlds.tasks import Episode, TaskWorld
from tests.omniglot import PATH, needs_omniglot

SINES = sinusoid(SinusoidSettings())
CLOUDS = Mixtures(MixtureSettings())
NETS = network(NetworkSettings(features=3, outputs=2))


def between(one: TaskWorld, other: TaskWorld) -> Mismatch:
    return mismatch(one, "train", "test", against=other, tasks=64, partings=199)


@pytest.mark.parametrize("world", [SINES, CLOUDS, NETS], ids=["sines", "clouds", "networks"])
def test_splits_of_one_family_are_alike(world: TaskWorld) -> None:
    found = mismatch(world, "train", "test", tasks=64, partings=199)
    assert abs(found.distance) < 0.1
    assert found.share < 0.01
    assert found.p > 0.05


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SINES, sinusoid(SinusoidSettings(amplitude=(0.1, 2.0)))),
        (SINES, sinusoid(SinusoidSettings(phase=(np.pi, 2 * np.pi)))),
        (SINES, piecewise(PiecewiseSettings())),
        (CLOUDS, Mixtures(MixtureSettings(apart=1.0))),
        (NETS, network(NetworkSettings(features=3, outputs=2, steep=3.0))),
    ],
    ids=["amplitude", "phase", "lines", "nearer classes", "steeper networks"],
)
def test_shifted_families_are_apart(one: TaskWorld, other: TaskWorld) -> None:
    found = between(one, other)
    assert found.p <= 0.01
    assert found.distance > 0.2
    assert found.share > 0.01


def test_what_differs_is_named() -> None:
    found = between(CLOUDS, Mixtures(MixtureSettings(apart=8.0)))
    assert "separation" in " ".join(name for name, _ in found.widest)


def test_chance_is_even_where_families_are_alike() -> None:
    """A p-value below 0.1 comes in about a tenth of draws, not more."""
    found = [mismatch(SINES, "train", "test", tasks=32, partings=49, seed=s).p for s in range(60)]
    assert np.mean(np.array(found) <= 0.1) < 0.25
    assert 0.3 < np.median(found) < 0.7


def test_it_repeats_by_its_seed() -> None:
    assert mismatch(SINES, "train", "test", seed=1) == mismatch(SINES, "train", "test", seed=1)
    assert mismatch(SINES, "train", "test", seed=1) != mismatch(SINES, "train", "test", seed=2)


@pytest.mark.parametrize("world", [SINES, CLOUDS], ids=["numbers", "classes"])
def test_order_of_rows_and_names_of_classes_do_not_matter(world: TaskWorld) -> None:
    draw = np.random.default_rng(0)
    one: Episode = world.episode("train", 6, 10, 0, draw)
    order = draw.permutation(one.support_y.shape[1])
    y = one.support_y[:, order]
    if world.classes:
        y = draw.permutation(world.classes)[y.astype(np.int64)]
    views = Views.of(one.support_x)
    _, first = descriptors(one.support_x, one.support_y, world.classes, views)
    names, second = descriptors(one.support_x[:, order], y, world.classes, views)
    assert first.shape == (6, len(names))
    assert np.allclose(first, second, rtol=1e-4, atol=1e-5)


def test_worlds_that_ask_for_different_things_do_not_compare() -> None:
    with pytest.raises(ValueError, match="do not compare"):
        between(SINES, CLOUDS)
    with pytest.raises(ValueError, match="tasks: 2 is not in"):
        mismatch(SINES, "train", "test", tasks=2)


class TestOmniglot:
    """The real file."""

    pytestmark = needs_omniglot

    def test_other_alphabets_are_apart_but_the_same_are_not(self) -> None:
        world = omniglot(OmniglotSettings(PATH))
        alike = mismatch(world, "train", "train", tasks=64, rows=10)
        apart = mismatch(world, "train", "test", tasks=64, rows=10)
        assert alike.p > 0.05
        assert apart.p < 0.05
        assert apart.distance > 2 * abs(alike.distance)
