"""Judges what every gait of a library earns on the training bodies: what trials begin from.

Shapes: G gaits, B bodies.
"""

import numpy as np
import torch
from torch import Tensor

from agent.control.gaits import Moves
from agent.robot.evolve import judged_on_all
from agent.robot.trained import Made, Say
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

STEPS, START = 80, 40  # of control, of a trial; from START on it counts
BODIES = 64
ABREAST = 8  # gaits that are judged at once


def train_outlook(robot: str, gait_GP: Tensor, moves: Moves, seed: int, say: Say) -> Made:
    """Simulate a trial of every gait on the intact body and on drawn training bodies."""
    draw, family = np.random.default_rng(seed), FAMILIES[robot]
    own = [Body(), *(family.draw("train", draw) for _ in range(BODIES - 1))]
    fleet = Fleet(robot, own * ABREAST, seed=seed)
    mean_GB = judged_on_all(fleet, gait_GP.double().numpy(), BODIES, moves, STEPS, START)
    best_B = mean_GB.max(0)
    say(f"{len(gait_GP)} gaits on {BODIES} bodies, best of each {best_B.mean():.2f}")
    told = {
        "trained on": f"the intact body and {BODIES - 1} of the family's training bodies",
        "gaits": len(gait_GP),
        "judged": {
            "intact, reward a step of the best": round(float(best_B[0]), 3),
            "training bodies, mean of each one's best": round(float(best_B.mean()), 3),
            "training bodies, first gait": round(float(mean_GB[0].mean()), 3),
        },
    }
    return {"mean_GB": torch.from_numpy(mean_GB).float()}, told
