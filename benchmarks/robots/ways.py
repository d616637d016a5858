"""The ways to drive HalfCheetah that the tables compare, by name.

Shapes: none of its own.
"""

from collections.abc import Callable, Mapping

from agent.control.context_policy import Plain
from agent.control.controller import Controller
from agent.robot import train_cheetah as cheetah
from agent.robot.controllers import RobotSpec, find
from agent.robot.make_cheetah import SelfOptions
from agent.robot.ppo import actor_of
from agent.robot.trained import shipped
from benchmarks.robots.rivals import GradientGains, OnlinePpo, Told
from envs.robots import ROBOTS

Make = Callable[[], Controller]
RATE = 1.0  # of the gradient step, chosen on inversions of the family's training split


def made(name: str, options: object = None) -> Controller:
    """Make a registered controller for HalfCheetah."""
    robot = ROBOTS[cheetah.ROBOT]
    spec = RobotSpec(robot.name, robot.observations, robot.actions, robot.dt)
    return find(name)(spec, options)


def told(
    *, specialists: bool, wrong: bool = False, frozen: bool = False, late: int = 0
) -> Controller:
    """Make one that is told the gains, truly or not, at once or so many steps late."""
    known = cheetah.specialists(shipped("half-cheetah-dead")) if specialists else {}
    policies = cheetah.policies(None, known)
    model = cheetah.selfmodel(shipped("half-cheetah-self"))
    return Told(policies, model, wrong=wrong, frozen=frozen, late=late)


def gradient(rate: float = RATE) -> Controller:
    """Make one that adapts its gains by a gradient step, as GrBAL does its weights."""
    policies = cheetah.policies(None, {})
    return GradientGains(policies, cheetah.selfmodel(shipped("half-cheetah-self")), rate)


def robust() -> Controller:
    """Make the robust policy, which is told nothing."""
    return Plain(actor_of(shipped("half-cheetah-robust")))


def ways(seed: int, *, specialists: bool) -> Mapping[str, Make]:
    """Give the ways by the names that tables use; those that learn by gradient come last."""
    options = SelfOptions(specialists=specialists)
    return {
        "self-model": lambda: made("half-cheetah/self", options),
        "told the truth": lambda: told(specialists=specialists),
        "robust policy, no context": robust,
        "wrong context": lambda: told(specialists=specialists, wrong=True),
        "same policy, taken for intact": lambda: told(specialists=False, frozen=True),
        "gradient step on gains (GrBAL's rule)": gradient,
        "robust policy, online fine-tuning": lambda: OnlinePpo(
            shipped("half-cheetah-robust"), seed=seed
        ),
        "from scratch, online": lambda: OnlinePpo(
            shipped("half-cheetah-robust"), fresh=True, seed=seed
        ),
    }


SLOW = ("robust policy, online fine-tuning", "from scratch, online")
"""Ways with a network for each robot: they are given fewer robots."""
