"""Gymnasium robots whose body changes. No torch.

Importing this registers `adaptd/PlanarArm-v0` and `adaptd/Changing<robot>-v0` with Gymnasium.
"""

import gymnasium

IDS = {
    "PlanarArm": "adaptd/PlanarArm-v0",
    "HalfCheetah": "adaptd/ChangingHalfCheetah-v0",
    "Ant": "adaptd/ChangingAnt-v0",
    "Hopper": "adaptd/ChangingHopper-v0",
    "Walker2d": "adaptd/ChangingWalker2d-v0",
    "Reacher": "adaptd/ChangingReacher-v0",
    "Swimmer": "adaptd/ChangingSwimmer-v0",
}


def register() -> None:
    """Tell Gymnasium of these environments; again does nothing."""
    for robot, name in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="envs.catalogue:make", kwargs={"robot": robot})


register()
