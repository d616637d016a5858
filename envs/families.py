"""The families of bodies, by robot, and the fixed lists that benchmarks use."""

from collections.abc import Mapping
from types import MappingProxyType

from envs.family import Family
from envs.robots import ROBOTS

SLIGHT = MappingProxyType({"length": (0.9, 1.1), "mass": (0.8, 1.25)})  # for those that fall


def _together(*texts: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(text.split()) for text in texts)


_PLANAR_ARM = Family(
    ROBOTS["PlanarArm"],
    {
        "train": (
            "invert:shoulder",
            "dead:elbow",
            "invert:shoulder,elbow",
            "weak:shoulder=0.4+invert:wrist",
            "length:upperarm=1.2+length:hand=0.8+damping=1.4",
        ),
        "validation": (
            "length:upperarm=1.32+invert:elbow",
            "length:hand=0.7+dead:shoulder",
            "damping=1.66+invert:shoulder,wrist",
            "length:forearm=1.3+weak:elbow=0.4",
        ),
        "held-out": (
            "invert:shoulder,elbow,wrist",
            "length:upperarm=1.545+length:forearm=0.455+length:hand=1.545",
            "gear:all=2",
            "invert:shoulder,wrist+length:upperarm=1.455+length:forearm=0.545+length:hand=1.455",
            "gear:shoulder=-2+dead:elbow+gear:wrist=1.5",
            "dead:shoulder,wrist",
            "damping=3",
            "lock:elbow=0.5",
        ),
    },
    often=0.45,
    kinds=(0.22, 0.22, 0.56),
    most=(3, 1, 2),
    spans=MappingProxyType({"length": (0.727, 1.273), "damping": (0.6, 1.6)}),
)

_HALF_CHEETAH = Family(
    ROBOTS["HalfCheetah"],
    {
        "train": (
            "dead:bthigh",
            "invert:bthigh",
            "dead:fthigh",
            "invert:bfoot",
            "weak:bshin=0.4",
        ),
        "validation": (
            "dead:bshin+invert:ffoot",
            "invert:bfoot+weak:fthigh=0.5",
            "length:bthigh=1.24",
            "mass=1.35",
        ),
        "held-out": (
            "invert:fshin",
            "invert:bthigh,fthigh",
            "invert:bthigh,fshin",
            "invert:bshin,ffoot",
            "invert:bthigh,bshin",
            "invert:bfoot,fshin,ffoot",
            "dead:fshin",
            "dead:bthigh,fthigh",
            "dead:bshin,fshin",
            "length:bthigh,bshin,bfoot=0.65",
            "mass=1.8",
            "invert:bshin+dead:ffoot+length=1.3",
            "lock:bshin=0.3",
            "friction=0.3",
            "remove:ffoot",
        ),
    },
    spared=frozenset({"fshin"}),
    unseen=_together("bthigh fthigh"),
    validation=_together("bshin ffoot", "bfoot fthigh"),
    removals=True,
)

_ANT = Family(
    ROBOTS["Ant"],
    {
        "train": ("dead:hip_1", "invert:ankle_2", "weak:hip_3=0.4", "dead:hip_2+dead:ankle_3"),
        "validation": ("dead:ankle_1,ankle_2", "invert:ankle_2+dead:hip_3", "length:foot1=1.24"),
        "held-out": (
            "remove:leg1",
            "remove:leg3",
            "remove:foot2",
            "dead:hip_1,ankle_1",
            "dead:hip_4",
            "invert:hip_4",
            "invert:hip_1,hip_3",
            "length:leg1=1.4",
            "mass=1.8",
        ),
    },
    spared=frozenset({"hip_4"}),
    unseen=_together("hip_1 ankle_1", "hip_1 hip_3"),
    validation=_together("ankle_1 ankle_2", "ankle_2 hip_3"),
    removals=True,
)

_HOPPER = Family(
    ROBOTS["Hopper"],
    {
        "train": ("weak:thigh=0.6", "weak:leg=0.7", "mass=1.2"),
        "validation": ("length:leg=1.13", "mass=1.28"),
        "held-out": (
            "weak:foot=0.5",
            "dead:foot",
            "invert:foot",
            "weak:thigh,leg=0.6",
            "length:foot=0.7",
            "mass=1.6",
            "friction=0.5",
        ),
    },
    spared=frozenset({"foot"}),
    unseen=_together("thigh leg"),
    kinds=(0.1, 0.6, 0.3),
    most=(1, 1, 1),
    spans=SLIGHT,
)

_WALKER2D = Family(
    ROBOTS["Walker2d"],
    {
        "train": ("dead:foot", "weak:thigh=0.4", "invert:foot_left", "weak:leg=0.6"),
        "validation": ("dead:foot+weak:leg=0.5", "length:thigh=1.13", "mass=1.28"),
        "held-out": (
            "dead:leg_left",
            "invert:leg_left",
            "dead:thigh,thigh_left",
            "invert:foot,foot_left",
            "length:leg=0.75",
            "mass=1.6",
            "remove:foot",
        ),
    },
    spared=frozenset({"leg_left"}),
    unseen=_together("thigh thigh_left"),
    validation=_together("leg foot", "leg foot_left"),
    spans=SLIGHT,
    removals=True,
)

_REACHER = Family(
    ROBOTS["Reacher"],
    {
        "train": ("invert:joint0", "weak:joint1=0.4", "length:body0=0.85"),
        "validation": ("length:body1=1.24", "damping=1.66"),
        "held-out": ("invert:joint0,joint1", "gear:all=2", "length:body1=1.5", "lock:joint1=0.5"),
    },
    unseen=_together("joint0 joint1"),
    often=0.4,
    spans=MappingProxyType({"length": (0.8, 1.2), "damping": (0.6, 1.6)}),
)

_SWIMMER = Family(
    ROBOTS["Swimmer"],
    {
        "train": ("invert:motor1_rot", "weak:motor2_rot=0.4", "length:back=0.85"),
        "validation": ("length:mid=1.24", "mass=1.35"),
        "held-out": (
            "invert:motor1_rot,motor2_rot",
            "gear:all=2",
            "length:back=1.5",
            "lock:motor2_rot=0.5",
            "remove:back",
        ),
    },
    unseen=_together("motor1_rot motor2_rot"),
    often=0.4,
    removals=True,
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.robot.name: family
        for family in (_PLANAR_ARM, _HALF_CHEETAH, _ANT, _HOPPER, _WALKER2D, _REACHER, _SWIMMER)
    }
)
