"""The streams on which change is measured: the row of every change is known.

Generated ones (`streams.worlds.drift`) have segments of one length. Their label rules are those
held out of training, prototypes and pairs of features; the kinds of change that have a moment
(abrupt, recurring) are among those trained on. Every change is to a rule that is new, or returns;
classes are about as frequent throughout, labels follow from x and chance alone. What stands still
is of every rule, drawn as it comes; its rows either follow one another as they come, too (labels in
runs or cycles, inputs that remember for hundreds of rows), or are mixed, so that no stretch of them
differs from another but by chance.

Shapes: N rows.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator, default_rng

from benchmarks.field.streams import Stream, every_stream, prepared
from benchmarks.table import OUT
from streams.worlds.drift import HELD_OUT_RULES, Drifting, drifting
from streams.worlds.drift.plan import Plan, drawn
from streams.worlds.drift.stream import realised
from streams.worlds.tasks import Ints

FOLDER: Final = OUT / "change" / "streams"
TESTS: Final = ("abrupt", "usenet1", "returns", "returns-seen", "still", "still-mixed")
SEEDS: Final = 20_000_000  # of generated streams, from here on: no training reaches them
USENET: Final = 300  # rows between two changes
ONE: Final = 0.75  # share of one class in a segment, at most
WIDEST: Final = 60  # features of a stream that stands still, at most


@dataclass(frozen=True, slots=True)
class Course:
    """Segments of one length.

    Args:
        kind: of change, as the generator names it.
        length: rows of a segment.
        segments: how many.
        known: rules that return; 0 where every one is new.
        shift: how far x moves with the rule; 0: labels alone tell of a change.
        streams: how many of them.
    """

    kind: str
    length: int
    segments: int
    known: int = 0
    shift: float = 0.0
    streams: int = 10


COURSES: Final = {
    "abrupt": Course("abrupt", 1500, 5),
    "returns": Course("recurring", 500, 12, known=3, streams=5),
    "returns-seen": Course("recurring", 500, 12, known=3, shift=1.0, streams=5),
}
STILL: Final = Course("none", 20_000, 1, streams=12)
STILLS: Final = ("still", "still-mixed")


@dataclass(frozen=True, slots=True)
class Told:
    """One stream on disk.

    Args:
        stream: as the field's peers are told of it.
        file: its rows.
        task_N: for the judge: the rule of each row, numbered.
    """

    stream: Stream
    file: Path
    task_N: Ints


def names(test: str) -> list[str]:
    """Name the streams of a test."""
    if test == "usenet1":
        return [test]
    course = STILL if test in STILLS else COURSES[test]
    return [f"{test}-{number:02}" for number in range(course.streams)]


def told(name: str, data: Path) -> Told:
    """Write a stream, unless that was done before."""
    if name == "usenet1":
        stream = every_stream(data)[name]
        file = prepared(stream, data)
        with file.open(encoding="utf-8") as lines:
            rows = sum(1 for _ in lines) - 1
        return Told(stream, file, np.arange(rows) // USENET)
    test, _, number = name.rpartition("-")
    file = FOLDER / f"{name}.csv"
    tasks = file.with_suffix(".json")
    if not tasks.exists():
        found = next(islice(every(test), int(number), None))
        write(found, file)
        tasks.write_text(json.dumps(found.concept_N.tolist()), encoding="utf-8")
    task_N = np.array(json.loads(tasks.read_text(encoding="utf-8")), np.int64)
    return Told(Stream(name, file.name, "y"), file, task_N)


def every(test: str, first: int = SEEDS) -> Iterator[Drifting]:
    """Draw the streams of a test, one after another."""
    if test in STILLS:
        mixed = test == "still-mixed"
        yield from (one for seed in count(first) if (one := still(seed, mixed=mixed)) is not None)
    course = COURSES[test]
    yield from (one for seed in count(first) if (one := changing(course, seed)) is not None)


def still(seed: int, rows: int = STILL.length, *, mixed: bool) -> Drifting | None:
    """Draw a stream without change; None where it is too wide."""
    found = drifting(seed, rows, (STILL.kind,), regression=False)
    if found.x_NF.shape[1] > WIDEST:
        return None
    if not mixed:
        return found
    order_N = default_rng(seed).permutation(rows)
    x_NF, codes_NK = found.x_NF[order_N], found.codes_NK[order_N]
    return replace(found, x_NF=x_NF, codes_NK=codes_NK, y_N=found.y_N[order_N])


def changing(course: Course, seed: int) -> Drifting | None:
    """Draw a stream; None where its segments are of several lengths or hold too much of a class."""
    draw = default_rng((seed, course.length))
    rows = course.length * course.segments
    classes, features = int(draw.integers(2, 5)), int(draw.integers(3, 11))
    plan = drawn(rows, (course.kind,), HELD_OUT_RULES, classes, features, draw)
    found = realised(plain(plan, course, classes, draw), rows, draw)
    changes = np.flatnonzero(np.diff(found.concept_N)) + 1
    even = np.array_equal(changes, np.arange(1, course.segments) * course.length)
    return found if even and _most(found, course.length) <= ONE else None


def plain(plan: Plan, course: Course, classes: int, draw: Generator) -> Plan:
    """Leave a plan its rules, inputs and their looks; take all else that moves out of it."""
    inputs = replace(plan.inputs, cards=(), rho=0.0, wander=0.0, period=0, shift=course.shift)
    sharp = float(draw.uniform(8, 30))
    return replace(
        plan,
        length=float(course.length),
        known=course.known,
        prior_C=np.full(classes, 1 / classes),
        effect=0.0,
        delay="none",
        inputs=inputs,
        concepts=replace(
            plan.concepts, relation="fresh", width=classes, cards=(), coded=0.0, sharp=sharp
        ),
        labels=replace(plan.labels, classes=classes, timing="none", noise=0.0),
        dress=replace(plan.dress, missing=0.0, late=0.0),
    )


def _most(found: Drifting, length: int) -> float:
    """Share of the most frequent class of a segment, at its highest."""
    counts = [
        int(np.bincount(found.y_N[at : at + length].astype(np.int64)).max())
        for at in range(0, len(found.y_N), length)
    ]
    return max(counts) / length


def write(found: Drifting, file: Path) -> None:
    """Write a stream as a CSV file of its features and its label, y; what is missing is empty."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = [f"x{at}" for at in range(found.x_NF.shape[1])]
    head += [f"c{at}" for at in range(found.codes_NK.shape[1])]
    part = file.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow([*head, "y"])
        for x_F, c_K, y in zip(found.x_NF, found.codes_NK, found.y_N, strict=True):
            writer.writerow([*map(_number, x_F.tolist()), *map(_word, c_K.tolist()), int(y)])
    part.replace(file)


def _number(value: float) -> str:
    return f"{value:.7g}" if isfinite(value) else ""


def _word(code: int) -> str:
    return f"w{code}" if code else ""
