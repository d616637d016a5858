"""Records a robot's life to a video, or to single pictures, with a caption under each frame."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import imageio_ffmpeg
import matplotlib as mpl
import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from envs.body import Body
from envs.painting import painted, stumps
from envs.robots import Robot
from envs.screen import Picture, Screen

FASTEST = 60.0  # frames a second that a video has at most
LINE = 20  # pixels of a line of the caption
CODECS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        ".mp4": {"codec": "libx264", "quality": 7},
        ".webm": {"codec": "libvpx-vp9", "quality": 7},
        ".gif": {"codec": "gif", "pix_fmt_out": "rgb8"},
    }
)
INK, PAPER = (30, 34, 40), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class View:
    """Where a robot is seen from.

    Args:
        distance: of the camera, in metres.
        elevation: of the camera's look, in degrees; -90 looks straight down.
        height: of the point it looks at, in metres.
        follow: whether it goes along with the robot's first part.
        azimuth: of the look, in degrees.
    """

    distance: float = 3.2
    elevation: float = -12.0
    height: float = 0.45
    follow: bool = True
    azimuth: float = 90.0


VIEWS = MappingProxyType(
    {
        "PlanarArm": View(0.95, -90.0, 0.0, follow=False),
        "Reacher": View(0.85, -90.0, 0.0, follow=False),
        "Swimmer": View(5.0, -65.0, 0.0),
        "Ant": View(3.8, -42.0, 0.2),
        "Hopper": View(3.6, -10.0, 0.8),
        "Walker2d": View(3.6, -10.0, 0.8),
    }
)


class Studio:
    """Draws frames of one robot; there is one at a time.

    Args:
        robot: what is drawn.
        width: of a frame, in pixels; even.
        height: of the picture over the caption; even.
        lines: lines of the caption; the frame is that much higher.
        view: where it is seen from; None: as `VIEWS` has it.

    Raises:
        NoScreenError: nothing can draw here.
    """

    def __init__(
        self,
        robot: Robot,
        width: int = 640,
        height: int = 400,
        lines: int = 3,
        view: View | None = None,
    ) -> None:
        if width % 2 or height % 2:
            raise ValueError(f"width and height are {width}, {height}; videos need even numbers")
        self.robot = robot
        self.size = (width, height + LINE * lines + (LINE // 2 if lines else 0))
        self._view = view or VIEWS.get(robot.name, View())
        self._screen = Screen(width, height)
        self._body: Body | None = None
        self._model: Any = None

    def frame(self, body: Body, data: mujoco.MjData, lines: Sequence[str] = ()) -> Picture:
        """Draw one frame, (height, width, 3).

        Args:
            body: what the robot truly has; what is changed is red.
            data: where its parts are; of a model of that body.
            lines: the caption.
        """
        if body != self._body or self._model is None:
            self._body, self._model = body, painted(self.robot, body)
        here = [(place, 0.06) for place in stumps(self.robot, body, self._model, data)]
        if self.robot.tip:
            here = [(place, 0.014) for place, _ in here]
        picture = self._screen.draw(self._model, data, self._camera(data), here)
        return _captioned(picture, self.size, lines)

    def close(self) -> None:
        """Give the screen back."""
        self._screen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _camera(self, data: mujoco.MjData) -> mujoco.MjvCamera:
        camera, view = mujoco.MjvCamera(), self._view
        camera.distance, camera.elevation, camera.azimuth = (
            view.distance,
            view.elevation,
            view.azimuth,
        )
        where = data.xpos[1, :2] if view.follow else np.zeros(2)
        camera.lookat[:] = (*where, view.height)
        return camera


class Film:
    """A video of a robot's life, in its own time.

    The file is there when the film is closed; before, it has another name. Where control is faster
    than 60 frames a second, steps between two frames are left out.

    Args:
        path: of the video, which ends in .mp4, .webm or .gif.
        robot: what is filmed.
        width: of a frame, in pixels; even.
        height: of the picture over the caption; even.
        lines: lines of the caption.

    Raises:
        NoScreenError: nothing can draw here.
        ValueError: the path ends in something else.
    """

    def __init__(
        self, path: Path | str, robot: Robot, width: int = 640, height: int = 400, lines: int = 3
    ) -> None:
        self.path = Path(path)
        if self.path.suffix not in CODECS:
            raise ValueError(f"{path}: a video's name ends in {', '.join(CODECS)}")
        self.every = max(1, round(np.ceil(1.0 / (robot.dt * FASTEST))))
        self._part = self.path.with_name(f".{self.path.stem}.part{self.path.suffix}")
        self._steps = 0
        self.studio = Studio(robot, width, height, lines)
        self._writer: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
            str(self._part),
            self.studio.size,
            fps=1.0 / (robot.dt * self.every),
            macro_block_size=2,
            **CODECS[self.path.suffix],
            ffmpeg_log_level="error",
        )
        self._writer.send(None)

    def shoot(self, body: Body, data: mujoco.MjData, lines: Sequence[str] = ()) -> None:
        """Take in one step of control; draws it where a frame is due."""
        if self._steps % self.every == 0:
            frame = self.studio.frame(body, data, lines)
            self._writer.send(np.ascontiguousarray(frame))
        self._steps += 1

    def close(self) -> None:
        """End the video, and give it its name."""
        self._writer.close()
        self.studio.close()
        if self._part.exists():
            self._part.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def save(picture: Picture, path: Path | str) -> None:
    """Write a frame as a PNG."""
    Image.fromarray(picture).save(path, format="PNG", optimize=True)


def _captioned(picture: Picture, size: tuple[int, int], lines: Sequence[str]) -> Picture:
    """Put a picture over a strip of paper with the lines on it."""
    frame = Image.new("RGB", size, PAPER)
    frame.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(frame)
    for row, line in enumerate(lines):
        top = picture.shape[0] + LINE // 4 + row * LINE
        pen.text((LINE // 2, top), line, fill=INK, font=_font())
    return np.asarray(frame)


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 14)
