"""Draws docs/robots_bodies.png: some bodies of every robot, what is changed in red.

Run `python docs/make_robots_bodies_png.py` in the root of the repository.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from envs.body import Body
from envs.film import Studio
from envs.fleet import Fleet
from envs.robots import ROBOTS

BODIES = (
    ("PlanarArm", "invert:elbow"),
    ("HalfCheetah", "dead:bthigh+invert:fshin"),
    ("Ant", "remove:leg3"),
    ("PlanarArm", "remove:hand"),
    ("HalfCheetah", "length:bthigh,bshin=1.4"),
    ("Walker2d", "lock:leg=-0.5"),
)
COLUMNS, WIDTH, HEIGHT = 3, 320, 220


def main() -> None:
    """Draw each body a moment after it began to move."""
    frames = []
    for name, text in BODIES:
        fleet = Fleet(name, [Body.parse(text)], seed=1)
        fleet.reset()
        draw = np.random.default_rng(0)
        for _ in range(8):
            fleet.step(draw.uniform(-0.4, 0.4, (1, fleet.robot.actions)))
        with Studio(ROBOTS[name], WIDTH, HEIGHT, lines=1) as studio:
            frames.append(studio.frame(fleet.bodies[0], fleet.data(0)[1], [f"{name}  {text}"]))
    rows = [np.hstack(frames[row : row + COLUMNS]) for row in range(0, len(frames), COLUMNS)]
    sheet = Image.fromarray(np.vstack(rows)).quantize(200)
    sheet.save(Path(__file__).with_name("robots_bodies.png"), optimize=True)


if __name__ == "__main__":
    main()
