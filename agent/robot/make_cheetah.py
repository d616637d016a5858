"""What drives HalfCheetah: policies that act through a model of the robot's own motors."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from agent.control.context_policy import Plain, ThroughSelf
from agent.control.controller import Controller
from agent.control.guard import GuardSettings
from agent.control.selfmodel import SelfSettings
from agent.robot import train_cheetah as cheetah
from agent.robot import train_runner
from agent.robot.controllers import RobotSpec, controller
from agent.robot.make_trials import RISES, rising
from agent.robot.ppo import actor_of
from agent.robot.runner import CHEETAH
from agent.robot.train_rise import risen, train_rise
from agent.robot.trained import part, shipped
from envs.robots import ROBOTS

RISE: Final = "half-cheetah-rise"

part(
    "half-cheetah-told",
    seconds=150,
    of="HalfCheetah's policy that is told the sizes of its motors' gains",
)(partial(train_runner.train_told, CHEETAH))
part(
    "half-cheetah-robust",
    seconds=130,
    of="HalfCheetah's policy that is told nothing of its body",
)(partial(train_runner.train_robust, CHEETAH))
part(
    "half-cheetah-self",
    seconds=40,
    of="HalfCheetah's model of its intact body, through which gains are estimated",
)(partial(train_runner.train_self, CHEETAH))
part(
    "half-cheetah-dead",
    seconds=280,
    of="HalfCheetah's specialists for dead motors",
)(cheetah.train_dead)
part(
    RISE,
    seconds=160,
    of="HalfCheetah's policy that gets up from its back, told the sizes of its motors' gains",
)(partial(train_rise, RISES))


@dataclass(frozen=True, slots=True)
class SelfOptions:
    """What can be set.

    Args:
        specialists: whether those for dead motors act where one is known to be dead.
        guarded: whether the robust policy takes over where the self-model is not to be trusted.
        rises: whether robots that have fallen are made to get up.
        model: how the body is followed.
        guard: when the robust policy takes over.
    """

    specialists: bool = True
    guarded: bool = True
    rises: bool = True
    model: SelfSettings = field(default_factory=SelfSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)


@controller("half-cheetah/self", options=SelfOptions, robots=(cheetah.ROBOT,), default=True)
def through_self(settings: SelfOptions, robot: RobotSpec) -> Controller:
    """Policies that act through a model of the robot's own motors; specialists for dead ones."""
    del robot
    known = cheetah.specialists(shipped("half-cheetah-dead")) if settings.specialists else {}
    robust = actor_of(shipped("half-cheetah-robust")) if settings.guarded else None
    rise = risen(shipped(RISE), RISES.layout, rising()) if settings.rises else None
    policies = replace(cheetah.policies(robust, known), rise=rise)
    model = cheetah.selfmodel(shipped("half-cheetah-self"), settings.model)
    return ThroughSelf(policies, model, settings.guard, ROBOTS[cheetah.ROBOT].actuators)


@controller("half-cheetah/robust", robots=(cheetah.ROBOT,))
def robust_alone(settings: object, robot: RobotSpec) -> Controller:
    """A policy that is told nothing, trained on many bodies; learns nothing."""
    del settings, robot
    return Plain(actor_of(shipped("half-cheetah-robust")))
