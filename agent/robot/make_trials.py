"""HalfCheetah by trial: its gaits, getting up, and the controller that tries them."""

from dataclasses import dataclass, field
from typing import Final

from agent.control.controller import Controller
from agent.control.gaits import Layout, Library, Rhythms
from agent.control.getup import GetUp
from agent.control.outlook import OutlookSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.robot.controllers import RobotSpec, controller
from agent.robot.train_gaits import GaitTraining, train_library
from agent.robot.train_getup import GetUpTraining, train_getup
from agent.robot.trained import Made, Say, part, shipped

CHEETAH: Final = Layout(
    angles=(2, 3, 4, 5, 6, 7),
    speeds=(11, 12, 13, 14, 15, 16),
    pitch=1,
    spin=10,
    forward=8,
    dt=0.05,
    effort=0.1,
)
GAITS, WAYS, GETUP = "half-cheetah-gaits", "half-cheetah-gaits-intact", "half-cheetah-getup"


@part(GAITS, seconds=600, of="gaits of HalfCheetah, evolved over its training bodies")
def gaits(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on the intact body, then over bodies; keep those that cover the bodies best."""
    return train_library(GaitTraining("HalfCheetah", CHEETAH), seconds, seed, say, over=True)


@part(WAYS, seconds=400, of="gaits of HalfCheetah, evolved on the intact body alone")
def ways(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on the intact body over which motors are used."""
    return train_library(GaitTraining("HalfCheetah", CHEETAH), seconds, seed, say, over=False)


@part(GETUP, seconds=240, of="rhythms that bring HalfCheetah from its back to its feet")
def getup(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on robots that were laid on their back, intact and with faults."""
    return train_getup(GetUpTraining("HalfCheetah", CHEETAH, (2, 3)), seconds, seed, say)


def library(name: str = GAITS) -> Library:
    """Give a shipped library."""
    return Library.of(shipped(name), Rhythms(CHEETAH))


def rising() -> GetUp:
    """Give what gets HalfCheetah up."""
    return GetUp.of(shipped(GETUP), CHEETAH)


@dataclass(frozen=True, slots=True)
class CheetahTrials:
    """Trials of HalfCheetah.

    Args:
        gaits: which library, a trained part.
        trials: how trials go.
        outlook: the scales of forecasts.
    """

    gaits: str = GAITS
    trials: TrialSettings = field(default_factory=TrialSettings)
    outlook: OutlookSettings = field(default_factory=OutlookSettings)


@controller("half-cheetah/trials", options=CheetahTrials, robots=("HalfCheetah",))
def trials(settings: CheetahTrials, robot: RobotSpec) -> Controller:
    """Gaits of a library, tried one after another where the one in use fails; gets up by itself."""
    del robot
    return TrialController(
        library(settings.gaits), CHEETAH, settings.trials, settings.outlook, rising()
    )
