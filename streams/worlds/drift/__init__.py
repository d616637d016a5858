"""Generated drifting streams, to train on and to be judged on."""

from streams.worlds.drift.course import KINDS
from streams.worlds.drift.rules import RULES
from streams.worlds.drift.stream import (
    HELD_OUT_KINDS,
    HELD_OUT_RULES,
    TRAIN_KINDS,
    TRAIN_RULES,
    Drifting,
    drifting,
)

__all__ = [
    "HELD_OUT_KINDS",
    "HELD_OUT_RULES",
    "KINDS",
    "RULES",
    "TRAIN_KINDS",
    "TRAIN_RULES",
    "Drifting",
    "drifting",
]
