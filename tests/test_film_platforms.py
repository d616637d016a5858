"""Frames by EGL and by OSMesa, each in a process of its own: OpenGL binds once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from envs.screen import PLATFORMS

DRAWN = """
import sys
import numpy as np
from envs.body import Body
from envs.film import Studio
from envs.fleet import Fleet
from envs.robots import ROBOTS
from envs.screen import NoScreenError, platform
try:
    print(platform())
except NoScreenError as error:
    sys.exit(str(error))
body = Body.parse("dead:bthigh")
fleet = Fleet("HalfCheetah", [body], seed=0)
with Studio(ROBOTS["HalfCheetah"], 160, 120) as studio:
    np.save(sys.argv[1], studio.frame(body, fleet.data(0)[1], ["dead:bthigh"]))
"""
PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_frame_is_drawn_by(name: str, tmp_path: Path) -> None:
    path = tmp_path / "frame.npy"
    # Whoever has drawn in this process before has left its platform in the environment.
    around = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    ran = subprocess.run(
        [sys.executable, "-c", DRAWN, str(path)],
        env={**around, "MUJOCO_GL": name},
        capture_output=True,
        text=True,
        check=False,
    )
    if "nothing can draw off screen" in ran.stderr:
        pytest.skip(f"{name} cannot draw here: apt-get install {PACKAGES[name]}")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{name}\n"
    parts = np.load(path).astype(int)
    assert parts.shape == (190, 160, 3)
    picture = parts[:120]
    red = (picture[..., 0] > 120) & (picture[..., 1:].max(axis=-1) < 80)
    assert 20 < red.sum() < 2000  # the dead thigh, and no more than that
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
