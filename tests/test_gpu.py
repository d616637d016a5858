"""On a GPU, where there is one: the same promises, and the daemon's learner on it."""

import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.prequential import Prequential
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Goal, Schema

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
