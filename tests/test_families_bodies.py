"""Families of bodies: what is learned from, chosen by and judged by is never the same."""

import numpy as np
import pytest

from envs.body import Body
from envs.families import FAMILIES
from envs.family import SPLITS, Split
from envs.robots import ROBOTS


def test_every_robot_has_its_families() -> None:
    assert set(FAMILIES) == set(ROBOTS)


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_of_the_three_families_never_meet(name: str) -> None:
    family = FAMILIES[name]
    generator = np.random.default_rng(0)
    drawn: dict[Split, set[Body]] = {
        split: {family.draw(split, generator) for _ in range(400)} for split in SPLITS
    }
    faults = {split: {body.faults for body in bodies} for split, bodies in drawn.items()}
    assert not faults["train"] & faults["validation"]
    assert not (faults["train"] | faults["validation"]) & faults["held-out"]
    for split, bodies in drawn.items():
        assert all(family.split_of(body) == split for body in bodies)
        assert all(Body.parse(body.name).faults == body.faults for body in bodies)
        for body in bodies:
            family.robot.check(body)


@pytest.mark.parametrize("name", FAMILIES)
def test_named_bodies_belong_to_their_family_and_can_be_built(name: str) -> None:
    family = FAMILIES[name]
    for split in SPLITS:
        named = family.named(split)
        assert named
        assert len({body.faults for body in named}) == len(named)
        for body in named:
            assert family.split_of(body) == split, body.name
            family.robot.model(body)


@pytest.mark.parametrize("name", FAMILIES)
def test_training_spares_what_is_held_out(name: str) -> None:
    family = FAMILIES[name]
    generator = np.random.default_rng(1)
    for _ in range(200):
        body = family.draw("train", generator)
        faulty = {part for part, gear in body.gear.items() if gear != 1.0}
        assert not faulty & family.spared
        assert not any(pair <= faulty for pair in (*family.unseen, *family.validation))
        assert not body.removed


def test_draws_are_of_many_kinds() -> None:
    family = FAMILIES["HalfCheetah"]
    generator = np.random.default_rng(2)
    held = [family.draw("held-out", generator) for _ in range(400)]
    assert any(body.removed for body in held)
    assert any("fshin" in body.gear for body in held)
    assert any({"bthigh", "fthigh"} <= body.gear.keys() for body in held)
    assert any(max(body.gear.values(), default=0) > 1 for body in held)
    assert any(body.mass.get("all", 1) > 1.4 for body in held)
    assert any(sum(gear < 0 for gear in body.gear.values()) > 1 for body in held)
    trained = [family.draw("train", generator) for _ in range(400)]
    assert 0.2 < np.mean([not body.gear for body in trained]) < 0.6


def test_the_same_seed_draws_the_same_bodies() -> None:
    family = FAMILIES["Ant"]
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    assert [family.draw("held-out", one) for _ in range(20)] == [
        family.draw("held-out", other) for _ in range(20)
    ]
