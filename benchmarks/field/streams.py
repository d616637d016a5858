"""The streams of the field's benchmark: what each predicts, and how its file becomes its rows.

Each is prepared once, as a plain CSV file that holds the target, the features and nothing else, so
that `adaptd evaluate` and every peer read the same rows.
"""

import csv
import gzip
import random
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

from agent.evaluate.guess import Guess, Wishes, guess
from benchmarks.table import OUT
from streams.schema import Goal, Kind

Row: TypeAlias = dict[str, str]
Judge: TypeAlias = Literal["kappa", "average_precision", "mae"]

DATA: Final = Path("../shared/data")
MOST: Final = 100_000  # rows
RARE: Final = 0.1  # share of the rarer of two classes below which average precision judges
UNRANKED: Final = ("powersupply",)  # its labels cycle


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream.

    Args:
        name: in the table.
        file: in the folder of the data.
        target: the column to predict; rows without it are left out.
        goal: whether the target is a class or a number.
        drop: columns that are no features.
        rows: rows taken at most, the first ones.
        tokens: columns that hold words.
        shuffled: the column within whose every run of one value the rows are shuffled.
    """

    name: str
    file: str
    target: str
    goal: Goal = "classes"
    drop: tuple[str, ...] = ()
    rows: int = MOST
    tokens: tuple[str, ...] = ()
    shuffled: str | None = None


NUMBERS: Final = (
    Stream("beijing", "beijing_air_quality_8_stations.csv.gz", "PM2.5", "number"),
    Stream("appliances", "appliances_energy.csv.gz", "Appliances", "number"),
    Stream("parking", "parking_birmingham.csv.gz", "Occupancy", "number"),
    Stream("nycflights", "nycflights13_jan_sep.csv.gz", "arr_delay", "number", ("dep_delay",)),
)


def every_stream(data: Path = DATA) -> dict[str, Stream]:
    """Give the streams by name: those of the folder's streams.toml, then the regressions."""
    found = tomllib.loads((data / "streams.toml").read_text(encoding="utf-8"))
    classes = [
        Stream(
            name=name,
            file=one["file"],
            target=one["target"],
            drop=tuple(one.get("drop", ())),
            rows=min(MOST, one.get("rows", MOST)),
            tokens=tuple(one.get("tokens", ())),
            shuffled="batch" if name == "gas" else None,
        )
        for name, one in found.items()
        if name not in UNRANKED
    ]
    return {one.name: one for one in (*classes, *NUMBERS)}


def prepared(stream: Stream, data: Path = DATA) -> Path:
    """Write the stream's rows, unless that was done before; give the file."""
    path = OUT / "field" / "streams" / f"{stream.name}.csv"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with gzip.open(data / stream.file, "rt", encoding="utf-8", newline="") as source:
        rows = rows_of(stream, csv.DictReader(source))
        with part.open("w", encoding="utf-8", newline="") as sink:
            first = next(rows)
            writer = csv.DictWriter(sink, list(first), lineterminator="\n")
            writer.writeheader()
            writer.writerow(first)
            writer.writerows(rows)
    part.replace(path)
    return path


def rows_of(stream: Stream, source: Iterable[Row]) -> Iterator[Row]:
    """Give the rows with a target, without what is dropped, shuffled where that is asked."""
    labelled = (row for row in source if row[stream.target] != "")
    rows = labelled if stream.shuffled is None else _shuffled(labelled, stream.shuffled)
    for row in islice(rows, stream.rows):
        yield {name: cell for name, cell in row.items() if name not in stream.drop}


def _shuffled(source: Iterable[Row], column: str) -> Iterator[Row]:
    """Shuffle the rows of each value of a column, the values in the order of their first rows."""
    groups: dict[str, list[Row]] = {}
    for row in source:
        groups.setdefault(row[column], []).append(row)
    draw = random.Random(0)  # noqa: S311 (an order, no secret)
    for rows in groups.values():
        draw.shuffle(rows)
        yield from rows


def read(stream: Stream, path: Path) -> Guess:
    """Say how the prepared file is read: kinds of columns as `adaptd evaluate` guesses them."""
    kinds: dict[str, Kind] = dict.fromkeys(stream.tokens, "tokens")
    return guess(path, Wishes(target=stream.target, goal=stream.goal, kinds=kinds))


def judge_of(stream: Stream, path: Path) -> Judge:
    """Say which figure judges: average precision where the rarer of two classes is rare."""
    if stream.goal == "number":
        return "mae"
    with path.open(encoding="utf-8", newline="") as source:
        counts = Counter(row[stream.target] for row in csv.DictReader(source))
    two = 2
    rare = len(counts) == two and min(counts.values()) < RARE * counts.total()
    return "average_precision" if rare else "kappa"
