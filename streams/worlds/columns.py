"""A table's columns as rows of numbers, scaled by what the training tasks hold.

Shapes: R rows of the table, F features.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.worlds.tasks import Floats, Reals

Table: TypeAlias = Mapping[str, Sequence[str]]
"""Cells by column."""

LEVELS = 32  # most frequent words of a categorical column that get an indicator each
FAR = 10.0  # standard deviations; what is farther out is brought here


def read(path: Path) -> Table:
    """Read a CSV file with a header row, plain or gzip, UTF-8; an empty cell is missing.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it has no rows, or a row of another length than the header.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if not rows:
        raise ValueError(f"{path}: no header with rows below it")
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {line} has {len(row)} cells, the header {len(header)}")
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def numbers(name: str, cells: Sequence[str]) -> Reals:
    """Read a column of numbers, R; nan where a cell is empty.

    Raises:
        ValueError: a cell holds something else; it is named.
    """
    try:
        column = np.array([cell or "nan" for cell in cells], np.float64)
    except ValueError:
        at = next(row for row, cell in enumerate(cells) if cell and not _number(cell))
        raise ValueError(
            f"column {name!r}, row {at + 2}: {cells[at]!r} is not a number;"
            " name the column in `categorical` or `left_out`"
        ) from None
    return np.where(np.isfinite(column), column, np.nan)


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def encoded(
    table: Table, numeric: Sequence[str], categorical: Sequence[str], train: NDArray[np.bool_]
) -> Floats:
    """Make rows of numbers, RF; what is learned of the columns comes from the rows of `train`.

    A number is centred and scaled, cut off at `FAR`, 0 where it is missing, with an indicator of
    that beside it if any is missing in `train`. A word is an indicator for each of the `LEVELS`
    most frequent ones; all 0 for another.
    """
    columns: list[Floats] = []
    for name in numeric:
        column = numbers(name, table[name])
        missing = np.isnan(column)
        columns.append(np.nan_to_num(scaled(column, train)).astype(np.float32))
        if missing[train].any():
            columns.append(missing.astype(np.float32))
    for name in categorical:
        cells = np.array(table[name])
        counted = Counter(cells[train].tolist())
        ranked = sorted((-many, word) for word, many in counted.items())
        columns += [(cells == word).astype(np.float32) for _, word in ranked[:LEVELS]]
    return np.stack(columns, 1)


def moments(column: Reals, train: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean and standard deviation of the rows of `train`; 0 and 1 where they tell nothing."""
    known = column[train & ~np.isnan(column)]
    if not len(known):
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def scaled(column: Reals, train: NDArray[np.bool_]) -> Reals:
    """Centre and scale a column by the rows of `train`, and cut it off at `FAR`."""
    mean, deviation = moments(column, train)
    return np.clip((column - mean) / deviation, -FAR, FAR)
