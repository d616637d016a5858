"""How a damaged body is drawn: what is changed in red, on a light ground."""

import copy
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.body import Body
from envs.grammar import ALL
from envs.inplace import joints
from envs.robots import Robot

RED = (0.85, 0.12, 0.1, 1.0)
_LIGHTEST, _CONTRAST = 205, 0.2  # of ground and sky, before the lights

Place = NDArray[np.float64]


def painted(robot: Robot, body: Body) -> mujoco.MjModel:
    """Give a model of one's own to draw: what is changed in red."""
    model = copy.copy(robot.model(body, visual=True))
    _lighten(model)
    model.vis.headlight.ambient[:] = 0.4
    model.vis.headlight.diffuse[:] = 0.5
    for row in changed(robot, body, model):
        own = model.geom_bodyid == row
        model.geom_rgba[own] = RED
        model.geom_matid[own] = -1
    return model


def changed(robot: Robot, body: Body, model: mujoco.MjModel) -> set[int]:
    """Give the numbers of the bodies of the model that are not as on the intact robot."""
    told = {of: getattr(body, of) for of in ("gear", "damping", "locked", "limited")}
    at = {name: int(model.jnt_bodyid[row]) for name, row in joints(model)}
    moved = {
        model.actuator(row).name: int(model.jnt_bodyid[model.actuator_trnid[row, 0]])
        for row in range(model.nu)
    }
    rows = set()
    for of, parts in told.items():
        rows |= _named(moved if of == "gear" else at, parts)
    for of in ("length", "stretch", "mass", "friction"):
        for part in getattr(body, of):
            for limb in robot.parts if part == ALL else (part,):
                names = robot.limbs.get(limb, (limb,))
                rows |= {row for row in range(1, model.nbody) if model.body(row).name in names}
    return rows


def stumps(robot: Robot, body: Body, model: mujoco.MjModel, data: mujoco.MjData) -> list[Place]:
    """Give the places in the world, (3,) in metres, where limbs are missing."""
    whole, found = robot.model(visual=True), []
    for limb in body.removed:
        lost = whole.body(robot.limbs[limb][0])
        parent = whole.body(int(lost.parentid[0])).name
        if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, parent) > 0:
            here = data.body(parent)
            found.append(here.xpos + here.xmat.reshape(3, 3) @ _hinge(whole, robot.limbs[limb]))
    return found


def _hinge(model: mujoco.MjModel, limb: Sequence[str]) -> Place:
    """Give where a limb's first joint is, seen from the part that it hangs on."""
    place = np.zeros(3)
    for part in map(model.body, limb):
        place += part.pos
        if part.jntnum[0]:
            break
    return place


def _named(at: Mapping[str, int], parts: Mapping[str, object]) -> set[int]:
    return set(at.values()) if ALL in parts else {at[part] for part in parts if part in at}


def _lighten(model: mujoco.MjModel) -> None:
    """Make ground and sky light, so that the robot stands out."""
    planes = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
    model.geom_rgba[planes, :3] = model.geom_rgba[planes, :3].mean(axis=1, keepdims=True)
    ground = model.geom_matid[planes]
    under = model.mat_texid[ground[ground >= 0]].ravel()
    for row in range(model.ntex):
        sky = model.tex_type[row] == mujoco.mjtTexture.mjTEXTURE_SKYBOX
        if sky or row in under:
            begin = model.tex_adr[row]
            size = model.tex_width[row] * model.tex_height[row] * model.tex_nchannel[row]
            pixels = model.tex_data[begin : begin + size]
            pixels[:] = _LIGHTEST - (255 - pixels.astype(np.int64)) * _CONTRAST
