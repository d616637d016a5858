from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from streams.worlds.drift import (
    HELD_OUT_KINDS,
    HELD_OUT_RULES,
    KINDS,
    RULES,
    TRAIN_KINDS,
    TRAIN_RULES,
    Drifting,
    drifting,
)
from streams.worlds.drift.concepts import RELATIONS, ConceptSettings, concept_scores
from streams.worlds.drift.course import Course, course
from streams.worlds.drift.dress import DressSettings
from streams.worlds.drift.inputs import InputSettings, inputs
from streams.worlds.drift.labels import LabelSettings
from streams.worlds.drift.plan import CHARACTERS, Plan, alarms, drawn
from streams.worlds.drift.stream import realised


def equal(one: Drifting, other: Drifting) -> bool:
    arrays = ("x_NF", "codes_NK", "y_N", "concept_N", "known_N")
    return one.kind == other.kind and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays
    )


def rows_of(count: int, features: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype]:
    return default_rng(seed).standard_normal((count, features), np.float32)


def halves(rows: int) -> Course:
    concept_N = (np.arange(rows) >= rows // 2).astype(np.int64)
    return Course(concept_N, concept_N.astype(np.float64))


def shares(y_N: np.ndarray[tuple[int], np.dtype], classes: int) -> np.ndarray:
    return np.bincount(y_N, minlength=classes) / len(y_N)


def test_a_stream_is_a_pure_function_of_its_seed() -> None:
    for seed in range(12):
        assert equal(drifting(seed, 300), drifting(seed, 300))
        assert not equal(drifting(seed, 300), drifting(seed + 1, 300))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regression", [False, True])
def test_every_kind_has_the_shapes_and_types_that_it_says(kind: str, *, regression: bool) -> None:
    for seed in range(8):
        made = drifting(seed, 200, [kind], regression=regression)
        assert made.kind == kind
        assert made.x_NF.dtype == np.float32
        assert made.x_NF.ndim == made.codes_NK.ndim == 2
        assert not np.isinf(made.x_NF).any()
        assert made.codes_NK.dtype == np.int32
        assert (made.codes_NK >= 0).all()
        assert made.y_N.dtype == (np.float64 if regression else np.int64)
        assert (made.classes == 0) is regression
        assert np.isfinite(made.y_N).all()
        assert {len(made.x_NF), len(made.codes_NK), len(made.y_N), len(made.concept_N)} == {200}
        assert made.concept_N.min() == 0
        assert ((made.known_N == -1) | (made.known_N >= np.arange(200))).all()
        assert made.known_N.max() < 200
        if not regression:
            assert 0 <= made.y_N.min() < made.y_N.max() < made.classes


def test_classes_and_features_can_be_asked_for() -> None:
    for seed in range(10):
        made = drifting(seed, 100, TRAIN_KINDS, regression=False, classes=7, features=9)
        assert made.x_NF.shape[1] == 9
        assert made.classes in {2, 7}


def test_sizes_go_from_two_features_and_classes_to_hundreds_and_fifty() -> None:
    made = [drifting(seed, 40, regression=False) for seed in range(250)]
    widths = np.array([one.x_NF.shape[1] for one in made])
    classes = np.array([one.classes for one in made])
    assert widths.min() < 4
    assert 120 < widths.max() <= 200
    assert 0.5 < (widths <= 40).mean() < 0.85
    assert classes.min() == 2
    assert 25 < classes.max() <= 50
    assert (classes <= 6).mean() > 0.7


def test_what_is_held_out_is_never_drawn_for_training() -> None:
    assert set(TRAIN_KINDS) | set(HELD_OUT_KINDS) == set(KINDS)
    assert set(TRAIN_RULES) | set(HELD_OUT_RULES) == set(RULES)
    assert HELD_OUT_KINDS
    assert HELD_OUT_RULES
    made = [drifting(seed, 30, TRAIN_KINDS, rules=TRAIN_RULES) for seed in range(300)]
    assert {one.kind for one in made} == set(TRAIN_KINDS)
    assert {one.rule for one in made} == set(TRAIN_RULES)
    assert not set(TRAIN_KINDS) & set(HELD_OUT_KINDS)
    assert not set(TRAIN_RULES) & set(HELD_OUT_RULES)


def test_unknown_kinds_and_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="sudden"):
        drifting(0, 100, ["sudden"])
    with pytest.raises(ValueError, match="forest"):
        drifting(0, 100, rules=["forest"])
    with pytest.raises(ValueError, match="kinds: none"):
        drifting(0, 100, [])
    with pytest.raises(ValueError, match="covariate"):
        drifting(0, 100, ["covariate"], rules=["effects"])
    with pytest.raises(ValueError, match="rows"):
        drifting(0, 1)


def test_abrupt_concepts_are_new_and_gradual_ones_mix_about_their_border() -> None:
    abrupt_N = course("abrupt", 2000, 200, 0, default_rng(1)).concept_N
    assert set(np.diff(abrupt_N)) == {0, 1}
    gradual_N = course("gradual", 2000, 400, 0, default_rng(3)).concept_N
    back = np.flatnonzero(np.diff(gradual_N) < 0)
    assert len(back) > 5  # the old one returns for some rows while the new one takes over
    assert sorted(set(gradual_N)) == list(range(gradual_N.max() + 1))
    assert len(np.unique(gradual_N[:100])) == 1


def test_without_change_there_is_one_concept_and_under_recurrence_few_return() -> None:
    assert not course("none", 500, 100, 0, default_rng(0)).concept_N.any()
    for seed in range(20):
        concept_N = course("recurring", 2000, 150, 3, default_rng(seed)).concept_N
        begins = np.flatnonzero(np.diff(concept_N, prepend=-1))
        met = concept_N[begins]
        assert len(met) > len(set(met)) <= 3
        assert met[0] == 0
        assert max(met[:2]) == 1


