"""Rows of CSV are read as the standard library wrote them."""

import csv
import io
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.csvfile import CsvRows
from streams.records import Refused

CELLS = st.text(st.characters(codec="utf-8") | st.sampled_from('",\r\n; \x00'), max_size=6)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoted=st.booleans(),
)
def test_what_the_standard_library_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, *, quoted: bool
) -> None:
    # It leaves a carriage return without quotes, which before a bare "\n" is one end of line more.
    assume(quoted or end == "\r\n" or not any("\r" in cell for row in rows for cell in row))
    text = io.StringIO()
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerows([["a", "b"], *rows])
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_bytes(text.getvalue().encode())
    reader = CsvRows(path, ",", 65_536)
    found = list(reader)
    reader.lines.close()
    assert reader.header == ["a", "b"]
    assert [cells for _, cells, _ in found] == rows


def test_after_an_unclosed_quote_reading_goes_on_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"2\n' + "3,4\n" * 50)
    reader = CsvRows(path, None, 100)
    first, *others = list(reader)
    reader.lines.close()
    assert isinstance(first[1], Refused)
    assert "beyond 100 bytes" in first[1].detail
    assert [(number, cells) for number, cells, _ in others] == [
        (number, ["3", "4"]) for number in range(3, 53)
    ]
