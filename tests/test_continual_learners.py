"""What each continual meta-learner is there for, against brute force and finite differences."""

import math

import pytest
import torch
from torch import Tensor

from agent.learners.anml import Anml
from agent.learners.base import Classes, Spec, State
from agent.learners.gemcl import Gemcl, GemclOptions
from agent.learners.lamaml import LaMaml, LaMamlOptions
from agent.learners.meta import Meta
from agent.learners.oml import Oml, OmlOptions
from agent.learners.online import Online, OnlineOptions
from agent.nets import part
from agent.nets.body import BodySettings
from agent.nets.predictor import Predictor
from agent.nets.reservoir import kept_rows, take_rows
from tests.continual import CLASSES, drawn, rows


def logp(learner: Meta, state: State, x: Tensor) -> Tensor:
    said = learner.predict(state, x)
    assert isinstance(said, Classes)
    return said.marginal()


def test_the_predictors_gradient_is_that_of_autograd() -> None:
    predictor = Predictor(3, (5, 4))
    x, y = drawn(2, 6, 3), drawn(2, 6, 2, seed=1)
    fast = {
        name: leaf.double().expand(2, *leaf.shape).clone().requires_grad_()
        for name, leaf in predictor.draw(2).items()
    }
    layers = predictor.layers(fast, x)
    loss = ((layers[-1] - y) ** 2).sum()
    pulled = predictor.pull(fast, layers, 2 * (layers[-1] - y))
    whole = torch.autograd.grad(loss, list(fast.values()))
    for name, grad in zip(fast, whole, strict=True):
        assert torch.allclose(pulled[name], grad)


def test_a_step_follows_the_loss_over_classes_met_and_not_yet_met() -> None:
    learner = Oml(CLASSES, OmlOptions(predictor=(6,), unmet=5, clip=1e9, rate=0.3))
    learner.double()
    x, y = rows(learner, tasks=1, many=4)
    state = learner.learn(learner.begin(1), x, y)
    row, label = x[:, :1] + 1, y[:, :1]
    fast = {name: leaf.detach().requires_grad_() for name, leaf in part("fast", state).items()}
    layers = learner.predictor.layers(fast, learner.represent(row).detach())
    new = layers[-2].detach() @ learner.start["head"] + learner.start["bias"] + math.log(5)
    whole = torch.logsumexp(torch.cat([layers[-1] + state["known"].unsqueeze(1), new], 2), 2)
    loss = (whole - layers[-1].gather(2, label.unsqueeze(2)).squeeze(2)).sum()
    loss.backward()
    after = learner.learn(state, row, label)
    for name, leaf in fast.items():
        assert leaf.grad is not None
        expected = leaf - 0.3 * learner.predictor.rate(name) * leaf.grad
        assert torch.allclose(after[f"fast.{name}"], expected, atol=1e-9), name


@pytest.mark.parametrize("make", [Oml, Anml, LaMaml])
def test_the_representation_stands_still_and_the_outer_gradient_reaches_it(
    make: type[Online],
) -> None:
    options = LaMamlOptions() if make is LaMaml else OmlOptions()
    learner = make(CLASSES, options)
    x, y = rows(learner)
    x = x.float()
    before = learner.represent(x)
    state = learner.learn(learner.begin(2), x, y)
    assert not any(name.startswith("body") for name in state)
    assert torch.equal(learner.represent(x), before)
    learner.objective(learner.predict(state, x), y).mean().backward()
    grads = [weight.grad for weight in learner.body.parameters()]
    assert all(grad is not None and bool(grad.abs().sum() > 0) for grad in grads)


def test_the_outer_gradient_through_a_sequence_is_that_of_finite_differences() -> None:
    learner = Oml(Spec(2, 3), OmlOptions(BodySettings(hidden=(3,), activation="tanh")))
    learner.double()
    x, y = rows(learner, tasks=1, many=5)

    def loss() -> Tensor:
        state = learner.learn(learner.begin(1), x, y)
        return learner.objective(learner.predict(state, x), y).mean()

    loss().backward()
    for weight in (next(learner.body.parameters()), learner.start["head"]):
        assert weight.grad is not None
        step = 1e-6
        with torch.no_grad():
            weight.view(-1)[0] += step
            more = loss()
            weight.view(-1)[0] -= 2 * step
            less = loss()
            weight.view(-1)[0] += step
        numeric = (more - less) / (2 * step)
        assert float(weight.grad.view(-1)[0]) == pytest.approx(float(numeric), rel=1e-4, abs=1e-9)


def test_rows_are_answered_one_by_one_with_what_the_rows_before_them_taught() -> None:
    for learner in (Oml(CLASSES, OmlOptions()), Gemcl(CLASSES, GemclOptions())):
        learner.double()
        x, y = rows(learner, tasks=1)
        said, after = learner.predict_then_learn(learner.begin(1), x, y)
        assert isinstance(said, Classes)
        state = learner.begin(1)
        for row in range(x.shape[1]):
            one = slice(row, row + 1)
            assert torch.allclose(said.marginal()[:, one], logp(learner, state, x[:, one]))
            state = learner.learn(state, x[:, one], y[:, one])
        assert all(torch.allclose(leaf, state[name]) for name, leaf in after.items())


def test_a_closed_gate_keeps_the_weights_behind_it_from_moving() -> None:
    learner = Anml(CLASSES, OnlineOptions())
    with torch.no_grad():
        learner.gate.bias[:10] = -200.0
    x, y = rows(learner)
    state = learner.begin(2)
    after = learner.learn(state, x.float(), y)
    moved = (after["fast.head"] - state["fast.head"]).abs().amax((0, 2))
    assert bool((moved[:10] == 0).all())
    assert bool((moved[10:] > 0).any())


