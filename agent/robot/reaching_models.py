"""The models of dynamics that robots which reach plan through: how each is made and meta-trained.

All read the same rows and are trained on the same windows; they differ in how a window of
transitions becomes a model of the body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor

from agent.continual.recent import Recent
from agent.continual.still import Still
from agent.control.dynamics import Dynamics, Scaling
from agent.control.mppi import Mppi, MppiSettings
from agent.control.planned import Planned
from agent.learners.alpaca import Alpaca, AlpacaOptions
from agent.learners.base import Learner, Numbers, Spec
from agent.learners.context_window import ContextWindow, ContextWindowOptions
from agent.learners.finetune import Finetune
from agent.learners.gradient import GradientOptions
from agent.learners.learned_rule import LearnedRule, LearnedRuleOptions
from agent.learners.meta import Meta
from agent.learners.metasgd import MetaSgd, MetaSgdOptions
from agent.nets import part, prefixed
from agent.nets.body import BodySettings
from agent.nets.surprise import Surprise, SurpriseSettings
from agent.robot.experience import Wander, gather
from agent.robot.meta_dynamics import MetaSettings, Windows, meta_train
from agent.robot.reaching import REACHING
from agent.robot.trained import Made, Say, shipped
from envs.body import Body
from envs.families import FAMILIES
from envs.fleet import Fleet

BODIES, INTACT = 400, 20  # bodies that a model is trained on; of them intact ones
UNCHANGED = 32  # validation bodies that say how large surprise is where nothing changes
DRIVEN, SETTLED = 180, 30  # steps of these, and from which on they count
NET = BodySettings(hidden=(96, 96), activation="tanh")


@dataclass(frozen=True, slots=True)
class Model:
    """A way to learn dynamics.

    Args:
        text: what it is, in a line.
        make: the learner that is meta-trained, from a spec.
        recent: examples from which it begins anew at every step; 0 where it goes on by itself.
        learns: whether it learns on a robot at all.
        pace: updates of meta-training in a CPU-second, about.
        meta: how it is trained, besides for how long.
    """

    text: str
    make: Callable[[Spec], Meta]
    recent: int = 0
    learns: bool = True
    pace: float = 80.0
    meta: MetaSettings = field(default_factory=MetaSettings)

    def running(self, learner: Meta) -> Learner:
        """The learner as it runs on a robot."""
        learner.eval().requires_grad_(requires_grad=False)
        if not self.learns:
            return Still(learner)
        return Recent(learner, self.recent) if self.recent else learner


MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {
        "context": Model(
            "the last transitions modulate a network (FiLM) and fit its last layer",
            lambda spec: ContextWindow(spec, ContextWindowOptions()),
            pace=60.0,
            meta=MetaSettings(window=24, rewired=0.0),
        ),
        "grbal": Model(
            "one gradient step from a meta-learned start on the last 16 transitions (GrBAL)",
            lambda spec: MetaSgd(spec, MetaSgdOptions(body=NET, rate=0.08, most=1.0)),
            recent=16,
            meta=MetaSettings(shortest=16, rewired=0.0),
        ),
        "bayes": Model(
            "a Bayesian last layer on features of all bodies, older transitions fading (ALPaCA)",
            lambda spec: Alpaca(spec, AlpacaOptions(NET, size=64, forgetting=0.95)),
            pace=32.94,
            meta=MetaSettings(window=24, rewired=0.0),
        ),
        "rule": Model(
            "a learned update rule on the last 16 transitions",
            lambda spec: LearnedRule(spec, LearnedRuleOptions(body=NET, rate=0.08)),
            recent=16,
            pace=50.91,
            meta=MetaSettings(shortest=16, rewired=0.0),
        ),
        "static": Model(
            "one network for all bodies, which learns nothing",
            lambda spec: Finetune(spec, GradientOptions(body=NET)),
            learns=False,
            pace=250.0,
            meta=MetaSettings(window=0, shortest=0, queries=32, rewired=0.0),
        ),
    }
)


def slug(robot: str, model: str) -> str:
    """Name the part: PlanarArm's context is planar-arm-context."""
    word = "".join(f"-{one.lower()}" if one.isupper() else one for one in robot).strip("-")
    return f"{word}-{model}"


