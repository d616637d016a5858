"""Continual learners whose update is in closed form: GeMCL and SB-MCL."""

import pytest
import torch

from agent.learners.base import Numbers, Spec
from agent.learners.gemcl import Gemcl, GemclOptions
from agent.learners.sbmcl import SbMcl, SbMclOptions
from agent.nets.body import BodySettings
from tests.continual import CLASSES, rows


def test_gemcls_answers_are_those_of_the_normal_gamma_posterior() -> None:
    learner = Gemcl(CLASSES, GemclOptions(BodySettings(hidden=(2,))))
    learner.double()
    x, _ = rows(learner, tasks=1)
    y = torch.arange(9).remainder(3).view(1, 9)
    state = learner.learn(learner.begin(1), x, y)
    h = learner.body(x)[0]
    kappa_0, alpha_0, beta_0 = learner.prior.exp()
    query = learner.body(x[:, :4] + 0.1)
    found = learner.densities(state, query)[0]
    for label in range(3):
        own = h[y[0] == label]
        n, mean = len(own), own.mean(0)
        beta = beta_0 + 0.5 * ((own - mean) ** 2).sum(0)
        beta = beta + kappa_0 * n * (mean - learner.centre[:, 0]) ** 2 / (2 * (kappa_0 + n))
        mu = (kappa_0 * learner.centre[:, 0] + n * mean) / (kappa_0 + n)
        alpha = alpha_0 + n / 2
        scale = (beta * (kappa_0 + n + 1) / (alpha * (kappa_0 + n))).sqrt()
        student = torch.distributions.StudentT(2 * alpha, mu, scale)
        assert torch.allclose(found[:, label], student.log_prob(query[0]).sum(1))


@pytest.mark.parametrize("spec", [CLASSES, Spec(4, 0)])
def test_a_posterior_does_not_depend_on_order_or_blocks(spec: Spec) -> None:
    learner = Gemcl(spec, GemclOptions()) if spec.classes else SbMcl(spec, SbMclOptions())
    learner.double()
    x, y = rows(learner, tasks=1, many=12)
    whole = learner.learn(learner.begin(1), x, y)
    order = torch.tensor([7, 2, 9, 0, 11, 4, 1, 3, 10, 6, 8, 5])
    parts = learner.begin(1)
    for some in order.split(5):
        parts = learner.learn(parts, x[:, some], y[:, some])
    assert all(torch.allclose(leaf, parts[name]) for name, leaf in whole.items())


def test_sb_mcl_is_bayesian_linear_regression() -> None:
    """Against the normal-inverse-gamma posterior in its batch form (Murphy 2007)."""
    learner = SbMcl(Spec(4, 0), SbMclOptions(BodySettings(hidden=(3,))))
    learner.double()
    x, y = rows(learner, tasks=1, many=10)
    with torch.no_grad():
        learner.mean.add_(0.3)
    state = learner.learn(learner.learn(learner.begin(1), x[:, :4], y[:, :4]), x[:, 4:], y[:, 4:])
    p, t = learner.embed(x)[0], y[0]
    before, m_0 = learner.precision.exp().diag(), learner.mean[:, 0]
    precision = before + p.T @ p
    m = torch.linalg.solve(precision, before @ m_0 + p.T @ t)
    a = 1 + learner.noise[0].exp() + 5
    b = learner.noise[1].exp() + 0.5 * (t @ t + m_0 @ before @ m_0 - m @ precision @ m)
    assert torch.allclose(state["mean"][0, :, 0], m, atol=1e-5)
    assert torch.allclose(state["b"][0, 0], b, atol=1e-5)
    said = learner.predict(state, x + 1)
    assert isinstance(said, Numbers)
    q = learner.embed(x + 1)[0]
    variance = b / (a - 1) * (1 + (q * torch.linalg.solve(precision, q.T).T).sum(1))
    assert torch.allclose(said.moments()[1][0] ** 2, variance, atol=1e-5)
