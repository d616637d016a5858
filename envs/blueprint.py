"""The plan of a robot as MuJoCo's specification, edited where it must be compiled anew."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import mujoco
import numpy as np

from envs.body import Body

Limbs = Mapping[str, tuple[str, ...]]  # limb -> bodies of the model, the one it hangs by first


def short(joint: str) -> str:
    """Give the name that people use for a joint of the model."""
    return joint.removesuffix("_joint")


def owners(limbs: Limbs) -> dict[str, tuple[str, ...]]:
    """Give for each body of the model the limbs that it belongs to."""
    parts = dict.fromkeys(part for parts in limbs.values() for part in parts)
    return {part: tuple(limb for limb in limbs if part in limbs[limb]) for part in parts}


def load(path: Path) -> mujoco.MjSpec:
    """Read a model, name what has no name, and write its total mass into its densities.

    A model with `settotalmass` is scaled to that mass whenever it is compiled: a longer limb would
    make all others lighter. Here the intact robot alone is scaled, once.
    """
    spec = mujoco.MjSpec.from_file(str(path))
    for body in spec.bodies:
        if not body.name and body.joints:
            body.name = short(body.joints[0].name)
    for actuator in spec.actuators:
        actuator.name = actuator.name or short(actuator.target)
    total = spec.compiler.settotalmass
    if total > 0:
        spec.compiler.settotalmass = -1
        factor = total / float(spec.compile().body_mass.sum())
        for geom in spec.geoms:
            geom.density *= factor
            geom.mass *= factor
    return spec


def plain(spec: mujoco.MjSpec) -> mujoco.MjSpec:
    """Give the same plan with textures of a few pixels: a model that is small and soon copied."""
    bare = spec.copy()
    for texture in bare.textures:
        if texture.builtin:
            texture.width, texture.height = 1, 6  # a cube's sides stand one over the other
    return bare


def reshaped(spec: mujoco.MjSpec, body: Body, limbs: Limbs, tip: str) -> mujoco.MjModel:
    """Compile the plan with this body's lengths, and without the limbs it has lost.

    Args:
        spec: the intact plan; it is not changed.
        body: what is changed.
        limbs: which bodies of the model each limb consists of.
        tip: body that marks the robot's end; it moves to the stump where its limb is lost.
    """
    changed = spec.copy()
    for part, names in owners(limbs).items():
        factor = body.factor("length", *names) * body.factor("stretch", *names)
        if factor != 1.0:
            _lengthen(changed.body(part), factor)
    for limb in body.removed:
        _remove(changed, limbs[limb][0], tip)
    model = changed.compile()
    _keep_mass(model, spec, body, limbs)
    return model


def _lengthen(part: mujoco.MjsBody, factor: float) -> None:
    """Scale a link about the joint it hangs by, and shift what hangs on its end."""
    anchor = part.joints[0].pos.copy() if part.joints else np.zeros(3)
    for geom in part.geoms:
        _lengthen_geom(geom, anchor, factor)
    for child in part.bodies:
        pivot = np.zeros(3)
        if child.joints:
            mujoco.mju_rotVecQuat(pivot, child.joints[0].pos, child.quat)
        child.pos = anchor + factor * (child.pos + pivot - anchor) - pivot


def _lengthen_geom(geom: mujoco.MjsGeom, anchor: np.ndarray, factor: float) -> None:
    if not np.isnan(geom.fromto[0]):
        ends = geom.fromto.reshape(2, 3)
        geom.fromto = (anchor + factor * (ends - anchor)).ravel()
        return
    geom.pos = anchor + factor * (geom.pos - anchor)
    if geom.type in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
        size = geom.size.copy()
        size[1] *= factor
        geom.size = size


def _remove(spec: mujoco.MjSpec, root: str, tip: str) -> None:
    part = spec.body(root)
    if part is None:  # it hung on a limb that is gone already
        return
    parent, place = part.parent, part.pos.copy()
    lost_tip = bool(tip) and any(below.name == tip for below in _below(part))
    spec.delete(part)
    if lost_tip:
        parent.add_body(name=tip, pos=place)


def _below(part: mujoco.MjsBody) -> Iterable[mujoco.MjsBody]:
    for child in part.bodies:
        yield child
        yield from _below(child)


def _keep_mass(model: mujoco.MjModel, spec: mujoco.MjSpec, body: Body, limbs: Limbs) -> None:
    """Give stretched limbs the mass that they had, in place."""
    if not body.stretch:
        return
    before = reshaped(spec, Body(length=body.length), limbs, "")
    for part in owners(limbs):
        row = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, part)
        if row >= 0 and model.body_mass[row] > 0:
            factor = before.body(part).mass[0] / model.body_mass[row]
            model.body_mass[row] *= factor
            model.body_inertia[row] *= factor
    mujoco.mj_setConst(model, mujoco.MjData(model))
