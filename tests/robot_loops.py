"""Loops that are stored and restored."""

from pathlib import Path

import numpy as np

from agent.robot.loop import Loop
from agent.robot.turn import Turn
from agent.service.checkpoint import CheckpointStore


def same(one: Turn, other: Turn) -> bool:
    """Whether two steps are the same to the bit, time apart."""
    arrays = ("reward_N", "surprise_N", "body_N", "fallen_N")
    plain = ("step", "change", "bodies", "belief", "truth", "altered")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in plain
    )


def stored(loop: Loop, folder: Path) -> None:
    arrays, meta = loop.photograph()
    CheckpointStore(folder, 2, {}, lambda: 1.0).save(arrays, meta)


def restored(loop: Loop, folder: Path) -> bool:
    found = CheckpointStore(folder, 2, {}, lambda: 1.0).load()
    assert found is not None
    return loop.restore(*found)