def train(robot: str, model: str, seconds: float, seed: int, say: Say) -> Made:
    """Meta-train a model on a robot's family of training bodies."""
    made, reaching = MODELS[model], REACHING[robot]
    draw = np.random.default_rng(seed)
    bodies = [Body()] * INTACT
    bodies += [FAMILIES[robot].draw("train", draw) for _ in range(BODIES - INTACT)]
    experience = gather(robot, bodies, seed, Wander())
    before, after = (reaching.view.read(one) for one in (experience.obs_NTO, experience.next_NTO))
    dynamics = Dynamics(reaching.view, Scaling.of(before, after))
    say(f"{before.shape[0] * before.shape[1]} transitions of {BODIES} bodies")
    learner = made.make(reaching.view.spec)
    settings = replace(made.meta, updates=max(round((seconds - 5) * made.pace), 1))
    windows = Windows.of(experience, dynamics)
    meta_train(learner, windows, settings, torch.Generator().manual_seed(seed), say)
    running = made.running(learner)
    error = judged(robot, running, dynamics, seed)
    say(f"squared error on validation bodies, in units of a step's change: {error:.4f}")
    card = {
        "model": made.text,
        "robot": robot,
        "bodies": f"{BODIES} of the family's train split, {INTACT} of them intact",
        "transitions": before.shape[0] * before.shape[1],
        "updates": settings.updates,
        "judged": {"squared error on validation bodies": round(error, 4)},
    }
    tensors = prefixed("learner", learner.state_dict()) | dynamics.scaling.tensors()
    return {**tensors, "usual": usual(robot, running, dynamics, seed)}, card


def usual(robot: str, learner: Learner, dynamics: Dynamics, seed: int) -> Tensor:
    """Surprises of steps where no body changes, a sorted sample: validation bodies, as driven."""
    draw = np.random.default_rng([seed, 1])
    bodies = [FAMILIES[robot].draw("validation", draw) for _ in range(UNCHANGED)]
    few = Mppi(MppiSettings(candidates=16, anew=0.0, horizon=8, temperature=0.1))
    controller = Planned(
        learner, dynamics, REACHING[robot].objective, few, Surprise(SurpriseSettings())
    )
    fleet, chance = Fleet(robot, bodies, seed=seed), torch.Generator().manual_seed(seed)
    obs_NO, state, found = torch.from_numpy(fleet.reset()), controller.begin(UNCHANGED), []
    for _ in range(DRIVEN):
        state, action_NA = controller.act(state, obs_NO, chance)
        next_NO = torch.from_numpy(fleet.step(action_NA.numpy())[0])
        state, noticed = controller.learn(state, obs_NO, action_NA, next_NO)
        found.append(noticed.surprise_N)
        obs_NO = next_NO
    whole = torch.cat(found[SETTLED:]).sort().values
    place = torch.linspace(0, len(whole) - 1, 256).round().long()
    return whole[place].clone()


def judged(robot: str, learner: Learner, dynamics: Dynamics, seed: int) -> float:
    """Mean squared error on validation bodies that wander, each step foreseen from those before."""
    draw = np.random.default_rng([seed, 2])
    bodies = [FAMILIES[robot].draw("validation", draw) for _ in range(UNCHANGED)]
    windows = Windows.of(gather(robot, bodies, seed + 1, Wander(steps=120, restarts=1)), dynamics)
    state, errors = learner.begin(UNCHANGED), []
    with torch.no_grad():
        for step in range(windows.x_NTF.shape[1]):
            x, y = (one[:, step : step + 1] for one in (windows.x_NTF, windows.y_NTB))
            said, state = learner.predict_then_learn(state, x, y)
            assert isinstance(said, Numbers)  # noqa: S101 - the spec asks for numbers
            errors.append((y - said.moments()[0]).square().mean())
    return float(torch.stack(errors[SETTLED:]).mean())


def load(robot: str, model: str) -> tuple[Learner, Dynamics, Tensor]:
    """Give a trained model as it runs, the dynamics around it, and its usual surprises.

    Raises:
        UntrainedError: its weights are not there.
    """
    tensors, reaching = shipped(slug(robot, model)), REACHING[robot]
    learner = MODELS[model].make(reaching.view.spec)
    learner.load_state_dict(part("learner", tensors))
    dynamics = Dynamics(reaching.view, Scaling.read(tensors))
    return MODELS[model].running(learner), dynamics, tensors["usual"]
