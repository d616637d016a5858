"""The robots that run, and what differs in how each is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from torch import Tensor

from agent.control.crawl import TrunkSight, across
from agent.control.forward import FitSettings
from agent.control.policy import Actor
from agent.control.sight import Bare, Sight
from agent.robot.ars import ArsSettings
from agent.robot.babble import BabbleSettings
from agent.robot.ppo import PpoSettings
from agent.robot.ppo_drill import DrillSettings
from agent.robot.trot import crawler
from envs.robots import ROBOTS

FITTED: Final = 280  # steps of a model's fit that a second of one core is taken for
Begin: TypeAlias = Callable[[int, Sequence[int]], Actor]


def _same(of_A: Tensor) -> Tensor:
    return of_A


@dataclass(frozen=True, slots=True)
class Runner:
    """A robot that runs, and how what drives it is trained.

    Args:
        robot: its name.
        part: what the names of its trained parts begin with.
        angles: columns of an observation that are angles which may turn round.
        simulated: steps of a policy's training that a second of one core is taken for.
        drill: what happens while policies are trained by `ppo`.
        ppo: how they are; None: they are searched for, by `ars`.
        ars: how they are searched for.
        babble: how the robot gets to know its intact body.
        intact: share of the bodies of training that is intact.
        pool: bodies of training.
        fitted: steps of the model's fit that a second of one core is taken for.
        sight: what of an observation is made use of.
        actor: builds the actor that training by `ppo` begins with, from its context and widths;
            None: a plain one.
        across: gives for each motor what the one on the robot's other side has, where policies
            are symmetric: they know on one side what they have met on the other.
    """

    robot: str
    part: str
    angles: tuple[int, ...] = ()
    simulated: int = 13_000
    drill: DrillSettings = field(default_factory=DrillSettings)
    ppo: PpoSettings | None = field(default_factory=PpoSettings)
    ars: ArsSettings = field(default_factory=ArsSettings)
    babble: BabbleSettings = field(default_factory=BabbleSettings)
    intact: float = 0.3
    pool: int = 128
    fitted: int = FITTED
    sight: Sight = field(default_factory=Bare)
    actor: Begin | None = None
    across: Callable[[Tensor], Tensor] = _same

    def __post_init__(self) -> None:
        if self.robot not in ROBOTS:
            raise ValueError(f"robot is {self.robot!r}; give one of {', '.join(ROBOTS)}")
        if not 0 <= self.intact <= 1:
            raise ValueError(f"intact is {self.intact}; give a share, 0 to 1")

    @property
    def tells(self) -> tuple[int, ...]:
        """Columns of what is felt that tell of motors: velocities."""
        return self.sight.tells(ROBOTS[self.robot].labels)

    def updates(self, seconds: float, drill: DrillSettings | None = None) -> int:
        """Give the updates of a policy, or rounds of search, that take so many seconds, about."""
        return max(1, round(seconds * self.simulated / self.steps(drill)))

    def steps(self, drill: DrillSettings | None = None) -> int:
        """Give the steps of simulation of one of them."""
        if self.ppo is None:
            return self.ars.steps
        return (drill or self.drill).robots * self.ppo.horizon

    def fit(self, seconds: float) -> FitSettings:
        """Give the fit of a model that takes so many seconds, about."""
        return FitSettings(steps=max(100, round(seconds * self.fitted)))


_FALLS = DrillSettings(episode=1000, change=1 / 400, late=(4, 16), moment=1 / 400, moments=(2, 12))

CHEETAH: Final = Runner("HalfCheetah", "half-cheetah", angles=(1,))  # the trunk's pitch

RUNNERS: Final[Mapping[str, Runner]] = MappingProxyType(
    {
        one.robot: one
        for one in (
            Runner(
                "Ant",
                "ant",
                simulated=5_800,
                drill=_FALLS,
                ppo=PpoSettings(horizon=32, epochs=4, batch=1024, rate=1.5e-3, discount=0.98,
                                spread=-2.1, hidden=(64, 64)),
                sight=TrunkSight(),
                actor=crawler,
                across=across,
            ),
            Runner(
                "Hopper",
                "hopper",
                simulated=11_000,
                drill=_FALLS,
                babble=BabbleSettings(robots=48, steps=4800, episode=1600),
                ppo=PpoSettings(horizon=32, epochs=4, batch=1024, rate=7e-4, discount=0.995,
                                spread=-0.5, hidden=(64, 64)),
            ),
            Runner(
                "Swimmer",
                "swimmer",
                angles=(0,),
                simulated=21_000,
                ppo=None,
                ars=ArsSettings(),
                intact=0.5,
            ),
            Runner(
                "Walker2d",
                "walker2d",
                simulated=9_000,
                drill=_FALLS,
                ppo=PpoSettings(horizon=32, epochs=4, batch=1024, rate=7e-4, discount=0.995,
                                spread=-0.5, hidden=(64, 64)),
            ),
        )
    }
)  # fmt: skip
"""Those whose policies act through the model of their own motors, the cheetah aside."""
