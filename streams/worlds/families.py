"""Every family of tasks by name, with its settings and what builds it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from streams.worlds.images import OmniglotSettings, omniglot
from streams.worlds.labelled import ArraysSettings, arrays
from streams.worlds.mixtures import Mixtures, MixtureSettings
from streams.worlds.networks import NetworkSettings, network
from streams.worlds.piecewise import PiecewiseSettings, piecewise
from streams.worlds.sinusoids import HarmonicSettings, SinusoidSettings, harmonic, sinusoid
from streams.worlds.tabular import TableSettings, table_world
from streams.worlds.tasks import TaskWorld


class Family(NamedTuple):
    """A family of tasks: the dataclass of its settings, and the world that they build."""

    settings: type[Any]
    build: Callable[[Any], TaskWorld]


TASKS: dict[str, Family] = {
    "sinusoid": Family(SinusoidSettings, sinusoid),
    "harmonic": Family(HarmonicSettings, harmonic),
    "piecewise": Family(PiecewiseSettings, piecewise),
    "networks": Family(NetworkSettings, network),
    "mixtures": Family(MixtureSettings, Mixtures),
    "arrays": Family(ArraysSettings, arrays),
    "tabular": Family(TableSettings, table_world),
    "omniglot": Family(OmniglotSettings, omniglot),
}


def family(name: str) -> Family:
    """Give a family of tasks.

    Raises:
        ValueError: there is none of that name; those that are there are named.
    """
    if name not in TASKS:
        raise ValueError(f"tasks: {name!r} is unknown; take one of {', '.join(sorted(TASKS))}")
    return TASKS[name]
