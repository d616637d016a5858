"""The changes that a compiled model takes in place: no recompiling, the layout stays."""

import math
from collections.abc import Iterator

import mujoco
import numpy as np

from envs.blueprint import Limbs, owners, short
from envs.body import Body
from envs.grammar import ALL

# A seized joint: stiff limits on both sides, with a margin in which both push, so that they brake
# as well. They bring it there within a tenth of a second and hold it within 0.02 rad against the
# strongest motors of these robots.
SEIZED_SOLREF = (0.02, 1.0)
SEIZED_SOLIMP = (0.99, 0.999, 0.001, 0.5, 2.0)
SEIZED_MARGIN = 0.3


def edit(model: mujoco.MjModel, body: Body, limbs: Limbs) -> None:
    """Write a body's gears, masses, friction, damping, limits and locks into a model.

    Args:
        model: compiled with the body's lengths; it is changed.
        body: what is changed.
        limbs: which bodies of the model each limb, or the trunk, consists of.
    """
    for row in range(model.nu):
        model.actuator_gear[row] *= body.factor("gear", model.actuator(row).name)
    for part, names in owners(limbs).items():
        row = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, part)
        if row >= 0:
            model.body_mass[row] *= body.factor("mass", *names)
            model.body_inertia[row] *= body.factor("mass", *names)
    _roughen(model, body, limbs)
    for name, row in joints(model):
        dof = model.jnt_dofadr[row]
        model.dof_damping[dof] *= body.factor("damping", name)
        _hold(model, row, name, body)
    mujoco.mj_setConst(model, mujoco.MjData(model))


def joints(model: mujoco.MjModel) -> Iterator[tuple[str, int]]:
    """Give name and number of each joint that an actuator moves, in the model's order."""
    moved = set(model.actuator_trnid[:, 0].tolist())
    for row in range(model.njnt):
        if row in moved:
            yield short(model.joint(row).name), row


def _roughen(model: mujoco.MjModel, body: Body, limbs: Limbs) -> None:
    """Scale sliding friction.

    A contact has the larger friction of its two geoms: where one limb differs from the others, it
    must be given priority over the ground, and then the ground's share of the friction too.
    """
    ground = model.geom_bodyid == 0
    model.geom_friction[:, 0] *= body.friction.get(ALL, 1.0)
    floor = model.geom_friction[ground, 0].max(initial=0.0)
    for part, names in owners(limbs).items():
        row = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, part)
        if row < 0 or not body.friction.keys() & set(names):
            continue
        own = model.geom_bodyid == row
        slide = np.maximum(model.geom_friction[own, 0], floor)
        model.geom_friction[own, 0] = slide * math.prod(body.friction.get(n, 1.0) for n in names)
        model.geom_priority[own] = 1
        model.geom_condim[own] = max(model.geom_condim[ground].max(initial=1), 3)


def _hold(model: mujoco.MjModel, row: int, name: str, body: Body) -> None:
    if name in body.limited:
        model.jnt_limited[row] = 1
        model.jnt_range[row] = body.limited[name]
    if name in body.locked:
        model.jnt_limited[row] = 1
        model.jnt_range[row] = np.full(2, body.locked[name])
        model.jnt_solref[row] = SEIZED_SOLREF
        model.jnt_solimp[row] = SEIZED_SOLIMP
        model.jnt_margin[row] = SEIZED_MARGIN


# What `edit` writes, and what `mj_setConst` derives from it.
EDITED = (
    "actuator_gear",
    "body_mass",
    "body_inertia",
    "geom_friction",
    "geom_priority",
    "geom_condim",
    "dof_damping",
    "jnt_limited",
    "jnt_range",
    "jnt_solref",
    "jnt_solimp",
    "jnt_margin",
    "actuator_acc0",
    "actuator_length0",
    "body_invweight0",
    "body_subtreemass",
    "dof_invweight0",
    "dof_M0",
)
