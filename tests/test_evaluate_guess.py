import gzip
import json
from pathlib import Path

import pytest

from agent.evaluate.guess import WishError, Wishes, guess
from streams.schema import Schema
from streams.source import SourceError
from tests.streamfiles import stream, written


def column(text: str, name: str = "a") -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line.startswith(f"{name}:"))


@pytest.mark.parametrize(
    ("cells_", "kind"),
    [
        (["1", "2.5", "-3e2"], "numeric"),
        (["1", "nan", "2", "NA", "3"], "numeric"),
        (["a", "b", "a"], "categorical"),
        (["2024-01-01", "2024-01-02", "2024-01-02"], "time"),
        (["the cat sat here", "on the mat there", "so be it"], "tokens"),
        (["u-1", "u-2", "u-3"], None),
        (["", "", ""], None),
    ],
)
def test_a_columns_kind_is_guessed_from_its_cells(
    tmp_path: Path, cells_: list[str], kind: str | None
) -> None:
    rows = [(cell, i, i % 2) for i, cell in enumerate(cells_)]
    path = written(tmp_path / "f.csv", ("a", "other", "y"), rows)
    found = guess(path, Wishes("y"))
    assert found.schema.fields.get("a") == kind
    assert len(column("\n".join(found.said))) == 1


@pytest.mark.parametrize(
    ("name", "cells_", "kind"),
    [
        ("customer_id", ["7", "8", "7"], "categorical"),
        ("TERMINAL_ID", ["7", "8", "7"], "categorical"),
        ("userId", ["7", "8", "7"], "categorical"),
        ("timestamp", ["1700000000", "1700000060", "1700000120"], "time"),
        ("humid", ["7", "8", "7"], "numeric"),
        ("transaction_id", ["7", "8", "9"], None),
    ],
)
def test_a_columns_name_tells_ids_and_times_from_numbers(
    tmp_path: Path, name: str, cells_: list[str], kind: str | None
) -> None:
    rows = [(cell, i, i % 2) for i, cell in enumerate(cells_)]
    found = guess(written(tmp_path / "f.csv", (name, "other", "y"), rows), Wishes("y"))
    assert found.schema.fields.get(name) == kind


@pytest.mark.parametrize(
    ("cells_", "goal"),
    [
        (["yes", "no", "yes"], "classes"),
        ([0, 1, 1], "classes"),
        ([0.5, 1.25, 7], "number"),
        (list(range(30)), "number"),
    ],
)
def test_the_goal_is_guessed_from_the_target(
    tmp_path: Path, cells_: list[object], goal: str
) -> None:
    rows = [(i, cell) for i, cell in enumerate(cells_)]
    assert guess(written(tmp_path / "f.csv", ("x", "y"), rows), Wishes("y")).schema.goal == goal


def test_wishes_go_over_guesses(tmp_path: Path) -> None:
    rows = [(i, i % 3, "w", 1.7e9 - i, i % 2) for i in range(9)]
    path = written(tmp_path / "f.csv", ("a", "b", "c", "when", "y"), rows)
    wishes = Wishes(
        "y", goal="number", time="when", id="a", drop=("c",), kinds={"b": "categorical"}
    )
    found = guess(path, wishes)
    assert found.schema == Schema({"b": "categorical", "when": "time"}, "number", "y", time="when")


def test_event_time_is_a_column_of_times_that_never_fall(tmp_path: Path) -> None:
    rows = [(1.7e9 - i, 1.7e9 + i, i % 2) for i in range(9)]
    path = written(tmp_path / "f.csv", ("ts_down", "ts_up", "y"), rows)
    assert guess(path, Wishes("y")).schema.time == "ts_up"


def test_json_lines_gzipped_are_guessed_as_csv_is(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.gz"
    rows = [{"x": i / 2, "tags": ["a", "b"], "ok": True, "y": "no"} for i in range(5)]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode() + b"\n{broken"))
    found = guess(path, Wishes("y"))
    assert found.schema.fields == {"x": "numeric", "tags": "tokens", "ok": "categorical"}


@pytest.mark.parametrize(
    ("wishes", "word"),
    [
        (Wishes("sodl"), "did you mean sold?"),
        (Wishes("sold", time="tmie"), "did you mean time?"),
        (Wishes("sold", drop=("shp",)), "did you mean shop?"),
        (Wishes("sold", kinds={"z": "time"}), "no column 'z'"),
        (Wishes("sold", goal="number"), "cannot be a number"),
        (Wishes("sold", drop=("x", "shop", "time")), "no column is left"),
    ],
)
def test_a_wish_that_does_not_fit_is_told(tmp_path: Path, wishes: Wishes, word: str) -> None:
    with pytest.raises(WishError, match=word):
        guess(stream(tmp_path / "f.csv", 20), wishes)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv"):
        guess(tmp_path / "none.csv", Wishes("y"))
    (tmp_path / "empty.csv").write_text("x,y\n")
    with pytest.raises(SourceError, match="no row in it can be read"):
        guess(tmp_path / "empty.csv", Wishes("y"))


def test_an_empty_target_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", ("x", "y"), [(1, ""), (2, "")])
    with pytest.raises(WishError, match="is empty in the first"):
        guess(path, Wishes("y"))
