"""The blind run, on validation bodies alone: what it draws, what it measures, what it tells."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.robots.blind import Found, by_body, drawn, listed, measured, over_bodies
from benchmarks.robots.blind_lives import TARGET, around, ended, felt, learned, scored, spans
from docs.make_robots import shown
from envs.body import Body
from envs.families import FAMILIES
from envs.robots import ROBOTS

ARM, REACHER, CHEETAH = ROBOTS["PlanarArm"], ROBOTS["Reacher"], ROBOTS["HalfCheetah"]


def found(mean: dict[str, list[list[float]]]) -> Found:
    return Found(
        {name: np.array(rows) for name, rows in mean.items()}, np.array([3, 5]), (2, 4), (0, 100)
    )


def test_bodies_are_drawn_by_their_seed_and_each_is_of_its_family() -> None:
    some = drawn("HalfCheetah", "validation", 6, 11)
    assert some == drawn("HalfCheetah", "validation", 6, 11)
    assert some != drawn("HalfCheetah", "validation", 6, 12)
    assert {FAMILIES["HalfCheetah"].split_of(body) for body in some} == {"validation"}
    assert len({body.spelled for body in some}) == 6


def test_what_stands_in_a_list_is_not_drawn() -> None:
    for robot in ("HalfCheetah", "PlanarArm"):
        some = drawn(robot, "validation", 300, 0)
        assert not {body.spelled for body in some} & listed(robot)
        assert {body.spelled for body in FAMILIES[robot].named("held-out")} <= listed(robot)
    assert Body.parse("dead:bthigh").spelled in listed("HalfCheetah")


def test_an_unknown_split_is_told() -> None:
    with pytest.raises(ValueError, match="give one of train, validation, held-out"):
        drawn("PlanarArm", "none", 1, 0)  # type: ignore[arg-type]


def test_the_arm_is_judged_in_the_second_half_of_each_target() -> None:
    before, after = spans(ARM)
    score_TN = np.full((before + after, 2), 100.0)
    score_TN[before + 25 : before + 50] = [1.0, 2.0]
    for target in range(1, after // TARGET):
        score_TN[before + TARGET * target + 25 : before + TARGET * (target + 1)] = [3.0, 4.0]
    assert {name: row.tolist() for name, row in around(ARM, score_TN).items()} == {
        "1 to 2 s": [1.0, 2.0],
        "later": [3.0, 4.0],
    }


def test_a_faster_clock_has_its_second_second_at_another_target() -> None:
    before, after = spans(REACHER)
    score_TN = np.full((before + after, 1), 100.0)
    score_TN[before + 75 : before + 100] = 1.0
    score_TN[before + 125 : before + 150] = score_TN[before + 175 :] = 2.0
    assert [float(row[0]) for row in around(REACHER, score_TN).values()] == [1.0, 2.0]


def test_what_runs_is_judged_from_two_and_a_half_seconds_on() -> None:
    score_TN = np.zeros((250, 1))
    score_TN[150:250] = 6.0
    assert around(CHEETAH, score_TN)["2.5 to 7.5 s"].tolist() == [6.0]


def test_who_reaches_for_one_target_an_episode_begins_anew_and_the_others_go_on() -> None:
    down_N = np.array([False, True])
    assert ended(REACHER, TARGET, down_N).all()
    assert not ended(REACHER, TARGET + 1, down_N).any()
    assert not ended(ARM, TARGET, down_N).any()
    assert ended(ROBOTS["Hopper"], 7, down_N).tolist() == [False, True]
    assert not ended(CHEETAH, 7, down_N).any()


def test_distances_are_centimetres() -> None:
    obs_NO = np.zeros((1, REACHER.observations), np.float32)
    obs_NO[0, 8:10] = [0.03, 0.04]
    nothing = np.zeros(1, np.float32)
    assert scored(REACHER, obs_NO, nothing)[0] == pytest.approx(5.0)
    assert scored(ARM, obs_NO, np.array([-0.02], np.float32))[0] == pytest.approx(2.0)
    assert scored(CHEETAH, obs_NO, np.array([4.0], np.float32))[0] == pytest.approx(4.0)


def test_a_motor_that_went_with_its_limb_is_told_as_dead() -> None:
    gains = dict(zip(CHEETAH.actuators, felt(CHEETAH, Body.parse("remove:fshin")), strict=True))
    assert (gains["fthigh"], gains["fshin"], gains["ffoot"]) == (1.0, 0.0, 0.0)


def test_the_bar_is_a_share_of_what_unchanged_robots_earn() -> None:
    some = {
        "default": found({"after": [[9.4, 9.6], [9.4, 9.6]]}),
        "unchanged": found({"after": [[10.0, 10.0], [10.0, 10.0]]}),
    }
    rows = by_body([Body.parse("mass=1.1"), Body.parse("mass=1.2")], some)
    assert [rows[name]["bar met"] for name in rows] == ["no", "yes"]
    assert [rows[name]["default of unchanged %"] for name in rows] == [94, 96]
    over = over_bodies(some)["default, after"]
    assert (over["worst"], over["bodies at the bar %"]) == (9.4, 50.0)


def test_of_centimetres_the_most_are_the_worst() -> None:
    some = {name: found({"soon": [[0.5, 3.0]], "later": [[0.1, 0.2]]}) for name in ("default", "x")}
    over = over_bodies({**some, "unchanged": some["x"]})
    assert over["default, soon"]["worst"] == 3.0
    assert over["default, soon"]["bodies at the bar %"] == 50.0
    assert "bodies at the bar %" not in over["default, later"]


@cache
def tiny() -> dict[str, Any]:
    (told,) = measured(range(1), 7, "validation", 2, ["HalfCheetah"], 1)
    return told


def test_every_body_has_its_row_and_every_way_its_column() -> None:
    told = tiny()
    rows = told["HalfCheetah"]
    assert list(rows) == [body.spelled for body in drawn("HalfCheetah", "validation", 2, 7)]
    for row in rows.values():
        assert len(row) == 6  # default, told the truth, robust, unchanged, their share, the bar
        assert row["unchanged, 2.5 to 7.5 s"] > 5  # it runs
    assert told["changes"]["HalfCheetah"]["steps without a change"] == 2 * 100 + 2 * 250
    assert told["bodies"] == "2 of each robot, validation"


def test_the_page_can_lay_it_out() -> None:
    page = shown(tiny())
    assert "bodies' seed: 7" in page
    assert "| HalfCheetah, told the truth, 2.5 to 7.5 s |" in page


def test_robots_whose_controller_was_learned_take_part() -> None:
    assert {"PlanarArm", "HalfCheetah", "Reacher"} <= set(learned())
