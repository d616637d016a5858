"""Every learner keeps every promise; and each mechanism does what it is there for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from typing_extensions import override

import agent.catalogue  # noqa: F401 - fills the registry
from agent.learners.base import Classes, Said, Sequential, Spec, State
from agent.learners.checks import CHECKS, BrokenContractError, Check
from agent.learners.recency import Recency
from agent.learners.registry import LEARNERS, Make, every_learner, goal
from agent.nets import all_seen

SPECS = (Spec(5, 3), Spec(5, 0), Spec(5, 0, outputs=3))
CASES = [
    (name, spec)
    for name, entry in every_learner().items()
    for spec in SPECS
    if goal(spec) in entry.goals
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("name", "spec"),
    CASES,
    ids=[f"{name}-{goal(spec)}" for name, spec in CASES],
)
def test_learner_keeps_its_promises(name: str, spec: Spec, check: Check) -> None:
    check(LEARNERS[name], spec)


class Forgetful(Recency):
    """Breaks a promise on purpose: it changes its state in place."""

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        after = super().learn(state, x_TBF, y_TB, seen_TB)
        for name, leaf in after.items():
            state[name].copy_(leaf)
        return state


class Tally(Sequential):
    """The frequencies of the labels so far: the least that a learner of one's own can be."""

    voices = ("tally",)

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def begin(self, tasks: int) -> State:
        return {"count": torch.ones(tasks, self.spec.classes)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        share = (state["count"] / state["count"].sum(1, keepdim=True)).log()
        logp = share[:, None, None].expand(-1, x_TBF.shape[1], 1, -1)
        return Classes(torch.zeros_like(logp[..., 0]), logp)

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        hot = torch.nn.functional.one_hot(y_TB, state["count"].shape[1])
        return {"count": state["count"] + (hot * all_seen(y_TB, seen_TB).unsqueeze(2)).sum(1)}

    def widen(self, state: State, classes: int) -> State:
        return {"count": torch.nn.functional.pad(state["count"], (0, classes - 3), value=1e-6)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_learner_that_takes_examples_one_by_one_keeps_every_promise(check: Check) -> None:
    check(Tally, Spec(5, 3))


@pytest.mark.parametrize("name", ["is_pure", "a_state_is_a_photograph"])
def test_the_suite_catches_a_learner_that_writes_into_its_state(name: str) -> None:
    check: Callable[[Make, Spec], None] = next(c for c in CHECKS if c.__name__ == name)
    with pytest.raises(BrokenContractError):
        check(Forgetful, Spec(5, 3))


def test_recency_of_one_repeats_the_last_label() -> None:
    learner = Recency(Spec(2, 3), horizons=(1.0,))
    y = torch.tensor([[0, 2, 1, 1]])
    said, _ = learner.predict_then_learn(learner.begin(1), torch.zeros(1, 4, 2), y)
    assert isinstance(said, Classes)
    assert said.marginal().argmax(2)[0, 1:].tolist() == [0, 2, 1]
