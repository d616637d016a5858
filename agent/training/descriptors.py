"""Descriptions of tasks by their rows alone, the same whatever the order of rows or of labels.

Shapes: T tasks, B rows, F features, V views, N classes, D descriptors.
"""

from dataclasses import dataclass

import numpy as np

from streams.worlds.tasks import Floats, Ints, Reals, Targets

VIEWS = 8  # directions of x that are looked at, where it has more features
WAVES = 16  # of x, with which a number is correlated


@dataclass(frozen=True, slots=True)
class Views:
    """Fixed directions and waves of x, in the units of the rows at hand; made from no label.

    Args:
        middle: mean of each feature, F.
        unit: deviation of each, F.
        direction: FV.
        wave: VW, how fast each wave turns with each view.
        phase: W.
    """

    middle: Reals
    unit: Reals
    direction: Reals
    wave: Reals
    phase: Reals

    @classmethod
    def of(cls, x_TBF: Floats) -> "Views":
        """Make them for these rows: every feature itself, or random mixtures of many."""
        features = x_TBF.shape[-1]
        draw = np.random.default_rng(0)
        direction = np.eye(features)
        if features > VIEWS:
            direction = draw.standard_normal((features, VIEWS)) / features**0.5
        flat = x_TBF.reshape(-1, features).astype(np.float64)
        views = direction.shape[1]
        return cls(
            flat.mean(0),
            np.maximum(flat.std(0), 1e-9),
            direction,
            draw.standard_normal((views, WAVES)) * np.geomspace(0.5, 4, WAVES),
            draw.uniform(0, 2 * np.pi, WAVES),
        )

    def __call__(self, x_TBF: Floats) -> Reals:
        """Look at rows, TBV."""
        seen: Reals = ((x_TBF - self.middle) / self.unit) @ self.direction
        return seen


def descriptors(
    x_TBF: Floats, y_TB: Targets, classes: int, views: Views
) -> tuple[tuple[str, ...], Reals]:
    """Describe tasks, TD, and name the descriptors."""
    seen = views(x_TBF)
    columns = {"mean of x": seen.mean(1), "deviation of x": seen.std(1)}
    if classes:
        columns |= _of_classes(seen, y_TB.astype(np.int64), classes)
    else:
        columns |= _of_numbers(seen, y_TB.reshape(*y_TB.shape[:2], -1).astype(np.float64), views)
    names = tuple(f"{name} {at}" for name, some in columns.items() for at in range(some.shape[1]))
    return names, np.concatenate(list(columns.values()), 1)


def _of_numbers(seen: Reals, y_TBO: Reals, views: Views) -> dict[str, Reals]:
    """Moments of y, its best line, what the line leaves, and its correlation with waves of x."""
    tasks, rows, outputs = y_TBO.shape
    design = np.concatenate([np.ones((tasks, rows, 1)), seen], 2)
    inner = design.swapaxes(1, 2) @ design + 0.1 * np.eye(design.shape[2])
    line = np.linalg.solve(inner, design.swapaxes(1, 2) @ y_TBO)
    waves = np.cos(seen @ views.wave + views.phase)
    waved = waves.swapaxes(1, 2) @ y_TBO / rows
    return {
        "mean of y": y_TBO.mean(1),
        "log deviation of y": np.log(y_TBO.std(1) + 1e-6),
        "slope of y": line[:, 1:].reshape(tasks, -1),
        "log rest of y": np.log((y_TBO - design @ line).std(1) + 1e-6),
        "wave of y": waved.reshape(tasks, WAVES * outputs),
    }


def _of_classes(seen: Reals, label: Ints, classes: int) -> dict[str, Reals]:
    """Deviation within classes, and how far their centres are from one another."""
    mine = (label[:, :, None] == np.arange(classes)).astype(np.float64)
    count = np.maximum(mine.sum(1), 1)[..., None]
    centre = (mine.swapaxes(1, 2) @ seen) / count
    rest = seen - np.take_along_axis(centre, label[:, :, None], 1)
    size = np.sqrt((rest**2).mean((1, 2)))
    gap = np.linalg.norm(centre[:, :, None] - centre[:, None], axis=-1)
    above = gap[:, *np.triu_indices(classes, 1)]
    return {
        "deviation in classes": rest.std(1),
        "spread of centres": centre.std(1),
        "log separation": np.log(
            np.stack([above.min(1), above.mean(1), above.max(1)], 1) / (size[:, None] + 1e-9) + 1e-6
        ),
    }