def test_incremental_change_moves_the_scores_a_little_at_every_row() -> None:
    z_NF = np.repeat(rows_of(1, 5), 1000, 0)
    steps = []
    for kind in ("incremental", "abrupt"):
        way = course(kind, 1000, 200, 0, default_rng(0))
        settings = ConceptSettings("linear", "fresh", 3)
        made = np.random.default_rng(2).standard_normal((1000, 5)).astype(np.float32)
        made[::2] = z_NF[::2]  # the same row again and again, and others between
        scores = concept_scores(
            settings, way, made, np.zeros((1000, 0), np.int32), None, default_rng(4)
        )
        steps.append(np.abs(np.diff(scores[::2], axis=0)).max(1))
    moving, jumping = steps
    assert (moving > 0).mean() > 0.99
    assert moving.max() < 0.5
    assert (jumping == 0).mean() > 0.95
    assert jumping.max() > 0.5


@pytest.mark.parametrize("relation", RELATIONS)
def test_another_concept_scores_the_same_row_otherwise(relation: str) -> None:
    z_NF = np.tile(rows_of(100, 6), (2, 1))
    settings = ConceptSettings("network", relation, 4, change=0.5)
    none_NK = np.zeros((200, 0), np.int32)
    scores = concept_scores(settings, halves(200), z_NF, none_NK, None, default_rng(0))
    before, after = scores[:100].argmax(1), scores[100:].argmax(1)
    agree = (before == after).mean()
    assert agree < 0.9
    if relation == "flip":
        assert (after == (before + 1) % 4).all()
    if relation == "near":
        assert agree > 0.4


def test_under_covariate_change_inputs_move_and_the_rule_stays() -> None:
    settings = InputSettings(features=6, shift=2.0)
    regime_N = halves(2000).concept_N
    made = inputs(settings, regime_N, default_rng(0))
    gap = made.z_NF[:1000].mean(0) - made.z_NF[1000:].mean(0)
    assert np.abs(gap).max() > 0.3
    plan = drawn(2000, ["covariate"], ["trees"], 2, 6, default_rng(0))
    assert plan.inputs.shift > 0
    assert plan.concepts.relation == "fresh"


def test_covariate_streams_keep_their_rule_and_abrupt_ones_do_not() -> None:
    """A rule fitted in one concept fails in the other only where the rule is another."""
    loss = {}
    for kind in ("covariate", "abrupt"):
        lost = []
        for seed in range(6):
            plan = plain(kind, seed)
            made = realised(plan, 3000, default_rng(seed))
            one, other = made.concept_N == 0, made.concept_N == 1
            x = np.c_[made.x_NF, np.ones(3000)]
            w = np.linalg.lstsq(x[one], 2.0 * made.y_N[one] - 1, rcond=None)[0]
            hit = (x @ w > 0) == (made.y_N == 1)
            lost.append(hit[one].mean() - hit[other].mean())
        loss[kind] = np.mean(lost)
    assert loss["covariate"] < 0.12
    assert loss["abrupt"] > 0.2


def plain(kind: str, seed: int) -> Plan:
    """Give a plan of two classes, a linear rule, and nothing that hides it."""
    plan = drawn(3000, [kind], ["linear"], 2, 5, default_rng(seed))
    concepts = replace(plan.concepts, width=2, sharp=30.0, relevant=1.0, relation="fresh")
    return replace(
        plan,
        length=500.0,
        known=0,
        prior_C=None,
        effect=0.0,
        delay="none",
        inputs=replace(plan.inputs, cards=(), rho=0.0, wander=0.0, period=0, binary=0.0),
        concepts=replace(concepts, cards=(), coded=0.0),
        labels=LabelSettings(2),
        dress=DressSettings(odd=0.0),
    )


def test_under_prior_change_shares_move_and_rows_of_a_class_stay_alike() -> None:
    moved, strayed = [], []
    for seed in range(6):
        made = realised(plain("prior", seed), 3000, default_rng(seed))
        one, other = made.concept_N == 0, made.concept_N == 1
        share = [made.y_N[mine].mean() for mine in (one, other)]
        moved.append(abs(share[0] - share[1]))
        for label in (0, 1):
            a, b = (made.x_NF[mine & (made.y_N == label)] for mine in (one, other))
            error = (a.var(0) / len(a) + b.var(0) / len(b)) ** 0.5
            strayed.append(np.abs(a.mean(0) - b.mean(0)) / error)
    assert np.mean(moved) > 0.1
    assert np.mean(strayed) < 1.3  # 0.8 standard errors where nothing moves


def test_numbers_can_have_prior_change_too() -> None:
    made = drifting(5, 2000, ["prior"], regression=True, rules=["linear"])
    means = [made.y_N[made.concept_N == c].mean() for c in np.unique(made.concept_N)]
    assert np.ptp(means) > 0.1 * made.y_N.std()


def test_alarms_are_rare() -> None:
    for seed in range(5):
        plan = drawn(4000, ["abrupt"], ["linear"], 2, 8, default_rng(seed))
        made = realised(alarms(plan, default_rng(seed)), 4000, default_rng(seed))
        assert 0 < shares(made.y_N.astype(np.int64), 2).min() < 0.2


@pytest.mark.parametrize("index", range(len(CHARACTERS)))
def test_every_character_makes_streams(index: int) -> None:
    make, kinds, rules = CHARACTERS[index]
    for kind in kinds:
        for rule in rules:
            plan = drawn(200, [kind], [rule], 3, 12, default_rng(index))
            made = realised(make(plan, default_rng(0)), 200, default_rng(1))
            assert np.isfinite(made.y_N).all()
