"""Ant's trot: what its policies begin with, and a controller that learns nothing."""

from agent.control.context_policy import Plain
from agent.control.controller import Controller
from agent.control.crawl import Crawler
from agent.robot import trot
from agent.robot.controllers import RobotSpec, controller
from agent.robot.runner import RUNNERS
from agent.robot.trained import part, shipped

part(trot.PART, seconds=40, of="Ant's trot")(trot.train_trot)


@controller("ant/trot", robots=(trot.ROBOT,))
def trot_alone(settings: object, robot: RobotSpec) -> Controller:
    """A trot by the clock, which steers; learns nothing."""
    del settings, robot
    return Plain(Crawler.alone(shipped(trot.PART)["trot_P"]), RUNNERS[trot.ROBOT].sight)
