"""Which concept each row of a drifting stream is of.

Shapes: N rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from streams.worlds.tasks import Ints, Reals

KINDS = ("none", "abrupt", "gradual", "incremental", "recurring", "covariate", "prior")
"""How a stream changes: its label rule (the first five), its inputs only, its classes' shares."""

SHORTEST = 30  # rows of a segment, where the stream has so many


@dataclass(frozen=True, slots=True)
class Course:
    """Concepts in their order.

    Args:
        concept_N: the concept's id, 0 for the first met.
        position_N: where the rule's parameters are on their way from waypoint 0 to waypoint 1 and
            so on; the concept itself where they do not move.
    """

    concept_N: Ints
    position_N: Reals

    @property
    def concepts(self) -> int:
        """How many ids there are."""
        return int(self.concept_N.max()) + 1


def course(kind: str, rows: int, length: float, known: int, draw: Generator) -> Course:
    """Draw a course.

    Args:
        kind: one of `KINDS`.
        rows: N.
        length: mean rows of a concept, or from a waypoint to the next.
        known: concepts that return, where they do; 0 where every one is new.
        draw: all that is random comes from it.
    """
    if kind == "none":
        return _still(np.zeros(rows, np.int64))
    if kind == "incremental":
        position_N = np.arange(rows) / length
        return Course(np.rint(position_N).astype(np.int64), position_N)
    segment_N = segments(rows, length, draw)
    if kind == "gradual":
        spread = draw.uniform(0.1, 0.5) * length
        jitter_N = draw.uniform(-spread, spread, rows)
        taken_N = np.clip(np.rint(np.arange(rows) + jitter_N), 0, rows - 1)
        return _still(segment_N[taken_N.astype(np.int64)])
    return _still(_returning(known, segment_N, draw) if known else segment_N)


def segments(rows: int, length: float, draw: Generator) -> Ints:
    """Number the segments: of one length, of lengths about it, or geometric in length, N."""
    count = int(rows / length * 4) + 8
    spread = draw.choice(3)
    lengths = (
        np.full(count, length),
        draw.uniform(0.5, 1.5, count) * length,
        draw.exponential(length, count),
    )[spread]
    ends = np.cumsum(np.maximum(np.rint(lengths), min(SHORTEST, rows // 4 + 1)))
    ends -= max(0, ends[0] - 3 * rows // 4)  # every stream sees one change at least
    nth_N: Ints = np.searchsorted(ends, np.arange(rows), side="right").astype(np.int64)
    return nth_N


def _returning(known: int, segment_N: Ints, draw: Generator) -> Ints:
    """Let each segment be of one of the known concepts, never that of the one before it."""
    steps = draw.integers(1, max(known, 2), int(segment_N[-1]) + 1)
    steps[0] = 0
    which = np.cumsum(steps) % known
    _, first, inverse = np.unique(which, return_index=True, return_inverse=True)
    met = np.argsort(np.argsort(first))
    numbered: Ints = met[inverse][segment_N]
    return numbered


def _still(concept_N: Ints) -> Course:
    return Course(concept_N, concept_N.astype(np.float64))
