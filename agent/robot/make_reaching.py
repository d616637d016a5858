"""What drives robots that reach for goals: plans through learned dynamics."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from agent.continual.belief import MixtureSettings
from agent.continual.guarded import Guarded, GuardedSettings
from agent.control.cem import Cem, CemSettings
from agent.control.controller import Controller
from agent.control.mppi import Mppi, MppiSettings
from agent.control.planned import Planned
from agent.control.planner import Planner
from agent.nets.surprise import Surprise, SurpriseSettings
from agent.robot.controllers import RobotSpec, controller
from agent.robot.reaching import REACHING
from agent.robot.reaching_models import MODELS, load, slug, train
from agent.robot.trained import part

SECONDS: Final = {"context": 60.0, "grbal": 60.0, "bayes": 90.0, "rule": 60.0, "static": 30.0}
BODIES: Final = MixtureSettings(fresh=0.1, sure=0.99, young=48.0, by_inputs=False)
"""An alarm says already that something changed: little more is asked. Bodies that return have to be
likelier than new ones, which fit the last steps alone."""
TRAINED: Final = {"PlanarArm": tuple(SECONDS), "Reacher": ("context",)}

for _robot, _models in TRAINED.items():
    for _model in _models:
        _of = f"{_robot}'s dynamics: {MODELS[_model].text}"
        part(slug(_robot, _model), seconds=SECONDS[_model], of=_of)(partial(train, _robot, _model))


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What can be set.

    Args:
        planner: "mppi" or "cem".
        mppi: how MPPI seeks plans.
        cem: how CEM does.
        bodies: how many bodies are remembered; 0 remembers none: the context follows the body by
            itself, and changes are told by surprise alone.
        spans: steps from the beginning of a new hypothesis to the next, on each rung.
        alarm: when surprise is a change; sets the rate of false alarms. Where bodies are
            remembered a change must be sure, too, so that far fewer are told of than alarms sound.
    """

    planner: Literal["mppi", "cem"] = "mppi"
    mppi: MppiSettings = field(default_factory=MppiSettings)
    cem: CemSettings = field(default_factory=CemSettings)
    bodies: int = 5
    spans: tuple[float, ...] = (8.0, 24.0)
    alarm: SurpriseSettings = field(default_factory=lambda: SurpriseSettings(1e-3))

    def __post_init__(self) -> None:
        if self.bodies < 0:
            raise ValueError(f"bodies is {self.bodies}; give 0 or more")


def planned(model: str, settings: PlanOptions, robot: str) -> Planned:
    """Plan through a model, as it was trained for a robot."""
    learner, dynamics, usual_R = load(robot, model)
    if settings.bodies:
        mixture = replace(BODIES, tasks=settings.bodies, spans=settings.spans)
        learner = Guarded(learner, GuardedSettings(mixture, settings.alarm), usual_R)
    planner: Planner = Cem(settings.cem) if settings.planner == "cem" else Mppi(settings.mppi)
    surprise = Surprise(settings.alarm, usual_R)
    return Planned(learner, dynamics, REACHING[robot].objective, planner, surprise)


@controller("plan/context", options=PlanOptions, robots=tuple(TRAINED), default=True)
def context(settings: PlanOptions, robot: RobotSpec) -> Controller:
    """Plans through a context of the last transitions; remembers bodies."""
    return planned("context", settings, robot.name)


@controller("plan/grbal", options=lambda: PlanOptions(bodies=0), robots=("PlanarArm",))
def grbal(settings: PlanOptions, robot: RobotSpec) -> Controller:
    """Plans through one gradient step on the last transitions (GrBAL)."""
    return planned("grbal", settings, robot.name)


@controller("plan/bayes", options=PlanOptions, robots=("PlanarArm",))
def bayes(settings: PlanOptions, robot: RobotSpec) -> Controller:
    """Plans through a Bayesian last layer whose past fades; remembers bodies."""
    return planned("bayes", settings, robot.name)


@controller("plan/rule", options=lambda: PlanOptions(bodies=0), robots=("PlanarArm",))
def rule(settings: PlanOptions, robot: RobotSpec) -> Controller:
    """Plans through a learned update rule on the last transitions."""
    return planned("rule", settings, robot.name)


@controller("plan/static", options=lambda: PlanOptions(bodies=0), robots=("PlanarArm",))
def static(settings: PlanOptions, robot: RobotSpec) -> Controller:
    """Plans through one network for all bodies, which learns nothing."""
    return planned("static", settings, robot.name)
