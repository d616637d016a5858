"""The baselines do what they say."""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said, Spec
from agent.learners.majority import Majority
from agent.learners.nearest import Nearest, NearestOptions
from agent.learners.scratch import Scratch, ScratchOptions
from tests.draws import drawn


def moments(said: Said) -> tuple[Tensor, Tensor]:
    assert isinstance(said, Numbers)
    return said.moments()


def test_nearest_is_brute_force_over_the_last_rows_wherever_the_run_is_cut() -> None:
    room, near = 12, 3
    learner = Nearest(Spec(3, 0), NearestOptions(neighbours=near, room=room))
    x, y = drawn(1, 40, 3), drawn(1, 40, seed=1)
    state, found = learner.begin(1), []
    for block in torch.arange(40).split(7):
        said, state = learner.predict_then_learn(state, x[:, block], y[:, block])
        found.append(moments(said)[0])
    for row in range(near, 40):
        past = slice(max(0, row - room), row)
        square = ((x[0, row] - x[0, past]) ** 2).sum(1)
        best = square.argsort()[:near]
        weight = 1 / (square[best] + 1e-3 * square[best].mean())
        mean = (weight * y[0, past][best]).sum() / weight.sum()
        assert float(torch.cat(found, 1)[0, row]) == pytest.approx(float(mean), abs=1e-4)


def test_the_nearest_neighbours_vote() -> None:
    learner = Nearest(Spec(1, 3), NearestOptions(neighbours=3))
    x, y = torch.tensor([[[0.0], [1.0], [1.1], [1.2]]]), torch.tensor([[0, 1, 2, 2]])
    state = learner.learn(learner.begin(1), x, y)
    said = learner.predict(state, torch.tensor([[[0.0], [1.15]]]))
    assert isinstance(said, Classes)
    assert said.marginal().argmax(2).tolist() == [[0, 2]]


def test_majority_counts_labels_and_measures_numbers() -> None:
    seen = torch.tensor([[True, True, False, True]])
    votes = Majority(Spec(1, 3))
    state = votes.learn(votes.begin(1), drawn(1, 4, 1), torch.tensor([[2, 2, 0, 1]]), seen)
    said = votes.predict(state, drawn(1, 1, 1))
    assert isinstance(said, Classes)
    assert said.marginal().exp()[0, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-3)
    level = Majority(Spec(1, 0))
    y = 1000 + drawn(1, 30)
    said, state = level.predict_then_learn(level.begin(1), drawn(1, 30, 1), y)
    mean, deviation = moments(said)
    assert float(mean[0, 20]) == pytest.approx(float(y[0, :20].mean()), abs=1e-3)
    assert float(deviation[0, 20]) == pytest.approx(float(y[0, :20].std()), rel=1e-3)
    mean, deviation = moments(level.predict(state, drawn(1, 1, 1)))
    assert float(mean) == pytest.approx(float(y.mean()), abs=1e-3)


def test_scratch_takes_adams_steps() -> None:
    learner = Scratch(Spec(3, 2), ScratchOptions(rate=0.01, clip=1e9)).double()
    x, y = drawn(1, 6, 3).double(), torch.tensor([[0, 1, 0, 1, 1, 0]])
    state = learner.begin(1)
    for _ in range(3):
        state = learner.learn(state, x, y)
    weights = [
        leaf.detach().clone().requires_grad_()
        for name, leaf in learner.begin(1).items()
        if name.startswith("fast.")
    ]
    names = [name for name in learner.begin(1) if name.startswith("fast.")]
    adam = torch.optim.Adam(weights, 0.01)
    for _ in range(3):
        adam.zero_grad()
        fast = {name[5:]: leaf for name, leaf in zip(names, weights, strict=True)}
        out = learner.outputs(fast, x)
        torch.nn.functional.cross_entropy(out[0], y[0]).backward()
        adam.step()
    for name, leaf in zip(names, weights, strict=True):
        assert torch.allclose(state[name], leaf, atol=1e-6), name
