"""Controllers and trained parts are found by name, and say what is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agent.control.controller import Controller
from agent.robot import controllers, trained
from agent.robot.controllers import (
    RobotSpec,
    controller,
    default_for,
    drivers,
    every_controller,
    find,
)
from agent.robot.trained import Made, Say, UntrainedError, part
from envs.robots import ROBOTS
from tests.robots import Wanderer

SPEC = RobotSpec("PlanarArm", 13, 3, 0.04)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test enters is gone after it."""
    monkeypatch.setattr(controllers, "CONTROLLERS", dict(every_controller()))
    monkeypatch.setattr(trained, "PARTS", dict(trained.every_part()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The weights that are shipped lie here."""
    monkeypatch.setattr(trained, "files", lambda _: tmp_path)
    monkeypatch.setattr(trained, "FOLDER", "weights")
    trained._read.cache_clear()
    yield tmp_path / "weights"
    trained._read.cache_clear()


def wander(settings: object, robot: RobotSpec) -> Controller:
    del settings, robot
    return Wanderer()


@pytest.mark.parametrize("robot", [*ROBOTS, "Pendulum-v1"])
def test_every_robot_has_what_drives_it_by_default(robot: str) -> None:
    assert default_for(robot) in drivers(robot)
    assert {"hold", "random"} <= set(drivers(robot))


def test_every_controller_says_what_it_is_and_drives_known_robots() -> None:
    for entry in every_controller().values():
        assert entry.text.endswith(".")
        assert set(entry.robots) <= {"*", *ROBOTS}


@pytest.mark.usefixtures("kept")
def test_a_name_is_taken_once_and_a_robot_has_one_default() -> None:
    controller("test/own", robots=("Toy",), default=True)(wander)
    assert default_for("Toy") == "test/own"
    assert drivers("Toy")[0] == "test/own"
    with pytest.raises(ValueError, match="registered already"):
        controller("test/own")(wander)
    with pytest.raises(ValueError, match="test/own' is"):
        controller("test/two", robots=("Toy",), default=True)(wander)


@pytest.mark.usefixtures("kept")
def test_a_controller_refuses_a_robot_that_it_cannot_drive() -> None:
    controller("test/own", robots=("Toy",))(wander)
    with pytest.raises(ValueError, match=r"drives Toy; not PlanarArm: take one of .*random"):
        find("test/own")(SPEC)


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'randm'; did you mean random"):
        find("randm")
    with pytest.raises(ValueError, match="no part 'nothing'"):
        trained.find("nothing")


@pytest.mark.parametrize(("observations", "actions", "dt"), [(0, 1, 0.1), (1, 0, 0.1), (1, 1, 0)])
def test_a_robot_without_size_or_clock_is_refused(
    observations: int, actions: int, dt: float
) -> None:
    with pytest.raises(ValueError, match=r"or more|above 0"):
        RobotSpec("Toy", observations, actions, dt)


def test_random_actions_are_as_large_as_asked_and_drawn_by_the_generator() -> None:
    entry = find("random")
    made = entry(SPEC, entry.options(size=0.25))  # type: ignore[call-arg]  # it is RandomSettings
    state, obs_NO = made.begin(500), torch.zeros(500, 13)
    one, other = (made.act(state, obs_NO, torch.Generator().manual_seed(2))[1] for _ in range(2))
    assert one.shape == (500, 3)
    assert torch.equal(one, other)
    assert 0.24 < one.abs().max() <= 0.25


def teach(seconds: float, seed: int, say: Say) -> Made:
    say("half way")
    return {"w": torch.full((3,), float(seed))}, {"judged": {"loss": seconds}}


@pytest.mark.usefixtures("kept")
def test_what_is_trained_is_read_back_with_its_card(folder: Path) -> None:
    part("test-part", seconds=7, of="a test")(teach)
    said: list[str] = []
    trained.make(trained.find("test-part"), folder, 7, 3, said.append)
    assert said == ["half way"]
    assert trained.there("test-part")
    with trained.noting() as noted:
        assert trained.shipped("test-part")["w"].tolist() == [3, 3, 3]
    card = trained.card("test-part")
    assert card["judged"] == {"loss": 7}
    assert noted == {"test-part": card["sha256"]}
    assert card["command"] == "adaptd robot train test-part --seed 3 --seconds 7"
    assert {"cpu_seconds", "date", "version", "torch", "sha256", "bytes"} <= set(card)


@pytest.mark.usefixtures("kept")
def test_weights_that_are_missing_or_not_those_of_the_card_are_told(folder: Path) -> None:
    with pytest.raises(UntrainedError, match="not there; make them by `adaptd robot train gone`"):
        trained.shipped("gone")
    part("test-part", seconds=7, of="a test")(teach)
    trained.make(trained.find("test-part"), folder, 7, 3, lambda _: None)
    card = folder / "test-part.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "sha256": "0"}))
    with pytest.raises(UntrainedError, match="not those that its card tells of"):
        trained.shipped("test-part")


@pytest.mark.usefixtures("kept")
def test_a_part_needs_a_name_that_a_file_can_have_and_one_that_is_free() -> None:
    with pytest.raises(ValueError, match="cannot be named 'a/b'"):
        part("a/b", seconds=1, of="a test")(teach)
    part("test-part", seconds=1, of="a test")(teach)
    with pytest.raises(ValueError, match="registered already"):
        part("test-part", seconds=1, of="a test")(teach)


def test_every_shipped_part_is_whole_small_and_says_how_it_was_made() -> None:
    for one in trained.every_part().values():
        if not trained.there(one.name):
            continue
        card = trained.card(one.name)
        assert trained.shipped(one.name)
        assert card["bytes"] <= trained.MOST
        assert card["command"].startswith(f"adaptd robot train {one.name} ")
        assert one.on == "gpu" or card["cpu_seconds"] <= 15 * 60
