"""How people bring a robot of their own: what is wanted of it, and it learns the rest as it goes.

@objective("MyRobot-v0")
def upright(obs: Tensor, action: Tensor) -> Tensor:
    "Hold the pole up."
    return obs[..., 0] - 0.001 * action.square().sum(-1)
"""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from agent.control.controller import Controller
from agent.robot.controllers import RobotSpec, controller
from agent.robot.scratch import Scratch, ScratchSettings

Wanted: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""What a step is worth: observations foreseen after it (..., O), actions in [-1, 1] (..., A) to
(...)."""


def objective(env: str) -> Callable[[Wanted], Wanted]:
    """Say what is wanted of an environment's robot; it is then driven by `learn/ENV`.

    Args:
        env: its id, without the module.

    Raises:
        ValueError: it was said already.
    """

    def enter(wanted: Wanted) -> Wanted:
        def build(settings: ScratchSettings, robot: RobotSpec) -> Controller:
            def worth(obs_NCO: Tensor, action_NCA: Tensor, left: int) -> Tensor:
                del left
                return wanted(obs_NCO, action_NCA)

            return Scratch(settings, robot.observations, robot.actions, worth)

        build.__doc__ = "Learns the robot from nothing and plans through that; remembers bodies."
        controller(f"learn/{env}", options=ScratchSettings, robots=(env,), default=True)(build)
        return wanted

    return enter
