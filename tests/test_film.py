"""Films: frames in the robot's own time, what is changed in red, a caption below."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from envs.body import Body
from envs.film import Film, Studio, save
from envs.fleet import Fleet
from envs.painting import changed, stumps
from envs.robots import ROBOTS
from envs.screen import NoScreenError, Screen, platform

# Tests that draw nothing.
ANYWHERE = {
    "test_nothing_to_draw_with_is_said_with_the_remedy",
    "test_odd_sizes_and_unknown_endings_are_refused",
    "test_what_is_changed_is_found_by_part",
}


@pytest.fixture(autouse=True)
def _screen(request: pytest.FixtureRequest) -> None:
    if request.node.originalname in ANYWHERE:
        return
    try:
        platform()
    except NoScreenError as error:
        pytest.skip(str(error))


@pytest.fixture
def studio() -> Iterator[Studio]:
    with Studio(ROBOTS["HalfCheetah"], 160, 120) as opened:
        yield opened


def red(frame: NDArray[np.uint8]) -> int:
    """Count the pixels that are clearly red."""
    parts = frame.astype(int)
    return int(((parts[..., 0] > 120) & (parts[..., 1:].max(axis=-1) < 80)).sum())


def frame_of(studio: Studio, text: str, *lines: str) -> NDArray[np.uint8]:
    body = Body.parse(text)
    fleet = Fleet(studio.robot, [body], seed=0)
    fleet.reset()
    return studio.frame(body, fleet.data(0)[1], lines)


def test_what_is_changed_is_red(studio: Studio) -> None:
    assert red(frame_of(studio, "intact")) == 0
    thigh = red(frame_of(studio, "dead:bthigh"))
    assert thigh > 20
    assert red(frame_of(studio, "dead:bthigh,fthigh")) > 1.5 * thigh
    assert red(frame_of(studio, "mass=1.5")) > 3 * thigh
    assert red(frame_of(studio, "remove:bfoot")) > 5
    assert red(frame_of(studio, "intact")) == 0


def test_a_longer_limb_is_drawn_longer(studio: Studio) -> None:
    short, long = (red(frame_of(studio, f"length:bthigh={factor}")) for factor in (0.7, 1.5))
    assert long > 1.3 * short


def test_the_caption_is_under_the_picture(studio: Studio) -> None:
    bare, told = frame_of(studio, "intact"), frame_of(studio, "intact", "intact 0.93 → new")
    assert bare.shape == (190, 160, 3)
    assert np.array_equal(bare[:120], told[:120])
    assert (bare[120:] == 255).all()
    assert (told[120:145] < 100).any()


def test_one_screen_at_a_time(studio: Studio) -> None:
    with pytest.raises(RuntimeError, match="another screen is open"):
        Screen(64, 64)
    studio.close()
    Screen(64, 64).close()


@pytest.mark.parametrize(("name", "rate"), [("HalfCheetah", 20.0), ("Hopper", 125 / 3)])
def test_a_film_runs_in_the_robots_own_time(tmp_path: Path, name: str, rate: float) -> None:
    path = tmp_path / "life.mp4"
    fleet = Fleet(name, [Body()], seed=0)
    fleet.reset()
    seconds = 0.6
    with Film(path, fleet.robot, 160, 120, lines=1) as film:
        assert not path.exists()
        for step in range(round(seconds / fleet.robot.dt)):
            if step == 5:
                fleet.embody([0], [Body.parse(f"dead:{fleet.robot.actuators[0]}")])
            fleet.step(np.zeros((1, fleet.robot.actions)))
            film.shoot(fleet.bodies[0], fleet.data(0)[1], [f"{step}"])
    frames, lasts = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert frames == pytest.approx(seconds * rate, abs=1)
    assert lasts == pytest.approx(seconds, abs=1.1 / rate)
    assert [one.name for one in tmp_path.iterdir()] == ["life.mp4"]


def test_a_frame_is_kept_as_png(tmp_path: Path, studio: Studio) -> None:
    frame = frame_of(studio, "dead:bthigh", "a line")
    save(frame, tmp_path / "frame.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "frame.png")), frame)


RENDERED = """
import gymnasium, numpy, envs
life = "intact@0 length:bthigh,bshin,fthigh,fshin=2@1 remove:bthigh@2"
env = gymnasium.make("adaptd/ChangingHalfCheetah-v0", life=life, sizes="intact",
                     render_mode="rgb_array", width=96, height=64)
env.reset(seed=0)
frames = []
for _ in range(3):
    env.step(numpy.zeros(6))
    frames.append(env.render())
    print(frames[-1].shape, [bool((frames[-1] == other).all()) for other in frames[:-1]])
env.close()
"""


def test_a_rendered_environment_shows_the_body_that_it_has_now() -> None:
    """Gymnasium's renderer keeps the model it began with; a change must not leave it behind.

    In a process of its own, as MuJoCo binds OpenGL when it is loaded.
    """
    done = subprocess.run(
        [sys.executable, "-c", RENDERED],
        env={**os.environ, "MUJOCO_GL": platform()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shape = "(64, 96, 3)"
    assert done.stdout.splitlines() == [
        f"{shape} []",
        f"{shape} [False]",
        f"{shape} [False, False]",
    ]


def test_nothing_to_draw_with_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    platform.cache_clear()
    with pytest.raises(NoScreenError, match=r"egl: .*osmesa: .*leave the video out"):
        platform()
    platform.cache_clear()


def test_odd_sizes_and_unknown_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even numbers"):
        Studio(ROBOTS["Ant"], 161, 120)
    with pytest.raises(ValueError, match=r"ends in .mp4, .webm, .gif"):
        Film(tmp_path / "life.avi", ROBOTS["Ant"])


def test_what_is_changed_is_found_by_part() -> None:
    robot = ROBOTS["Ant"]
    body = Body.parse("dead:hip_2+mass:foot3=2+remove:leg1")
    fleet = Fleet(robot, [body], seed=0)
    fleet.reset()
    model, data = fleet.data(0)
    names = {model.body(row).name for row in changed(robot, body, model)}
    assert names == {"aux_2", "ankle_3"}
    away = stumps(robot, body, model, data)[0] - data.body("torso").xpos
    assert np.linalg.norm(away) == pytest.approx(0.2 * 2**0.5)
