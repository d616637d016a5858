"""Ways to drive the planar arm through changes: all plan alike, each through a model of its own.

Shapes: N robots, M transitions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from typing_extensions import override

from agent.continual.recent import Recent
from agent.continual.still import Still
from agent.control.dynamics import Dynamics
from agent.control.mppi import Mppi
from agent.control.planned import Planned
from agent.learners.base import Learner, Said, State
from agent.learners.context_window import ContextWindow
from agent.learners.gradient import Descent
from agent.learners.scratch import Scratch, ScratchOptions
from agent.nets import part, prefixed
from agent.nets.surprise import Surprise, SurpriseSettings
from agent.robot.experience import Wander, gather
from agent.robot.make_reaching import PlanOptions, planned
from agent.robot.reaching import REACHING
from agent.robot.reaching_models import NET, load, slug
from agent.robot.trained import shipped
from envs.body import Body

ROBOT = "PlanarArm"
BUFFER, STEPS = 32, 3  # transitions that fine-tuning goes over at every step, and how often
SHORT = 16  # transitions of a context that is not segmented


class OnlineAdam(Scratch):
    """A network that Adam goes on training, its targets in the units that they come in."""

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        return Descent.learn(self, state, x_TBF, y_TB, seen_TB)

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        return Descent.predict(self, state, x_TBF)


@dataclass(frozen=True, slots=True)
class Way:
    """A row of the table.

    Args:
        controller: what drives.
        inform: given the controller's state and the new bodies, gives the state that knows them;
            None for those that nobody tells anything.
    """

    controller: Planned
    inform: Callable[[State, Sequence[Body]], State] | None = None


def through(learner: Learner, dynamics: Dynamics) -> Planned:
    """Plan through a learner as all others do."""
    surprise = Surprise(SurpriseSettings())
    return Planned(learner, dynamics, REACHING[ROBOT].objective, Mppi(PlanOptions().mppi), surprise)


def online(*, start: bool) -> Planned:
    """Fine-tuning by Adam on what came last, from the network for all bodies or from chance."""
    _, dynamics, _ = load(ROBOT, "static")
    options = ScratchOptions(body=NET, rate=1e-3 if start else 2e-3, steps=STEPS)
    learner = OnlineAdam(dynamics.view.spec, options)
    if start:
        learner.load_state_dict(part("learner", shipped(slug(ROBOT, "static"))))
    learner.eval().requires_grad_(requires_grad=False)
    return through(Recent(learner, BUFFER if start else 4 * BUFFER, anew=False), dynamics)


def short() -> Planned:
    """The context of the last transitions alone, whatever they are: no bodies, no memory."""
    learner, dynamics, _ = load(ROBOT, "context")
    assert isinstance(learner, ContextWindow)  # noqa: S101 - so it was made
    options = replace(learner.options, memory=SHORT, recent=SHORT, telling=0.0)
    brief = ContextWindow(learner.spec, options)
    brief.load_state_dict(learner.state_dict())
    return through(brief.eval().requires_grad_(requires_grad=False), dynamics)


def windows(bodies: Sequence[Body], learner: Learner, dynamics: Dynamics, seed: int) -> State:
    """What a context is after random transitions of these very bodies, which come for free."""
    experience = gather(ROBOT, bodies, seed, Wander(steps=50, restarts=1))
    x = dynamics.rows(experience.obs_NTO, experience.action_NTA)[:, 2:26]
    y = dynamics.targets(experience.obs_NTO, experience.next_NTO)[:, 2:26]
    return learner.learn(learner.begin(len(bodies)), x, y)


def told(seed: int, wrong: Body | None = None) -> Way:
    """The context of the true body at once, and learning on; or for ever that of a wrong one."""
    learner, dynamics, _ = load(ROBOT, "context")
    controller = through(Still(learner) if wrong else learner, dynamics)

    def inform(state: State, bodies: Sequence[Body]) -> State:
        known = [wrong or body for body in bodies]
        return {**state, **prefixed("learner", windows(known, learner, dynamics, seed))}

    return Way(controller, inform)


def ways(seed: int) -> Mapping[str, Callable[[], Way]]:
    """Every row by name."""
    alone = PlanOptions(bodies=0)
    return {
        "context, bodies remembered": lambda: Way(planned("context", PlanOptions(), ROBOT)),
        "context alone, last 16": lambda: Way(short()),
        "told the true body": lambda: told(seed),
        "online Adam": lambda: Way(online(start=True)),
        "GrBAL": lambda: Way(planned("grbal", alone, ROBOT)),
        "static": lambda: Way(planned("static", alone, ROBOT)),
        "wrong context": lambda: told(seed, Body.parse("invert:shoulder")),
        "from scratch": lambda: Way(online(start=False)),
        "Bayesian last layer": lambda: Way(planned("bayes", PlanOptions(), ROBOT)),
        "learned update rule": lambda: Way(planned("rule", alone, ROBOT)),
    }
