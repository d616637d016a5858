"""HalfCheetah by trial: its gaits, getting up, and the controller that tries them."""

from dataclasses import dataclass, field
from typing import Final

import torch

from agent.control.context_policy import Policies
from agent.control.contexts import Contexts, assumptions
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
from agent.robot.train_gaits import GaitTraining, train_library
from agent.robot.train_getup import GetUpTraining, train_getup
from agent.robot.train_outlook import train_outlook
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
RISES: Final = GetUpTraining(cheetah.ROBOT, CHEETAH, (2, 3))
GAITS: Final = "half-cheetah-gaits"
OUTLOOK, GETUP = "half-cheetah-outlook", "half-cheetah-getup"
DEAD: Final = "half-cheetah-dead"
ALL: Final = "all"
LIBRARIES: Final = (ALL, "assumptions", "gaits")
MIXED: Final = 100  # gaits that go along with the assumptions


@part(GAITS, seconds=400, of="gaits of HalfCheetah, evolved over its training bodies")
def gaits(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on the intact body, then over bodies; keep those that cover the bodies best."""
    return train_library(GaitTraining(cheetah.ROBOT, CHEETAH), seconds, seed, say)


@part(GETUP, seconds=260, of="rhythms that bring HalfCheetah from its back to its feet")
def getup(seconds: float, seed: int, say: Say) -> Made:
    """Evolve on robots that were laid on their back, intact and with faults."""
    return train_getup(RISES, seconds, seed, say)


@part(OUTLOOK, seconds=120, of="what policies under assumed gains, and gaits, earn on bodies")
def outlook(seconds: float, seed: int, say: Say) -> Made:
    """Judge every assumption about the motors, and every gait, on training bodies."""
    del seconds  # all are judged on all, once
    rows = _rows(dead=there(DEAD))
    tensors, told = train_outlook(cheetah.ROBOT, rows.gait_GP, rows.moves, seed, say)
    return {**tensors, "specialists": torch.tensor(there(DEAD))}, told


def _rows(*, dead: bool) -> Library:
    """Give all assumptions and gaits, not judged."""
    assumed_GP = assumptions(CHEETAH.motors, robust=True)
    gait_GP = shipped(GAITS)["gait_GP"].float()
    nothing = (torch.zeros(len(rows), 1) for rows in (assumed_GP, gait_GP))
    first = Library(assumed_GP, next(nothing), Contexts(policies(dead=dead)))
    return together(first, Library(gait_GP, next(nothing), Rhythms(CHEETAH)))


def policies(*, dead: bool) -> Policies:
    """Give the shipped policies that act on gains, with the specialists for dead motors or not."""
    known = cheetah.specialists(shipped(DEAD)) if dead else {}
    robust = actor_of(shipped("half-cheetah-robust"))
    return Policies(actor_of(shipped("half-cheetah-told")), robust, known)


def library(name: str = ALL) -> Library:
    """Give a library of HalfCheetah.

    Args:
        name: "gaits", "assumptions" (the policies under assumed gains), or "all": every
            assumption, and the gaits that cover bodies best.

    Raises:
        ValueError: another name.
    """
    if name not in LIBRARIES:
        raise ValueError(f"there is no library {name!r}; give one of {', '.join(LIBRARIES)}")
    told = shipped(OUTLOOK)
    dead, mean_GB = bool(told["specialists"]), told["mean_GB"]
    assumed_GP = assumptions(CHEETAH.motors, robust=True)
    assumed = len(assumed_GP)
    if name == "assumptions":
        return Library(assumed_GP, mean_GB[:assumed], Contexts(policies(dead=dead)))
    if name == "gaits":
        gait_GP = shipped(GAITS)["gait_GP"].float()
        return Library(gait_GP, mean_GB[assumed:], Rhythms(CHEETAH))
    rows, most = _rows(dead=dead), assumed + MIXED
    return Library(rows.gait_GP[:most], mean_GB[:most], rows.moves)


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
        gaits: which library; see `library`.
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
