"""Classes that are mixtures of normal clouds, with centres and a covariance of each task's own.

Shapes: T tasks, N classes, M clouds of a class, B rows, F features.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from streams.worlds.hashed import normals, uniforms
from streams.worlds.tasks import Episode, Ints, Ranges, Reals, Split, within


@dataclass(frozen=True, slots=True)
class MixtureSettings:
    """N classes of M normal clouds each.

    Args:
        features: F.
        ways: N.
        clouds: M.
        apart: standard deviation of the classes' centres, in each feature.
        scatter: that of a class's clouds about its centre.
        width: size of a cloud; its shape is the task's.
        seed: of the family; the same seed has the same tasks.
        splits: which tasks are in which split.
    """

    features: int = 2
    ways: int = 5
    clouds: int = 2
    apart: float = 2.0
    scatter: float = 1.0
    width: float = 0.5
    seed: int = 0
    splits: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        within("seed", self.seed, 0, 2**63 - 1)
        within("features", self.features, 1, 4096)
        within("ways", self.ways, 2, 1000)
        within("clouds", self.clouds, 1, 1000)
        for name in ("apart", "scatter", "width"):
            within(name, getattr(self, name), 0, 1e6)


class Mixtures:
    """The world: task i's clouds are a function of (seed, i)."""

    outputs = 1

    def __init__(self, settings: MixtureSettings) -> None:
        self.features, self.classes = settings.features, settings.ways
        self._settings = settings

    def episode(
        self, split: Split, tasks: int, shots: int, queries: int, draw: Generator
    ) -> Episode:
        """Draw tasks of that split and rows of each class."""
        ids = self._settings.splits.pick(split, tasks, draw)
        centre_TNMF, shape_TFF = self._made(ids)
        parts: list[tuple[Reals, Ints]] = []
        for rows in (shots, queries):
            label = draw.permuted(np.tile(np.arange(self.classes), (tasks, rows)), axis=1)
            cloud = draw.integers(0, self._settings.clouds, label.shape)
            noise = draw.standard_normal((*label.shape, self.features))
            centre = centre_TNMF[np.arange(tasks)[:, None], label, cloud]
            parts.append((centre + noise @ shape_TFF, label))
        (x, y), (query_x, query_y) = parts
        return Episode(x.astype(np.float32), y, query_x.astype(np.float32), query_y, ids)

    def _made(self, ids: Ints) -> tuple[Reals, Reals]:
        """Give the clouds' centres, TNMF, and a root of their covariance, TFF."""
        features, ways, clouds = self.features, self.classes, self._settings.clouds
        sizes = np.cumsum([ways * features, ways * clouds * features, features * features])
        drawn = normals(uniforms(self._settings.seed, ids, 2 * int(sizes[-1])))
        classes, offsets, shape = np.split(drawn, sizes[:-1], 1)
        centre = self._settings.apart * classes.reshape(-1, ways, 1, features)
        offset = self._settings.scatter * offsets.reshape(-1, ways, clouds, features)
        turned = shape.reshape(-1, features, features) / features**0.5
        root = self._settings.width * (0.5 * np.eye(features) + 0.75 * turned)
        return centre + offset, root
