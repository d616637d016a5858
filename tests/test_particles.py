"""Learners that doubt by several guesses at once: heads, codes and particles."""

import math

import pytest
import torch

from agent.learners.base import Classes, Numbers, Spec
from agent.learners.bmaml import BayesianMaml, BayesianMamlOptions, stein
from agent.learners.gradient import GradientOptions
from agent.learners.maml import Maml
from agent.learners.neural_process import NeuralProcess, NeuralProcessOptions
from agent.learners.versa import Versa, VersaOptions
from agent.nets.body import BodySettings
from agent.nets.codes import normal_codes

SMALL = BodySettings(hidden=(12,))


def test_versas_fixed_draws_come_near_the_mean_over_many_heads() -> None:
    spec = Spec(4, 3)
    learner = Versa(spec, VersaOptions(body=SMALL, samples=64, doubt=0.5)).double()
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(3, (1, 9), generator=draw)
    x = torch.randn(1, 9, 4, generator=draw).double()
    x[..., 0] += 2 * y
    state = learner.learn(learner.begin(1), x, y)
    with torch.no_grad():
        mean, deviation = learner.logits(state, x)
        draws = torch.randn(20_000, 1, 9, 3, generator=torch.Generator().manual_seed(0))
        expected = torch.softmax(mean + deviation * draws.double(), 3).mean(0)
        said = learner.predict(state, x)
    assert isinstance(said, Classes)
    assert (said.marginal().exp() - expected).abs().max() < 0.04
    assert (torch.softmax(mean, 2) - expected).abs().max() > 0.09  # doubt does matter here


def test_codes_are_standard_to_the_second_moment() -> None:
    codes = normal_codes(9, 5, 0)
    assert torch.allclose(codes.mean(0), torch.zeros(5), atol=1e-6)
    assert torch.allclose(codes.square().mean(0), torch.ones(5), atol=1e-5)


def test_the_neural_process_doubts_by_its_codes() -> None:
    learner = NeuralProcess(Spec(1, 0), NeuralProcessOptions(samples=6))
    said = learner.predict(learner.begin(1), torch.zeros(1, 1, 1))
    assert isinstance(said, Numbers)
    assert said.mean_TBV.unique().numel() == 6
    with torch.no_grad():
        learner.latent.bias[32:] = -12  # sure of its code: all voices agree
    sure = learner.predict(learner.begin(1), torch.zeros(1, 1, 1))
    assert sure.mean_TBV.std() < 1e-3 * said.mean_TBV.std()


@pytest.mark.parametrize("spec", [Spec(2, 0), Spec(2, 3)], ids=["number", "classes"])
def test_one_particle_is_maml(spec: Spec) -> None:
    one = BayesianMaml(spec, BayesianMamlOptions(particles=1, rate=0.05, steps=3))
    plain = Maml(spec, GradientOptions(rate=0.05, steps=3))
    x = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(1))
    y = x[..., 0] if spec.regression else (x[..., 0] > 0).long()
    answers = [each.predict(each.learn(each.begin(2), x, y), x) for each in (one, plain)]
    leaves = ("mean_TBV", "scale_TBV") if spec.regression else ("logp_TBVC",)
    for leaf in leaves:
        assert torch.allclose(getattr(answers[0], leaf), getattr(answers[1], leaf), atol=1e-6)
    losses = [each.objective(said, y) for each, said in zip((one, plain), answers, strict=True)]
    assert torch.allclose(losses[0], losses[1], atol=1e-5)


def test_the_stein_direction_is_the_sum_over_pairs() -> None:
    draw = torch.Generator().manual_seed(4)
    w = torch.randn(1, 3, 2, generator=draw).double().requires_grad_()
    grads = torch.randn(1, 3, 2, generator=draw).double()
    got = stein({"w": w}, {"w": grads}, torch.tensor([0.7]).double())["w"][0]
    gaps = torch.stack([(w[0, p] - w[0, q]).square().sum() for p in range(3) for q in range(p)])
    width = gaps.detach().median() / math.log(3)
    for p in range(3):
        expected = torch.zeros(2).double()
        for q in range(3):
            kernel = torch.exp(-(w[0, q] - w[0, p]).square().sum() / width)
            (slope,) = torch.autograd.grad(kernel, w)
            expected += kernel.detach() * grads[0, q]
            if p != q:
                expected -= 0.7 * slope[0, q]
        assert torch.allclose(got[p], expected, atol=1e-9)


def test_particles_repel() -> None:
    """Without data to obey, repulsion alone takes particles apart, and 0 of it does not."""
    x = torch.zeros(1, 4, 1)
    apart = []
    for repulsion in (0.0, 50.0):
        options = BayesianMamlOptions(
            body=SMALL, particles=4, rate=0.1, steps=20, repulsion=repulsion
        )
        learner = BayesianMaml(Spec(1, 0), options)
        state = learner.learn(learner.begin(1), x, x[..., 0])
        weights = state["fast.w0"].flatten(2)
        apart.append(torch.cdist(weights, weights).sum().item())
    assert apart[1] > 1.5 * apart[0]
