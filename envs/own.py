"""A robot of one's own from MuJoCo's XML: its parts are found, its bodies change as others' do."""

from pathlib import Path

import mujoco

from envs import blueprint, inplace
from envs.robots import Robot
from envs.task import Task
from envs.tasks_run import Run


def robot_from_xml(
    path: Path | str,
    frame_skip: int,
    name: str = "",
    task: Task | None = None,
    tip: str = "",
) -> Robot:
    """Find the parts of a robot: every body that a motor moves is a limb by its name.

    Args:
        path: of the XML.
        frame_skip: physics steps in one step of control.
        name: what people call it; "": the file's.
        task: what is observed and rewarded; None: all positions and velocities are seen, and the
            speed of the first coordinate is rewarded.
        tip: body that marks the robot's end; "" where there is none.

    Raises:
        ValueError: the XML cannot be read, or no motor moves anything.
    """
    path = Path(path)
    spec = blueprint.load(path)
    model = spec.compile()
    rows = [int(model.jnt_bodyid[row]) for _, row in inplace.joints(model)]
    if not rows:
        raise ValueError(f"{path}: no motor moves a joint")
    limbs = {model.body(row).name: (model.body(row).name,) for row in dict.fromkeys(rows)}
    first = model.body(1).name
    trunk = first if first not in limbs and _moves(model, 1) else ""
    known = name or path.stem
    free = Run(hidden=0, cost=0.0)
    return Robot(known, f"own/{known}", path, frame_skip, limbs, task or free, trunk, tip)


def _moves(model: mujoco.MjModel, body: int) -> bool:
    return bool(model.body_jntnum[body])
