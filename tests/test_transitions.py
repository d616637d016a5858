"""Transitions compare codes of contexts, and late rows move nobody else's answer."""

import torch
from torch import Tensor

from agent.learners.base import Classes, Spec, State
from agent.learners.transitions import Transitions, TransitionsOptions


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def said(learner: Transitions, state: State, x: Tensor, y: Tensor) -> Tensor:
    answer = learner.foresee(state, x, y)
    assert isinstance(answer, Classes)
    return answer.logp_TBVC


def test_a_late_row_in_the_block_leaves_those_before_it_as_they_are_to_the_bit() -> None:
    learner = Transitions(Spec(2, 3, dated=True))
    y = torch.randint(3, (1, 96), generator=drawn())
    state = learner.learn(learner.begin(1), torch.zeros(1, 64, 2), y[:, :64])
    x = torch.zeros(1, 32, 2)
    then = said(learner, state, x, y[:, 64:])
    x[0, 20:, 1] = 9
    now = said(learner, state, x, y[:, 64:])
    assert torch.equal(then[:, :20], now[:, :20])
    assert not torch.allclose(then[:, 20], now[:, 20], atol=1e-3)


def test_contexts_of_many_classes_and_of_four_labels_are_told_apart() -> None:
    y = torch.randint(3000, (1, 256), generator=drawn())
    y[0, 5::8] = 1  # 2: the label after 2999, 7; and, far off by any weak code, after 7, 2999
    y[0, 3::8], y[0, 4::8] = 2999, 7
    y[0, 0::8], y[0, 1::8], y[0, 2::8] = 7, 2999, 2
    learner = Transitions(Spec(1, 3000), TransitionsOptions(orders=(2, 4), slots=256))
    state, x = learner.begin(1), torch.zeros(1, 64, 1)
    for start in range(0, 192, 64):
        cut = y[:, start : start + 64]
        state = learner.learn(state, x, cut)
    last = learner.foresee(state, x, y[:, 192:])
    assert isinstance(last, Classes)
    for place, label in ((5, 1), (13, 1), (10, 2), (58, 2)):
        assert last.logp_TBVC[0, place, 0].argmax() == label
        assert float(last.logp_TBVC[0, place, 0, label].exp()) > 0.9
    assert float(last.logp_TBVC[0, 61, 1, 1].exp()) > 0.9


def test_voices_speak_the_same_of_each_task_alone() -> None:
    learner = Transitions(Spec(1, 3))
    x, y = torch.zeros(2, 48, 1), torch.randint(3, (2, 48), generator=drawn())
    seen = torch.rand(2, 48, generator=drawn(1)) < 0.7
    both = learner.predict_then_learn(learner.begin(2), x, y, seen)[0]
    assert isinstance(both, Classes)
    for task in range(2):
        one = slice(task, task + 1)
        alone = learner.predict_then_learn(learner.begin(1), x[one], y[one], seen[one])[0]
        assert isinstance(alone, Classes)
        assert torch.allclose(alone.logp_TBVC, both.logp_TBVC[one], atol=1e-6)
