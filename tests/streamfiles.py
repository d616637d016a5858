"""Files and scores that the tests of `agent.evaluate` share."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent.service.report import Scores


def scores(rows: Sequence[tuple[float, ...]]) -> Scores:
    return Scores(*np.array(rows, np.float64).reshape(-1, 5).T)


def written(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def stream(path: Path, count: int = 400) -> Path:
    """Two classes that a number and a word decide; times a minute apart."""
    draw = random.Random(3)  # noqa: S311 (data, no secret)
    rows = []
    for i in range(count):
        x, shop = draw.gauss(0, 1), draw.choice(["fuel", "books"])
        rows.append((1.7e9 + 60 * i, x, shop, "yes" if (x > 0) == (shop == "fuel") else "no"))
    return written(path, ("time", "x", "shop", "sold"), rows)
