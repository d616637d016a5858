"""Features that are effects of the label: the label comes first, and moves them.

Shapes: N rows, E features that are effects, C classes, Q clusters of a class, K columns of codes.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.drift.concepts import ConceptSettings
from streams.worlds.drift.course import Course
from streams.worlds.drift.inputs import Codes, Inputs
from streams.worlds.tasks import Ints, Reals

NODES = 4  # values of a number between which its effects are linear


def caused(
    made: Inputs,
    y_N: Ints | Reals,
    course: Course,
    settings: ConceptSettings,
    share: float,
    strength: float,
    draw: Generator,
    *,
    codes: bool = True,
) -> Inputs:
    """Add the label's effects to some features, under the concept that is on.

    Args:
        made: causes and features without them.
        y_N: classes, or numbers of any unit.
        course: of the concepts: where classes' centres lie changes with them.
        settings: how later concepts are related to the first.
        share: of the features that are effects; the others stay.
        strength: deviation of the centres; the features have one of about 1.
        draw: all that is random comes from it.
        codes: whether codes are effects too, and indicators (which are not cut yet).
    """
    free_F = np.ones(len(made.binary_F), np.bool_) if codes else ~made.binary_F
    moved = np.flatnonzero(free_F & (draw.random(len(free_F)) < share))
    if codes and not len(moved):
        moved = np.array([draw.integers(len(free_F))])
    weights_NC = _weights(y_N, settings.width)
    total = np.zeros((len(y_N), len(moved)))
    clusters = int(draw.integers(1, 4))
    which_N = draw.integers(0, clusters, len(y_N))
    size = strength * draw.uniform(0.3, 1, len(moved))
    last = int(np.ceil(course.position_N.max()))
    shape = (clusters, weights_NC.shape[1], len(moved))
    for concept, centre_QCE in enumerate(_centres(shape, last + 1, settings, draw)):
        near_N = np.maximum(0, 1 - np.abs(course.position_N - concept))
        for q in range(clusters):
            rows = np.flatnonzero((near_N > 0) & (which_N == q))
            total[rows] += near_N[rows, None] * (weights_NC[rows] @ centre_QCE[q])
    z_NF = made.z_NF.copy()
    z_NF[:, moved] += (size * total).astype(np.float32)
    told = made.codes_NK
    if codes and settings.width > 1:
        told = _told(told, y_N.astype(np.int64), settings, draw)
    return replace(made, z_NF=z_NF, codes_NK=told)


def _weights(y_N: Ints | Reals, width: int) -> Reals:
    """One for a row's class, NC; for a number, linear weights of the nodes about it."""
    if width > 1:
        return np.eye(width)[y_N.astype(np.int64)]
    rank_N = np.argsort(np.argsort(y_N)) / max(1, len(y_N) - 1) * (NODES - 1)
    weights: Reals = np.maximum(0, 1 - np.abs(rank_N[:, None] - np.arange(NODES)))
    return weights


def _centres(
    shape: tuple[int, int, int], concepts: int, settings: ConceptSettings, draw: Generator
) -> Iterator[Reals]:
    """Give the centres of each concept in turn, QCE."""
    first = now = draw.standard_normal(shape)
    for concept in range(concepts):
        yield now
        if settings.relation == "flip":
            now = np.roll(first, concept + 1, axis=1)
        elif settings.relation in {"near", "arrive"}:
            kept = (1 - settings.change**2) ** 0.5
            offset = draw.standard_normal(shape[2])
            now = kept * now + settings.change * (draw.standard_normal(shape) + offset) / 2**0.5
        elif settings.relation == "fresh":
            now = draw.standard_normal(shape)


def _told(codes_NK: Codes, y_N: Ints, settings: ConceptSettings, draw: Generator) -> Codes:
    """Let a class turn the codes of half of the columns about, so that codes tell of it."""
    cards = np.array(settings.cards, np.int64)
    offset_CK = draw.integers(0, 500, (settings.width, len(cards)))
    offset_CK[:, draw.random(len(cards)) < 1 / 2] = 0
    turned: NDArray[np.int32] = ((codes_NK - 1 + offset_CK[y_N]) % cards + 1).astype(np.int32)
    return turned
