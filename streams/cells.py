"""What a CSV cell may hold: the converters of `streams.values` for cells, which are all text."""

from collections.abc import Mapping
from math import isfinite

from streams.schema import Kind
from streams.values import (
    BadValueError,
    Convert,
    bad_time,
    iso,
    not_finite,
    seconds,
    short,
    word,
    words,
)

MISSING = frozenset({"", "?", "NA", "N/A", "null", "NULL", "None"})
"""CSV cells that mean "missing" where a number or a time should be."""


class _Cells:
    """Reads CSV cells as numbers and times; `missing` are the cells that hold none."""

    def __init__(self, missing: frozenset[str]) -> None:
        self._missing = missing

    def number(self, cell: object) -> float | None:
        try:
            value = float(cell)  # type: ignore[arg-type]  # a str; anything else raises
        except (TypeError, ValueError):
            if self._absent(cell):
                return None
            raise _no_number(cell) from None
        if value - value == 0.0 and "_" not in cell:  # type: ignore[operator]  # finite, at half the price of isfinite
            return value
        if self._absent(cell):
            return None
        raise _no_number(cell) if isfinite(value) else not_finite(cell)

    def moment(self, cell: object) -> float | None:
        try:
            return seconds(self.number(cell))
        except BadValueError as bad:
            if bad.reason == "not-finite":
                raise bad_time(cell) from None
            return iso(str(cell))

    def _absent(self, cell: object) -> bool:
        return cell is None or cell in self._missing or str(cell).strip() in self._missing


def _no_number(cell: object) -> BadValueError:
    return BadValueError(
        "wrong-type", f"{short(cell)} is not a number; leave the cell empty if it is not known"
    )


def text(missing: frozenset[str] = MISSING) -> Mapping[Kind, Convert]:
    """Give the converters of CSV cells; `missing` are cells without a number or a time.

    A category and words are missing only where the cell is empty: "NA" may well be a country.
    "nan" and "inf" are refused, unless `missing` names them.
    """
    cells = _Cells(missing)
    return {"numeric": cells.number, "categorical": word, "tokens": words, "time": cells.moment}
