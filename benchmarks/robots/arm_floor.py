"""What a planar arm with dead motors can reach at all, beside what it does reach.

Nothing but its own friction holds a joint without a motor. A dead shoulder always comes back to
where it rested: its friction is the only torque about the base, so between two rests the angle by
which it turns is the change of angular momentum over the friction, which is nought. A dead wrist is
turned by what the elbow flings, a few degrees a second at full torque (`drift`). So the least
distance at rest is that over all angles of the live joints, the dead ones where they are.

    python -m benchmarks.robots.arm_floor

Shapes: N robots, J joints, G angles of a grid, 2 coordinates.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from agent.robot.make_reaching import PlanOptions, planned
from benchmarks.robots.arm import STRETCH, TARGET
from benchmarks.robots.arm_rows import ROBOT
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS

BODIES = ("dead:wrist", "dead:shoulder", "dead:shoulder,wrist", "dead:elbow,wrist")
LINK, ROBOTS_EACH, STEPS = 0.11, 8, 181  # metres; lives a seed; angles of a live joint
EVERY = 6  # steps of the second half of a target's time between two that are judged
PUSHED, STILL = 75, 75  # steps of full torque, and of rest after it
Floats = NDArray[np.float64]


def angles(obs_NO: NDArray[np.float32]) -> Floats:
    """Give the joints' angles, NJ."""
    return np.arctan2(obs_NO[:, 3:6], obs_NO[:, :3]).astype(np.float64)


def least(angle_J: Floats, goal_2: Floats, live: Sequence[int]) -> float:
    """Give the least distance of the tip from a goal in centimetres, over angles of live joints."""
    turn_G = np.linspace(-np.pi, np.pi, STEPS)
    grid = np.array(list(product(turn_G, repeat=len(live))))
    angle_GJ = np.repeat(angle_J[None], len(grid), 0)
    angle_GJ[:, list(live)] = grid
    whole_GJ = angle_GJ.cumsum(1)
    tip_G2 = LINK * np.stack([np.cos(whole_GJ).sum(1), np.sin(whole_GJ).sum(1)], 1)
    return float(100 * np.linalg.norm(tip_G2 - goal_2, axis=1).min())


def lived(body: Body, seed: int) -> tuple[list[float], list[float]]:
    """Give centimetres from the target, and the least possible, after a change to a body."""
    names = ROBOTS[ROBOT].actuators
    live = [row for row, name in enumerate(names) if body.factor("gear", name)]
    controller = planned("context", PlanOptions(), ROBOT)
    fleet, draw = Fleet(ROBOT, [Body()] * ROBOTS_EACH, seed=seed), torch.Generator()
    obs_NO, state = torch.from_numpy(fleet.reset()), controller.begin(ROBOTS_EACH)
    draw.manual_seed(seed)
    found: list[float] = []
    floor: list[float] = []
    for step in range(2 * STRETCH):
        if step == STRETCH:
            fleet.embody(range(ROBOTS_EACH), [body] * ROBOTS_EACH)
        state, action_NA = controller.act(state, obs_NO, draw)
        goal_N2 = obs_NO[:, 11:].double().numpy()
        seen_NO, reward_N, _ = fleet.step(action_NA.numpy())
        following_NO = torch.from_numpy(seen_NO)
        state, _ = controller.learn(state, obs_NO, action_NA, following_NO)
        obs_NO = following_NO
        if step >= STRETCH and TARGET // 2 <= step % TARGET < TARGET - 1 and step % EVERY == 0:
            found += (-100 * reward_N).tolist()
            floor += [
                least(one, goal, live) for one, goal in zip(angles(seen_NO), goal_N2, strict=True)
            ]
    return found, floor


def drift(body: Body, robots: int = 128) -> Floats:
    """Give by how many degrees joints are elsewhere after full torque to and fro, and rest, NJ."""
    draw, fleet = np.random.default_rng(0), Fleet(ROBOT, [body] * robots)
    before_NJ = angles(fleet.reset())
    every_N1, sign_NA = draw.integers(1, 15, (robots, 1)), draw.choice([-1.0, 1.0], (robots, 3))
    turned_NJ = np.zeros_like(before_NJ)
    for step in range(PUSHED + STILL):
        there_NA = np.where(step // every_N1 % 2 == 0, sign_NA, -sign_NA)
        seen_NO, _, _ = fleet.step(there_NA if step < PUSHED else 0 * there_NA)
        after_NJ = angles(seen_NO)
        turned_NJ += (after_NJ - before_NJ + np.pi) % (2 * np.pi) - np.pi
        before_NJ = after_NJ
    whole: Floats = np.degrees(np.abs(turned_NJ))
    return whole


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print, for each body, what is reached, what can be, and how far dead joints drift."""
    torch.set_num_threads(1)
    print(
        "| body | cm, mean | least, mean | cm, median | least, median | drift, 90 % |\n"
        + "|---" * 6
    )
    for name in BODIES:
        body = Body.parse(name)
        pairs = [lived(body, seed) for seed in seeds]
        found, floor = (np.concatenate([pair[at] for pair in pairs]) for at in (0, 1))
        far_J = np.quantile(drift(body), 0.9, axis=0)
        dead = [
            f"{joint} {far:.1f}"
            for joint, far in zip(ROBOTS[ROBOT].actuators, far_J, strict=True)
            if not body.factor("gear", joint)
        ]
        cells = (found.mean(), floor.mean(), np.median(found), np.median(floor))
        print(f"| {name} | " + " | ".join(f"{one:.2f}" for one in cells), "|", ", ".join(dead), "|")


if __name__ == "__main__":
    main()
