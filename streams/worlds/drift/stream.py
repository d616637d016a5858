"""Generated streams whose label rules, inputs or classes drift.

A stream is drawn whole from its seed: a plan, a course of concepts, inputs from a random structural
causal model, labels from random rules (or features from labels), and what is seen of it all. Some
kinds of change and some rules are held out of training.

Shapes: N rows, F features, K columns of codes, C classes.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, default_rng

from streams.worlds.drift.concepts import absent, concept_scores
from streams.worlds.drift.course import KINDS, Course, course
from streams.worlds.drift.dress import codes_with_gaps, dressed
from streams.worlds.drift.effects import caused
from streams.worlds.drift.inputs import (
    Codes,
    Inputs,
    autoregressive,
    indicated,
    inputs,
    standardised,
)
from streams.worlds.drift.labels import in_runs, known, numbers, picked, sampled
from streams.worlds.drift.plan import Plan, class_count, drawn
from streams.worlds.drift.rules import RULES
from streams.worlds.tasks import Floats, Ints, Reals, within

HELD_OUT_KINDS = ("incremental",)
TRAIN_KINDS = tuple(kind for kind in KINDS if kind not in HELD_OUT_KINDS)
HELD_OUT_RULES = ("prototypes", "pairs")
TRAIN_RULES = tuple(rule for rule in RULES if rule not in HELD_OUT_RULES)

POOL = 3  # rows drawn for one that is kept, where the classes' shares drift
BINS = 6  # levels of a number whose frequency drifts
REGRESSIONS = 0.2  # share of streams that ask for numbers


@dataclass(frozen=True, slots=True)
class Drifting:
    """One generated stream.

    Args:
        x_NF: quantities in any units, float32; NaN is missing.
        codes_NK: codes of words from 1, int32; 0 is missing. K may be 0.
        y_N: classes 0..C-1, int64, or numbers, float64.
        classes: C; 0 for numbers.
        concept_N: for judges: the concept of each row, 0 for the first met; under incremental
            change the nearest waypoint, under covariate or prior change the regime.
        known_N: the row after whose arrival the label is known; its own where at once, -1 never.
        kind: of change, one of `KINDS`.
        rule: of labels, one of `RULES`.
    """

    x_NF: Floats
    codes_NK: Codes
    y_N: Ints | Reals
    classes: int
    concept_N: Ints
    known_N: Ints
    kind: str
    rule: str


def drifting(
    seed: int,
    rows: int,
    kinds: Collection[str] = KINDS,
    *,
    rules: Collection[str] = RULES,
    regression: bool | None = None,
    classes: int | None = None,
    features: int | None = None,
) -> Drifting:
    """Draw a stream: a pure function of what it is given.

    Args:
        seed: of all that is random.
        rows: N.
        kinds: of change, one of which is drawn; `TRAIN_KINDS` for training.
        rules: of labels, likewise; `TRAIN_RULES` for training.
        regression: whether numbers are asked for; None draws it.
        classes: C, from 2; None draws it. Some streams have fewer.
        features: F; None draws it.

    Raises:
        ValueError: an unknown kind or rule, or no rule that goes with a kind.
    """
    _check(seed, rows, kinds, rules)
    draw = default_rng((seed, 0x5EED))
    asks_numbers = draw.random() < REGRESSIONS if regression is None else regression
    made = None
    while made is None or not np.ptp(made.y_N):  # one label only: another plan
        count = 0 if asks_numbers else class_count(draw) if classes is None else classes
        made = realised(drawn(rows, kinds, rules, count, features or 0, draw), rows, draw)
    return made


def realised(plan: Plan, rows: int, draw: Generator) -> Drifting:
    """Draw the rows of a plan."""
    way = _course(plan, rows, draw)
    made, y_N = _pooled(plan, way, draw) if plan.kind == "prior" else _rows(plan, way, draw)
    concept_N = way.concept_N
    if plan.labels.timing == "runs" and plan.labels.classes:
        segment_N = np.cumsum(np.diff(concept_N, prepend=concept_N[0]) != 0)
        order_N = in_runs(y_N.astype(np.int64), segment_N, plan.labels.period)
        made, y_N = _taken(made, order_N), y_N[order_N]
    x_NF = dressed(made.z_NF, made.binary_F, plan.dress, draw)
    codes_NK = codes_with_gaps(made.codes_NK, plan.dress.missing, draw)
    known_N = known(rows, plan.delay, draw)
    classes = plan.labels.classes
    return Drifting(x_NF, codes_NK, y_N, classes, concept_N, known_N, plan.kind, plan.rule)


def _course(plan: Plan, rows: int, draw: Generator) -> Course:
    """Draw the course; where concepts are turns of the labels there are as many as classes."""
    turns, known = max(2, plan.concepts.width), plan.known
    turned = plan.concepts.relation == "flip" and plan.kind != "incremental"
    way = course(plan.kind, rows, plan.length, min(known, turns) if turned else known, draw)
    if not turned:
        return way
    concept_N = way.concept_N % turns
    return Course(concept_N, concept_N.astype(np.float64))


def _rows(plan: Plan, way: Course, draw: Generator) -> tuple[Inputs, Ints | Reals]:
    """Draw inputs and labels; features that are effects of labels come after them."""
    still = plan.kind in {"none", "covariate", "prior"}
    rule = _constant(way) if still else way
    made = inputs(plan.inputs, way.concept_N, draw)
    if plan.rule == "effects":
        y_N = _labels(plan, rule, _prior_scores(plan, rule, draw), draw)
        made = caused(made, y_N, rule, plan.concepts, max(plan.effect, 0.3), plan.strength, draw)
        z_NF = indicated(standardised(made.z_NF), made.binary_F, plan.crowded, draw)
        return replace(made, z_NF=z_NF), y_N
    z_NF = indicated(made.z_NF, made.binary_F, plan.crowded, draw)
    made = replace(made, z_NF=z_NF)
    scores_NC = concept_scores(plan.concepts, rule, z_NF, made.codes_NK, plan.prior_C, draw)
    y_N = _labels(plan, rule, scores_NC, draw)
    if plan.effect and plan.kind != "covariate":
        lasting = replace(plan.concepts, relation="fresh")
        fixed = _constant(way)
        made = caused(made, y_N, fixed, lasting, plan.effect, plan.strength, draw, codes=False)
    return made, y_N


def _labels(plan: Plan, way: Course, scores_NC: Reals, draw: Generator) -> Ints | Reals:
    if plan.labels.classes:
        return sampled(scores_NC, plan.labels, draw)
    spread = 0.5 if plan.concepts.relation == "near" else 0.0
    gain_N = np.exp(spread * draw.standard_normal(way.concepts))[way.concept_N]
    return numbers(gain_N * scores_NC[:, 0], plan.labels, draw)


def _prior_scores(plan: Plan, way: Course, draw: Generator) -> Reals:
    """Score labels that nothing causes, NC."""
    rows, classes = len(way.concept_N), plan.labels.classes
    if not classes:
        free = draw.standard_normal((rows, 1), np.float32)
        return autoregressive(free, plan.inputs.rho).astype(np.float64)
    prior_C = np.full(classes, 1 / classes) if plan.prior_C is None else plan.prior_C
    scores_NC = np.repeat(np.log(prior_C)[None], rows, 0)
    if plan.concepts.relation == "arrive":
        scores_NC += absent(way, classes, draw)
    return scores_NC


def _pooled(plan: Plan, way: Course, draw: Generator) -> tuple[Inputs, Ints | Reals]:
    """Draw more rows than are needed and take labels as often as each regime would have them."""
    rows = len(way.concept_N)
    pool = Course(np.zeros(POOL * rows, np.int64), np.zeros(POOL * rows))
    plain = replace(plan, labels=replace(plan.labels, timing="none"))
    made, y_P = _rows(plain, pool, draw)
    level_P: Ints = y_P.astype(np.int64)
    if not plan.labels.classes:
        level_P = np.argsort(np.argsort(y_P)) * BINS // len(y_P)
    often_C = np.bincount(level_P, minlength=max(plan.labels.classes, BINS)) / len(level_P)
    turned = np.clip(draw.standard_normal((way.concepts, len(often_C))), -1.2, 1.2)
    wanted_RC = np.where(often_C > 0, np.log(often_C + 1e-12) + turned, -1e3)
    timing = replace(plan.labels, hold=min(plan.labels.hold, 2.0), noise=0.0)
    rows_N = picked(level_P, sampled(wanted_RC[way.concept_N], timing, draw))
    return _taken(made, rows_N), y_P[rows_N]


def _taken(made: Inputs, rows_N: Ints) -> Inputs:
    return replace(made, z_NF=made.z_NF[rows_N], codes_NK=made.codes_NK[rows_N])


def _constant(way: Course) -> Course:
    return Course(np.zeros_like(way.concept_N), np.zeros_like(way.position_N))


def _check(seed: int, rows: int, kinds: Collection[str], rules: Collection[str]) -> None:
    within("seed", seed, 0, 2**63 - 1)
    within("rows", rows, 8, 1 << 24)
    for name, given, there in (("kinds", kinds, KINDS), ("rules", rules, RULES)):
        unknown = sorted(set(given) - set(there))
        if unknown or not given:
            raise ValueError(f"{name}: {unknown or 'none'}; take some of {', '.join(there)}")
    if set(rules) == {"effects"} and "covariate" in kinds:
        raise ValueError("rules: effects alone do not go with covariate change; take one more")
