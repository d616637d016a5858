"""The whole state of a simulation as one row of numbers, and how it goes over to another body."""

import mujoco
import numpy as np

from envs.task import Array

# Positions, velocities, time, controls, mocap bodies and the solver's warm start: what the next
# step depends on, so that a row that is put back goes on bit for bit.
WHOLE = mujoco.mjtState.mjSTATE_INTEGRATION.value


def state_of(model: mujoco.MjModel, data: mujoco.MjData) -> Array:
    """Give the whole state as a row."""
    row = np.empty(mujoco.mj_stateSize(model, WHOLE))
    mujoco.mj_getState(model, data, row, WHOLE)
    return row


def put_state(model: mujoco.MjModel, data: mujoco.MjData, row: Array) -> None:
    """Put a row back, with the places of all parts computed from it.

    Raises:
        ValueError: the row is of a robot with other parts.
    """
    size = mujoco.mj_stateSize(model, WHOLE)
    if row.shape != (size,):
        raise ValueError(f"a state of {row.shape} does not fit this body, which needs ({size},)")
    mujoco.mj_setState(model, data, row, WHOLE)
    mujoco.mj_fwdPosition(model, data)


def carry(before: mujoco.MjModel, row: Array, after: mujoco.MjModel) -> Array:
    """Give the row that has, on another body, the same of all parts that both have.

    Parts go by name. A joint that was not there begins at rest where its model has it,
    within its limits.
    """
    old, new = mujoco.MjData(before), mujoco.MjData(after)
    mujoco.mj_setState(before, old, row, WHOLE)
    new.time = old.time
    limited = after.jnt_limited.astype(bool)
    places = after.jnt_qposadr[limited]
    new.qpos[places] = np.clip(new.qpos[places], *after.jnt_range[limited].T)
    for joint in range(after.njnt):
        name = after.joint(joint).name
        if mujoco.mj_name2id(before, mujoco.mjtObj.mjOBJ_JOINT, name) >= 0:
            for field in ("qpos", "qvel", "qacc_warmstart"):
                getattr(new.joint(name), field)[:] = getattr(old.joint(name), field)
    for actuator in range(after.nu):
        name = after.actuator(actuator).name
        if mujoco.mj_name2id(before, mujoco.mjtObj.mjOBJ_ACTUATOR, name) >= 0:
            new.actuator(name).ctrl[:] = old.actuator(name).ctrl
    for body in range(after.nbody):
        to, name = after.body_mocapid[body], after.body(body).name
        if to >= 0 and mujoco.mj_name2id(before, mujoco.mjtObj.mjOBJ_BODY, name) >= 0:
            of = before.body(name).mocapid[0]
            new.mocap_pos[to], new.mocap_quat[to] = old.mocap_pos[of], old.mocap_quat[of]
    return state_of(after, new)
