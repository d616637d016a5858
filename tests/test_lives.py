"""Lives: which body comes when."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.body import Body
from envs.life import Life

LIFE = "intact@0 invert:elbow@100 intact@300"


def test_a_life_tells_the_body_of_every_step() -> None:
    life = Life.parse(LIFE)
    names = [life.at(step).name for step in (0, 99, 100, 299, 300, 10**9)]
    assert names == ["intact", "intact", "invert:elbow", "invert:elbow", "intact", "intact"]
    assert [life.due(step) is not None for step in (0, 1, 100, 101, 300)] == [1, 0, 1, 0, 1]
    assert str(life) == LIFE
    assert Life.parse(str(life)) == life


def test_a_body_that_returns_is_the_same_body() -> None:
    life = Life.parse(LIFE)
    assert len(life.changes) == 3
    assert [str(body) for body in life.bodies] == ["intact", "invert:elbow"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("invert:elbow@100", "begins at step 0"),
        ("intact@0 dead:elbow@100 intact@100", "later ones must come later"),
        ("intact@0 dead:elbow", "write body@step"),
        ("intact@0 dead:elbow@soon", "write body@step"),
        ("intact@0 bent:elbow@9", "no kind"),
    ],
)
def test_what_is_no_life_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Life.parse(text)


def test_a_life_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "life.toml"
    path.write_text(
        '[[change]]\nat = 0\nbody = "intact"\n'
        '[[change]]\nat = 50\nbody = "dead:wrist"\nname = "limp"\n'
        "[[change]]\nat = 90\nbody = { mass = { hand = 1.5 }, removed = [] }\n",
        encoding="utf-8",
    )
    life = Life.from_toml(path)
    assert [(step, str(body)) for step, body in life.changes] == [
        (0, "intact"),
        (50, "limp"),
        (90, "body@90"),
    ]
    assert life.at(90).mass["hand"] == 1.5


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "'change' is missing"),
        ('[[change]]\nbody = "intact"\n', "'at' is missing"),
        ('[[change]]\nat = -1\nbody = "intact"\n', "must be a step"),
        ("[[change]]\nat = 0\nbody = { masses = {} }\n", "no 'masses'"),
        ("[[change]\n", "life.toml"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, written: str, said: str) -> None:
    path = tmp_path / "life.toml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        Life.from_toml(path)


@given(seed=st.integers(0, 999), changes=st.integers(1, 20))
def test_a_drawn_life_changes_in_time_and_brings_bodies_back(seed: int, changes: int) -> None:
    bodies = [Body.parse("dead:elbow"), Body.parse("invert:wrist")]
    life = Life.drawn(bodies, changes, (5, 9), np.random.default_rng(seed))
    steps = [step for step, _ in life.changes]
    assert len(life.changes) == changes + 1
    assert all(5 <= gap <= 9 for gap in np.diff(steps))
    names = [str(body) for _, body in life.changes]
    assert all(before != after for before, after in pairwise(names))
    assert set(names[: len(bodies) + 1]) == {"intact", *names[1:3]}
    assert life == Life.drawn(bodies, changes, (5, 9), np.random.default_rng(seed))
