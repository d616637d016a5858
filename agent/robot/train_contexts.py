"""Judges what policies earn under every assumption about their motors, on training bodies.

Shapes: G assumptions, B bodies, P = A + 1.
"""

import numpy as np
import torch

from agent.control.context_policy import Policies
from agent.control.contexts import Contexts, assumptions
from agent.robot.evolve import judged_on_all
from agent.robot.trained import Made, Say
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

STEPS = 80  # of control, of a trial
ABREAST = 8  # assumptions that are judged at once


def train_contexts(robot: str, policies: Policies, bodies: int, seed: int, say: Say) -> Made:
    """Simulate trials of every assumption on the intact body and on drawn training bodies."""
    draw, family = np.random.default_rng(seed), FAMILIES[robot]
    own = [Body(), *(family.draw("train", draw) for _ in range(bodies - 1))]
    robust = policies.robust is not None
    gait_GP = assumptions(policies.told.actions, robust=robust)
    fleet = Fleet(robot, own * ABREAST, seed=seed)
    mean_GB = judged_on_all(fleet, gait_GP.double().numpy(), bodies, Contexts(policies), STEPS)
    best_B = mean_GB.max(0)
    say(f"{len(gait_GP)} assumptions on {bodies} bodies, best of each {best_B.mean():.2f}")
    told = {
        "trained on": f"the intact body and {bodies - 1} of the family's training bodies",
        "judged": {
            "intact, reward a step of the best": round(float(best_B[0]), 3),
            "training bodies, mean of each one's best": round(float(best_B.mean()), 3),
            "training bodies, assumed intact": round(float(mean_GB[0].mean()), 3),
        },
    }
    known = torch.tensor(bool(policies.specialists))
    mean = torch.from_numpy(mean_GB).float()
    return {"gait_GP": gait_GP, "mean_GB": mean, "specialists": known}, told