def test_gates_scale_the_step_of_the_weights_behind_them() -> None:
    """The head's gradient is h^T delta, so half the gate is half the first step."""
    steps = []
    for bias in (200.0, 0.0):
        learner = Anml(CLASSES, OnlineOptions())
        with torch.no_grad():
            learner.gate.weight.zero_()
            learner.gate.bias.fill_(bias)
            learner.start["head"].zero_()
        x, y = rows(learner, many=1)
        state = learner.begin(2)
        steps.append(learner.learn(state, x.float(), y)["fast.head"] - state["fast.head"])
    assert torch.allclose(steps[1], steps[0] / 2)


def test_negative_step_sizes_freeze_their_weights() -> None:
    learner = LaMaml(CLASSES, LaMamlOptions(hyper=0.0))
    with torch.no_grad():
        learner.sizes["w0"][0] = -0.5
    x, y = rows(learner)
    state = learner.begin(2)
    after = learner.learn(state, x.float(), y)
    moved = (after["fast.w0"] - state["fast.w0"]).abs().amax((0, 2))
    assert bool(moved[0] == 0)
    assert bool((moved[1:] > 0).any())


def test_the_look_aheads_hypergradient_is_that_of_autograd() -> None:
    """With one row there is one look-ahead step, and first order is then exact."""
    learner = LaMaml(CLASSES, LaMamlOptions(predictor=(), hyper=0.1, clip=1e9))
    learner.double()
    x, y = rows(learner, tasks=1, many=5)
    state = learner.learn(learner.begin(1), x, y)
    row, label = x[:, :1] + 1, y[:, :1]
    size = state["size.head"].detach().requires_grad_()
    h, memory = learner.represent(row).detach(), state["memory.x"][:, :5].detach()
    fast = {name: leaf.detach() for name, leaf in part("fast", state).items()}
    rate = learner.options.rate / learner.predictor.size
    layers = learner.predictor.layers(fast, h)
    known = state["known"].unsqueeze(1)
    first = learner.predictor.pull(fast, layers, learner.delta(layers, label, known).detach())
    bias = fast["bias"] - rate * state["size.bias"].clamp(min=0) * first["bias"]
    head = fast["head"] - rate * size.clamp(min=0) * first["head"]
    both, labels = torch.cat([memory, h], 1), torch.cat([y, label], 1)
    out = torch.baddbmm(bias.detach(), both, head) + known
    new = (both @ learner.start["head"] + learner.start["bias"]).detach() + math.log(20)
    share = torch.log_softmax(torch.cat([out, new], 2), 2)
    each = -share.gather(2, labels.unsqueeze(2))[0, :, 0]
    loss = (each[:5].mean() + each[5]) / 2
    (grad,) = torch.autograd.grad(loss, [size])
    after = learner.learn(state, row, label)
    assert torch.allclose(after["size.head"], (size - 0.1 * grad).clamp(-1, 10), atol=1e-9)


def test_the_reservoir_keeps_each_row_as_often_as_any_other() -> None:
    room, many = 20, 2000
    count, memory = torch.zeros(1, 1), torch.zeros(1, room, 1)
    for first in range(0, many, 50):
        seen = torch.ones(1, 50, dtype=torch.bool)
        block = torch.arange(first, first + 50.0).view(1, 50, 1)
        memory = take_rows(memory, block, kept_rows(count, seen, room))
        count = count + 50
    assert len(set(memory.flatten().tolist())) == room
    assert 0.3 * many < float(memory.mean()) < 0.7 * many
    whole = torch.arange(0.0, many).view(1, -1, 1)
    at_once = kept_rows(torch.zeros(1, 1), torch.ones(1, many, dtype=torch.bool), room)
    assert torch.equal(take_rows(torch.zeros(1, room, 1), whole, at_once), memory)


def sequences(tasks: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Six classes, one after another, 5 rows of each; 4 others to be told apart at the end.

    A class is a direction; the same is added to all rows, so that naive features interfere.
    """
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(tasks, 6, 1, 8, generator=draw)
    x = 2 + centre + 0.3 * torch.randn(tasks, 6, 9, 8, generator=draw)
    y = torch.arange(6).view(1, 6, 1).expand(tasks, 6, 9)
    return (
        x[:, :, :5].flatten(1, 2),
        y[:, :, :5].flatten(1),
        x[:, :, 5:].flatten(1, 2),
        y[:, :, 5:].flatten(1),
    )


@pytest.mark.parametrize("make", [Oml, Anml])
def test_meta_trained_it_forgets_less_than_from_a_random_start(make: type[Online]) -> None:
    learner = make(Spec(8, 6), OmlOptions())
    found = []
    adam = torch.optim.Adam(learner.parameters(), 1e-2)
    for trained in (False, True):
        for at in range(25 if trained else 0):
            x, y, query, label = sequences(16, 1 + at)
            state = learner.learn(learner.begin(16), x, y)
            adam.zero_grad()
            learner.objective(learner.predict(state, query), label).mean().backward()
            adam.step()
        x, y, query, label = sequences(100, 0)
        with torch.inference_mode():
            state = learner.learn(learner.begin(100), x, y)
            right = logp(learner, state, query).argmax(2).eq(label).view(100, 6, 4).float()
        found.append((right.mean(), right[:, :3].mean()))
    (before, old_before), (after, old_after) = found
    assert float(old_after) > float(old_before) + 0.25, found
    assert float(after) > 2 * float(before), found
