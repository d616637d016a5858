"""Drawing off screen: one OpenGL context, by EGL or by OSMesa, whichever works here."""

import os
import subprocess
import sys
from functools import cache
from importlib import import_module
from typing import Any, Self

import mujoco
import numpy as np
from numpy.typing import NDArray

PLATFORMS = ("egl", "osmesa")

Picture = NDArray[np.uint8]


class NoScreenError(RuntimeError):
    """Neither EGL nor OSMesa can draw here; says what each answered."""


@cache
def platform() -> str:
    """Find what can draw off screen: each is tried in a process of its own, as OpenGL binds once.

    The variable MUJOCO_GL, where it names one of them, leaves no choice.

    Raises:
        NoScreenError: none can.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    answers = []
    for name in (wanted,) if wanted in PLATFORMS else PLATFORMS:
        lines = f"from mujoco.{name} import GLContext as C; c = C(64, 64); c.make_current()"
        tried = subprocess.run(  # noqa: S603 -- this very Python, on a line of our own
            [sys.executable, "-c", lines],
            env={**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name},
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode == 0:
            return name
        answers.append(f"{name}: {(tried.stderr.strip() or 'nothing').splitlines()[-1]}")
    raise NoScreenError(
        f"nothing can draw off screen ({'; '.join(answers)}); install Mesa's EGL or OSMesa"
        " (Debian: libegl1 libgl1-mesa-dri, or libosmesa6), or leave the video out"
    )


class Screen:
    """A picture's worth of OpenGL; only one is open at a time, as drivers mix several up.

    Args:
        width: of the picture, in pixels.
        height: of the picture.

    Raises:
        NoScreenError: nothing can draw here.
        RuntimeError: another screen is open.
    """

    _open: Any = None

    def __init__(self, width: int, height: int) -> None:
        if Screen._open is not None:
            raise RuntimeError("another screen is open; close it first")
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._gl = import_module(f"mujoco.{platform()}").GLContext(width, height)
        self._gl.make_current()
        self._context: Any = None
        self._model: Any = None
        self._scene: Any = None
        Screen._open = self

    def draw(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        camera: mujoco.MjvCamera,
        marks: list[tuple[NDArray[np.float64], float]] | None = None,
    ) -> Picture:
        """Draw a simulation, (height, width, 3).

        Args:
            model: what is drawn; another than before costs a tenth of a second.
            data: where its parts are.
            camera: where it is seen from.
            marks: red balls to be drawn: place and radius in metres.
        """
        self._load(model)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            model, data, mujoco.MjvOption(), None, camera, everything, self._scene
        )
        for place, radius in marks or ():
            self._mark(place, radius)
        picture = np.empty((self._rectangle.height, self._rectangle.width, 3), dtype=np.uint8)
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(picture, None, self._rectangle, self._context)
        return picture[::-1]

    def close(self) -> None:
        """Give the context back."""
        if Screen._open is not self:
            return
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
        self._gl.free()
        Screen._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self, model: mujoco.MjModel) -> None:
        """Bring textures and shapes of a model to the driver, those of the one before it gone."""
        if model is self._model:
            return
        if self._context is not None:
            self._context.free()
        model.vis.global_.offwidth = self._rectangle.width
        model.vis.global_.offheight = self._rectangle.height
        self._model = model
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, 2000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def _mark(self, place: NDArray[np.float64], radius: float) -> None:
        if self._scene.ngeom == self._scene.maxgeom:
            return
        ball = self._scene.geoms[self._scene.ngeom]
        sphere = mujoco.mjtGeom.mjGEOM_SPHERE
        red = np.array([0.85, 0.12, 0.1, 1.0], dtype=np.float32)
        mujoco.mjv_initGeom(ball, sphere, np.full(3, radius), place, np.eye(3).ravel(), red)
        self._scene.ngeom += 1
