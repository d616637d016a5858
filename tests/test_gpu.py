"""On a GPU, where there is one: the same promises, and the daemon's learner on it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.learners.base import Classes, Learner, Numbers, Said, Spec, State
from agent.learners.checks import CHECKS, Check
from agent.learners.registry import LEARNERS, every_learner, goal
from agent.service.prequential import Prequential
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Goal, Schema

CASES = [
    (name, spec)
    for name, entry in every_learner().items()
    for spec in (Spec(5, 3), Spec(5, 0), Spec(5, 0, outputs=3))
    if goal(spec) in entry.goals and entry.family != "stream"
]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_the_learner_runs_on_the_gpu_and_answers_as_on_the_cpu(goal: Goal) -> None:
    draw = np.random.default_rng(0)
    events = [
        Event(
            str(i), "", float(i), (float(a), float(b)), float(a) if goal == "number" else str(a > 0)
        )
        for i, (a, b) in enumerate(draw.normal(size=(600, 2)))
    ]
    losses = []
    for device in ("cuda", "cpu"):
        learner = Prequential.build(
            Schema({"a": "numeric", "b": "numeric"}, goal),
            AgentSettings(device=device),
            EncoderSettings(),
            PendingSettings(),
        )
        losses.append(float(learner.feed(events).scores.loss[300:].mean()))
    assert losses[0] == pytest.approx(losses[1], rel=0.1, abs=0.05)


class Far:
    """A learner that stands on the GPU, spoken to from the CPU."""

    def __init__(self, learner: Learner) -> None:
        self._learner, self.spec = learner, learner.spec
        if isinstance(learner, torch.nn.Module):
            learner.cuda()

    @property
    def voices(self) -> tuple[str, ...]:
        return self._learner.voices

    def begin(self, tasks: int) -> State:
        return {name: leaf.cuda() for name, leaf in self._learner.begin(tasks).items()}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        return near(self._learner.predict(state, x_TBF.cuda()))

    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        return near(self._learner.foresee(state, *far(x_TBF, y_TB, seen_TB)))

    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        return self._learner.learn(state, *far(x_TBF, y_TB, seen_TB))

    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        said, after = self._learner.predict_then_learn(state, *far(x_TBF, y_TB, seen_TB))
        return near(said), after

    def widen(self, state: State, classes: int) -> State:
        return self._learner.widen(state, classes)


def far(x: Tensor, y: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    return x.cuda(), y.cuda(), None if seen is None else seen.cuda()


def near(said: Said) -> Said:
    if isinstance(said, Classes):
        return Classes(said.voice_TBV.cpu(), said.logp_TBVC.cpu())
    return Numbers(said.voice_TBV.cpu(), said.mean_TBV.cpu(), said.scale_TBV.cpu())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("name", "spec"), CASES, ids=[f"{name}-{goal(spec)}" for name, spec in CASES]
)
def test_learner_keeps_its_promises_on_the_gpu(name: str, spec: Spec, check: Check) -> None:
    check(lambda asked: Far(LEARNERS[name](asked)), spec)
