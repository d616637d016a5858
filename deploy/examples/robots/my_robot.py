"""A robot of one's own in ten lines: an environment with vectors, and what is wanted of it.

cd deploy/examples/robots; adaptd robot run --env my_robot:MyPendulum-v0 --steps 3000
"""

import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from torch import Tensor

from agent.robot.own import objective

gymnasium.register("MyPendulum-v0", PendulumEnv)


@objective("MyPendulum-v0")
def upright(obs: Tensor, action: Tensor) -> Tensor:
    """Cosine of the angle, less what swings and what is spent."""
    return obs[..., 0] - 0.02 * obs[..., 2].square() - 0.001 * action.square().sum(-1)
