"""The electricity market of New South Wales (45,312 half-hours) as JSON records."""

import csv
import gzip
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from streams.schema import Schema

PATH = Path(__file__).parent.parent.parent / "shared" / "data" / "elec2.csv.gz"
FIELDS = ("date", "day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
SCHEMA = Schema(
    dict.fromkeys(FIELDS, "numeric"), target="class", id="id", time="time", label_target="class"
)
needs_elec2 = [
    pytest.mark.data,
    pytest.mark.skipif(not PATH.exists(), reason="no ../shared/data/elec2.csv.gz"),
]


def rows(count: int) -> list[dict[str, str | float]]:
    """Give the first rows, with an id, and the row number as event time."""
    with gzip.open(PATH, "rt") as file:
        return [
            {"id": f"e{i}", "time": float(i), "class": row["class"]}
            | {name: float(row[name]) for name in FIELDS}
            for i, row in enumerate(islice(csv.DictReader(file), count))
        ]


def riding(count: int) -> list[bytes]:
    """Events with their labels on them."""
    return [msgspec.json.encode(row) for row in rows(count)]


def bare(count: int) -> list[bytes]:
    """Events alone."""
    return [
        msgspec.json.encode({k: v for k, v in row.items() if k != "class"}) for row in rows(count)
    ]


def labels(count: int) -> list[bytes]:
    """Labels alone, each known a moment after its event."""
    return [
        msgspec.json.encode(
            {"id": row["id"], "time": float(row["time"]) + 0.5, "class": row["class"]}
        )
        for row in rows(count)
    ]
