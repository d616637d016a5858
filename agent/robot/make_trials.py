"""HalfCheetah by trial: its gaits, getting up, and the controller that tries them."""

from dataclasses import dataclass, field
from typing import Final

from agent.control.context_policy import Policies
from agent.control.contexts import Contexts
from agent.control.controller import Controller
from agent.control.gaits import Layout, Library, Rhythms, together
from agent.control.getup import GetUp
from agent.control.outlook import OutlookSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.robot import train_cheetah as cheetah
from agent.robot.controllers import RobotSpec, controller
from agent.robot.imagine import Imagination, ImagineSettings
from agent.robot.ppo import actor_of
from agent.robot.train_contexts import train_contexts
from agent.robot.train_gaits import GaitTraining, train_library
from agent.robot.train_getup import GetUpTraining, train_getup
from agent.robot.trained import Made, Say, part, shipped, there

CHEETAH: Final = Layout(
    angles=(2, 3, 4, 5, 6, 7),
    speeds=(11, 12, 13, 14, 15, 16),
    pitch=1,
    spin=10,
    forward=8,
    dt=0.05,
    effort=0.1,
)
GAITS, WAYS = "half-cheetah-gaits", "half-cheetah-gaits-intact"
CONTEXTS, GETUP, ALL = "half-cheetah-contexts", "half-cheetah-getup", "all"
MIXED: Final = 100  # gaits that go along with the assumptions


@part(GAITS, seconds=400, of="gaits of HalfCheetah, evolved over its training bodies")
def gaits(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on the intact body, then over bodies; keep those that cover the bodies best."""
    return train_library(GaitTraining(cheetah.ROBOT, CHEETAH), seconds, seed, say, over=True)


@part(WAYS, seconds=175, of="gaits of HalfCheetah, evolved on the intact body alone")
def ways(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on the intact body over which motors are used."""
    return train_library(GaitTraining(cheetah.ROBOT, CHEETAH), seconds, seed, say, over=False)


@part(GETUP, seconds=260, of="rhythms that bring HalfCheetah from its back to its feet")
def getup(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on robots that were laid on their back, intact and with faults."""
    return train_getup(GetUpTraining(cheetah.ROBOT, CHEETAH, (2, 3)), seconds, seed, say)


@part(CONTEXTS, seconds=120, of="what HalfCheetah's policies earn under assumed gains")
def contexts(seconds: float, seed: int, say: Say) -> Made:
    """Judge every assumption about the motors on training bodies."""
    del seconds  # all are judged on all, once
    some = policies(dead=there("half-cheetah-dead"))
    return train_contexts(cheetah.ROBOT, some, 64, seed, say)


def policies(*, dead: bool) -> Policies:
    """Give the shipped policies that act on gains, with the specialists for dead motors or not."""
    known = cheetah.specialists(shipped("half-cheetah-dead")) if dead else {}
    robust = actor_of(shipped("half-cheetah-robust"))
    return Policies(actor_of(shipped("half-cheetah-told")), robust, known)


def library(name: str = ALL) -> Library:
    """Give a shipped library; "all": every assumption, and the gaits that cover bodies best."""
    if name == ALL:
        return together(library(CONTEXTS), library(GAITS).first(MIXED))
    tensors = shipped(name)
    if name == CONTEXTS:
        return Library.of(tensors, Contexts(policies(dead=bool(tensors["specialists"]))))
    return Library.of(tensors, Rhythms(CHEETAH))


def rising() -> GetUp:
    """Give what gets HalfCheetah up."""
    return GetUp.of(shipped(GETUP), CHEETAH)


def imagination(some: Library, settings: ImagineSettings | None = None) -> Imagination:
    """Give what simulates a library on the body that the self-model sees."""
    model = cheetah.selfmodel(shipped("half-cheetah-self"))
    return Imagination(cheetah.ROBOT, some, model, settings)


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What can be set.

    Args:
        gaits: which library, a trained part, or "all".
        foresight: whether gaits are simulated on the body that the self-model sees.
        trials: how trials go.
        outlook: the scales of forecasts.
        imagine: how much is simulated.
    """

    gaits: str = ALL
    foresight: bool = True
    trials: TrialSettings = field(default_factory=TrialSettings)
    outlook: OutlookSettings = field(default_factory=OutlookSettings)
    imagine: ImagineSettings = field(default_factory=ImagineSettings)


@controller("half-cheetah/trials", options=TrialOptions, robots=(cheetah.ROBOT,))
def trials(settings: TrialOptions, robot: RobotSpec) -> Controller:
    """Gaits of a library, tried one after another where the one in use fails; gets up by itself."""
    del robot
    some = library(settings.gaits)
    sees = imagination(some, settings.imagine) if settings.foresight else None
    return TrialController(some, CHEETAH, settings.trials, settings.outlook, rising(), sees)
