"""What drives Ant, Hopper, Swimmer, Walker2d: policies acting through a model of their motors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agent.control.context_policy import Plain, ThroughSelf
from agent.control.controller import Controller
from agent.control.guard import GuardSettings
from agent.control.selfmodel import SelfSettings
from agent.robot import train_runner as made
from agent.robot.controllers import RobotSpec, controller
from agent.robot.ppo import actor_of
from agent.robot.runner import RUNNERS, Runner
from agent.robot.trained import part, shipped
from envs.robots import ROBOTS

SECONDS: Final[Mapping[str, tuple[float, float, float]]] = {
    "Ant": (400, 300, 60),
    "Hopper": (130, 110, 40),
    "Swimmer": (45, 45, 25),
    "Walker2d": (180, 140, 40),
}  # of the policy that is told, the robust one, the model


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What can be set.

    Args:
        guarded: whether the robust policy takes over where the self-model is not to be trusted.
        model: how the body is followed.
        guard: when the robust policy takes over.
    """

    guarded: bool = False
    model: SelfSettings = field(default_factory=SelfSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)


def enter(runner: Runner) -> None:
    """Enter the parts and controllers of a robot."""
    told, robust, own = SECONDS[runner.robot]
    name, mark = runner.robot, runner.part
    part(f"{mark}-told", seconds=told, of=f"{name}'s policy that is told its motors' gains")(
        partial(made.train_told, runner)
    )
    part(f"{mark}-robust", seconds=robust, of=f"{name}'s policy that is told nothing of its body")(
        partial(made.train_robust, runner)
    )
    part(f"{mark}-self", seconds=own, of=f"{name}'s model of its intact body")(
        partial(made.train_self, runner)
    )

    @controller(f"{mark}/self", options=RunnerOptions, robots=(name,), default=True)
    def through_self(settings: RunnerOptions, robot: RobotSpec) -> Controller:
        """A policy that acts through a model of the robot's own motors."""
        actor = actor_of(shipped(f"{mark}-robust")) if settings.guarded else None
        model = made.selfmodel(runner, shipped(f"{mark}-self"), settings.model)
        joined = made.policies(runner, actor)
        return ThroughSelf(joined, model, settings.guard, ROBOTS[robot.name].actuators)

    @controller(f"{mark}/robust", robots=(name,))
    def robust_alone(settings: object, robot: RobotSpec) -> Controller:
        """A policy that is told nothing, trained on many bodies; learns nothing."""
        del settings, robot
        return Plain(actor_of(shipped(f"{mark}-robust")), runner.sight)


for _runner in RUNNERS.values():
    enter(_runner)
