"""A stream's concepts: label rules that are new, related, turned about, or on their way.

Shapes: N rows, M rows of reference, F features, K columns of codes, C scores, W waypoints.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from streams.worlds.drift.course import Course
from streams.worlds.drift.inputs import Codes
from streams.worlds.drift.rules import MAKERS, Domain, Scores, both, levelled
from streams.worlds.tasks import Floats, Ints, Reals

RELATIONS = ("fresh", "near", "flip", "arrive")
"""How a later concept is related to the first: not at all, partly, labels turned, partly and
with more classes."""

REFERENCE = 512  # rows at which scores are levelled and priors set
ABSENT = -100.0  # the score of a class that has not come yet


@dataclass(frozen=True, slots=True)
class ConceptSettings:
    """What rules are like.

    Args:
        rule: one of `MAKERS`.
        relation: one of `RELATIONS`.
        width: C, 1 for a number.
        cards: how many codes each column has.
        relevant: share of the features that matter.
        sharp: deviation of the scores of classes; a number's scores have 1.
        change: share of a near concept that is new, 0 to 1.
        coded: share of the scores that comes from codes, where there are any.
    """

    rule: str
    relation: str
    width: int
    cards: tuple[int, ...] = ()
    relevant: float = 1.0
    sharp: float = 4.0
    change: float = 0.5
    coded: float = 0.0


def concept_scores(
    settings: ConceptSettings,
    course: Course,
    z_NF: Floats,
    codes_NK: Codes,
    prior_C: Reals | None,
    draw: Generator,
) -> Reals:
    """Score every row under the rule that is on, NC; classes are about as frequent as `prior_C`."""
    every = max(1, len(z_NF) // REFERENCE)
    z_MF, codes_MK = z_NF[::every], codes_NK[::every]
    raw = _family(settings, z_NF.shape[1], draw)
    moving = not np.array_equal(course.position_N, course.concept_N)
    slides = moving and settings.rule not in {"words", "codes"} and draw.random() < 1 / 2
    if slides:
        z_NF = z_NF + _slide(course, z_NF.shape[1], draw)
    total = np.zeros((len(z_NF), settings.width))
    for concept in range(int(np.ceil(course.position_N.max())) + 1):
        near_N = np.maximum(0, 1 - np.abs(course.position_N - concept))
        rows = np.flatnonzero(near_N)
        if len(rows):
            scores = _placed(raw(0 if slides else concept), settings, z_MF, codes_MK, prior_C)
            total[rows] += near_N[rows, None] * scores(z_NF[rows], codes_NK[rows])
    if settings.relation == "arrive" and settings.width > 1:
        total += absent(course, settings.width, draw)
    return total


def absent(course: Course, classes: int, draw: Generator) -> Reals:
    """Draw the concept with which each class first comes; score rows before it down, NC.

    Two classes are there from the start.
    """
    first_C = draw.integers(0, course.concepts, classes) * (draw.random(classes) < 1 / 2)
    first_C[draw.permutation(classes)[:2]] = 0
    away_NC: Reals = np.where(first_C > course.concept_N[:, None], ABSENT, 0.0)
    return away_NC


def _family(settings: ConceptSettings, features: int, draw: Generator) -> Callable[[int], Scores]:
    """Give a function from a concept's number to its rule, before it is levelled."""
    relevant = _relevant(settings.relevant, features, draw)
    base = _rule(settings, relevant, draw)

    def rule(concept: int) -> Scores:
        if not concept:
            return base
        if settings.relation == "flip":
            if settings.width == 1:
                return (lambda z, c: -base(z, c)) if concept % 2 else base
            order = np.roll(np.arange(settings.width), concept)
            return lambda z, c: base(z, c)[:, order]
        redrawn = draw.random() < 0.3  # noqa: PLR2004 - so many turn to other features
        r = _relevant(settings.relevant, features, draw) if redrawn else relevant
        fresh = _rule(settings, r, draw)
        return fresh if settings.relation == "fresh" else both(base, fresh, settings.change)

    return rule


def _relevant(share: float, features: int, draw: Generator) -> Ints:
    many = min(features, max(2, round(share * features)))
    chosen: Ints = draw.permutation(features)[:many]
    return chosen


def _rule(settings: ConceptSettings, relevant: Ints, draw: Generator) -> Scores:
    domain = Domain(relevant, settings.cards, settings.width)
    made = MAKERS[settings.rule](domain, draw)
    if settings.rule != "codes" and settings.coded and settings.cards:
        return both(made, MAKERS["codes"](domain, draw), settings.coded)
    return made


def _placed(
    rule: Scores, settings: ConceptSettings, z_MF: Floats, codes_MK: Codes, prior_C: Reals | None
) -> Scores:
    """Level a rule, sharpen it and add what makes classes as frequent as they should be."""
    level = levelled(rule, z_MF, codes_MK)
    if settings.width == 1:
        return level
    sharp = settings.sharp
    at_MC = sharp * level(z_MF, codes_MK)
    bias_C = np.zeros(settings.width) if prior_C is None else bias(at_MC, prior_C)
    return lambda z, codes: sharp * level(z, codes) + bias_C


def bias(at_MC: Reals, prior_C: Reals, steps: int = 12) -> Reals:
    """Find what to add to scores so that the mean of their softmax is about the prior, C."""
    bias_C = np.zeros(len(prior_C))
    for _ in range(steps):
        raised = at_MC + bias_C
        p_MC = np.exp(raised - raised.max(1, keepdims=True))
        share_C = (p_MC / p_MC.sum(1, keepdims=True)).mean(0)
        bias_C += np.log(prior_C + 1e-9) - np.log(share_C + 1e-9)
    return bias_C


def _slide(course: Course, features: int, draw: Generator) -> Floats:
    """Move the rule through the space of its features, along a path of waypoints, NF."""
    points = int(np.ceil(course.position_N.max())) + 2
    path_WF = np.cumsum(0.8 * draw.standard_normal((points, features)), 0)
    low = np.floor(course.position_N).astype(np.int64)
    part = (course.position_N - low)[:, None]
    return ((1 - part) * path_WF[low] + part * path_WF[low + 1]).astype(np.float32)
