"""Rows of cells as events: by their header, with missing words, refused where they are wrong."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cells import MISSING
from streams.codec import Codec
from streams.records import Event, Refused
from tests.codecs import SCHEMA


def cells(text: list[str], missing: frozenset[str] = MISSING) -> Event | Refused:
    header = ["id", "card", "amount", "time", "country", "text", "seen", "fraud", "more"]
    return Codec(SCHEMA, missing).event_rows(header)(text, "f:2", 5.0, b"raw")


ROW = ["a", "7", " 1e3", "10", "NA", "a b", "1970-01-01", "yes", "-"]


def test_a_row_is_read_by_its_header() -> None:
    assert cells(ROW) == Event("a", "7", 10.0, (1000.0, "NA", ("a", "b"), 0.0), "yes")


@pytest.mark.parametrize("word", ["", "NA", " ?", "null"])
def test_a_missing_word_is_missing_where_a_number_should_be(word: str) -> None:
    found = cells([*ROW[:2], word, *ROW[3:6], word.strip(), "", "-"])
    assert found == Event("a", "7", 10.0, (None, "NA", ("a", "b"), None), None)


@pytest.mark.parametrize(
    ("place", "cell", "reason"),
    [
        (2, "nan", "not-finite"),
        (2, "-inf", "not-finite"),
        (2, "1e999", "not-finite"),
        (2, "1_000", "wrong-type"),
        (2, "one", "wrong-type"),
        (3, "inf", "bad-time"),
        (3, "", "bad-time"),
        (3, "noon", "bad-time"),
        (0, "", "no-id"),
        (8, "x\x00", None),
    ],
)
def test_a_bad_cell_is_refused_with_its_reason(place: int, cell: str, reason: str | None) -> None:
    found = cells([*ROW[:place], cell, *ROW[place + 1 :]])
    assert (found.reason if isinstance(found, Refused) else None) == reason


def test_the_missing_words_are_the_persons_choice() -> None:
    row = [*ROW[:2], "nan", *ROW[3:]]
    found = cells(row, missing=frozenset({"nan"}))
    assert isinstance(found, Event)
    assert found.values[0] is None
    assert isinstance(cells([*ROW[:2], "NA", *ROW[3:]], missing=frozenset({"nan"})), Refused)


def test_a_row_of_another_width_or_too_long_is_refused() -> None:
    found = cells(ROW[:-1])
    assert isinstance(found, Refused)
    assert found.reason == "wrong-columns"
    long = Codec(SCHEMA).event_rows(
        ["id", "card", "amount", "country", "text", "seen", "time", "fraud"]
    )(ROW, "w", 0.0, b"x" * 5000)
    assert isinstance(long, Refused)
    assert long.reason == "oversize"


def test_a_header_without_a_field_of_the_schema_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="card"):
        Codec(SCHEMA).event_rows(["id", "amount", "country", "text", "seen", "time", "fraud"])


@given(st.lists(st.text(max_size=12) | st.floats().map(str), max_size=10))
def test_whatever_cells_come_end_as_a_sound_record_or_a_refusal(row: list[str]) -> None:
    filled = cells([*row, *ROW][:9])
    assert isinstance(filled, Refused) or isfinite(filled.time)
