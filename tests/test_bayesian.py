"""The Bayesian learners against the posteriors they claim to be, and what they doubt."""

import math

import pytest
import torch
from torch import Tensor

from agent.learners.alpaca import Alpaca, AlpacaOptions
from agent.learners.base import Classes, Spec
from agent.learners.bayes_classifier import BayesClassifier, BayesClassifierOptions
from agent.learners.meta import Meta
from agent.nets.body import BodySettings
from agent.nets.linear import factor, forecasts

SMALL = BodySettings(hidden=(12,))


def rows(tasks: int, count: int, features: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(tasks, count, features, generator=draw, dtype=torch.float64)
    return x, torch.sin(2 * x[..., 0]) + 0.1 * torch.randn(x.shape[:2], generator=draw).double()


def moved(learner: Meta, seed: int = 5) -> Meta:
    """Put every parameter somewhere that is not its start."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for leaf in learner.parameters():
            leaf.add_(0.2 * torch.randn(leaf.shape, generator=draw).to(leaf.dtype))
    return learner


def alpaca(outputs: int = 1, **options: object) -> Alpaca:
    chosen = AlpacaOptions(body=SMALL, size=6, **options)  # type: ignore[arg-type]
    learner = moved(Alpaca(Spec(3, 0, outputs), chosen).double())
    assert isinstance(learner, Alpaca)
    return learner


def in_weight_space(learner: Alpaca, x: Tensor, y: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and variance over the noise's, of task 0 by the joint normal of weights and rows."""
    with torch.no_grad():
        precision, _ = learner.prior()
        f, g = learner.features(x)[0], learner.features(query)[0]
        prior = torch.linalg.inv(precision)
        among = f @ prior @ f.mT + torch.eye(len(f), dtype=f.dtype)
        across = g @ prior @ f.mT @ torch.linalg.inv(among)
        mean = g @ learner.centre + across @ (y[0].view(len(f), -1) - f @ learner.centre)
        spread = 1 + (g @ prior @ g.mT - across @ f @ prior @ g.mT).diagonal()
    return mean, spread


@pytest.mark.parametrize("noise", ["shared", "task"])
def test_alpaca_is_bayesian_linear_regression(noise: str) -> None:
    learner = alpaca(noise=noise)
    x, y = rows(1, 7, 3)
    query, _ = rows(1, 5, 3, seed=1)
    state = learner.learn(learner.begin(1), x, y)
    said = learner.predict(state, query)
    mean, spread = in_weight_space(learner, x, y, query)
    assert torch.allclose(said.mean_TBV[0], mean, atol=1e-9)
    scale = (spread * learner.noise(state)[0]).sqrt()
    assert torch.allclose(said.scale_TBV[0, :, 0], scale, atol=1e-9)


def test_alpaca_of_several_outputs_is_one_regression_each() -> None:
    learner = alpaca(outputs=2, noise="shared")
    x, y = rows(1, 7, 3)
    both = torch.stack([y, -3 * y + 1], 2)
    said = learner.predict(learner.learn(learner.begin(1), x, both), x)
    mean, _ = in_weight_space(learner, x, both, x)
    assert torch.allclose(said.mean_TBV[0, :, 0], mean, atol=1e-9)


def test_the_noise_of_a_task_is_the_inverse_gamma_posterior_of_all_its_rows_at_once() -> None:
    learner = alpaca(noise="task")
    x, y = rows(1, 9, 3)
    with torch.no_grad():
        f, (precision, _) = learner.features(x)[0], learner.prior()
        cover = torch.eye(9, dtype=f.dtype) + f @ torch.linalg.inv(precision) @ f.mT
        error = y[0] - (f @ learner.centre)[:, 0]
        assert learner.log_trust is not None
        trust, prior = learner.log_trust.exp(), learner.log_noise.exp()
        expected = (trust * prior + error @ torch.linalg.solve(cover, error) / 2) / (trust + 4.5)
    state = learner.learn(learner.begin(1), x, y)
    assert torch.allclose(learner.noise(state)[0], expected, atol=1e-9)


@pytest.mark.parametrize("noise", ["shared", "task"])
def test_alpaca_answers_a_run_as_if_its_rows_had_come_one_by_one(noise: str) -> None:
    learner = alpaca(noise=noise)
    x, y = rows(2, 8, 3)
    seen = torch.tensor([[1, 1, 0, 1, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1, 1, 0]]).bool()
    said, after = learner.predict_then_learn(learner.begin(2), x, y, seen)
    state = learner.begin(2)
    for at in range(8):
        one = slice(at, at + 1)
        alone = learner.predict(state, x[:, one])
        assert torch.allclose(said.mean_TBV[:, one], alone.mean_TBV, atol=1e-9)
        assert torch.allclose(said.scale_TBV[:, one], alone.scale_TBV, atol=1e-9)
        state = learner.learn(state, x[:, one], y[:, one], seen[:, one])
    assert all(torch.allclose(after[name], state[name], atol=1e-9) for name in after)


def test_alpaca_does_not_mind_order_or_blocks() -> None:
    learner, (x, y) = alpaca(), rows(1, 12, 3)
    whole = learner.learn(learner.begin(1), x, y)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    state = learner.begin(1)
    for piece in order.split([5, 1, 6]):
        state = learner.learn(state, x[:, piece], y[:, piece])
    assert all(torch.allclose(whole[name], state[name], atol=1e-9) for name in whole)


def test_a_forgetful_alpaca_weighs_old_rows_less_and_does_not_mind_blocks() -> None:
    learner, (x, y) = alpaca(forgetting=0.8), rows(1, 12, 3)
    whole = learner.learn(learner.begin(1), x, y)
    state = learner.begin(1)
    for piece in torch.arange(12).split(5):
        state = learner.learn(state, x[:, piece], y[:, piece])
    assert torch.allclose(whole["precision"], state["precision"], atol=1e-9)
    with torch.no_grad():
        f, (precision, _) = learner.features(x)[0], learner.prior()
        age = 0.8 ** torch.arange(11, -1, -1).double()
        prior = precision  # which fading gives back what it takes from the old rows
        assert torch.allclose(whole["precision"][0], prior + (f.mT * age) @ f, atol=1e-9)


def test_forgetting_keeps_alpaca_doubtful() -> None:
    x, y = rows(1, 400, 3)
    spread = []
    for forgetting in (1.0, 0.9):
        learner = alpaca(forgetting=forgetting, noise="shared")
        said = learner.predict(learner.learn(learner.begin(1), x, y), x[:, :20])
        spread.append((said.scale_TBV**2 / learner.noise(learner.begin(1)) - 1).mean().item())
    assert spread[1] > 10 * spread[0]


def test_doubt_shrinks_with_shots_and_grows_off_the_data() -> None:
    learner = alpaca(noise="shared")
    x, y = rows(1, 64, 3)
    near, far = x[:, :1], x[:, :1] + 6
    scales = []
    state = learner.begin(1)
    for shots in (0, 4, 16, 64):
        state = learner.learn(learner.begin(1), x[:, :shots], y[:, :shots])
        scales.append(learner.predict(state, near).scale_TBV.item())
    assert scales == sorted(scales, reverse=True)
    assert scales[-1] < 0.9 * scales[0]
    assert learner.predict(state, far).scale_TBV.item() > scales[-1]


def test_a_factor_is_found_where_plain_cholesky_breaks() -> None:
    direction = torch.randn(1, 40, 1, generator=torch.Generator().manual_seed(1))
    flat = 1e6 * direction @ direction.mT - 0.1 * torch.eye(40)
    sound = torch.eye(40).unsqueeze(0)
    both = torch.cat([flat, sound])
    assert torch.linalg.cholesky_ex(both)[1].tolist()[0] > 0
    lower = factor(both)
    assert lower.isfinite().all()
    assert torch.allclose((lower @ lower.mT)[1], sound[0], atol=1e-5)
    assert (lower @ lower.mT - both)[0].abs().max() < 1e-3 * both.abs().max()


def test_a_row_not_seen_is_forecast_but_tells_nothing() -> None:
    half = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(2)).double()
    joint, error = half @ half.mT, torch.ones(1, 4, 1).double()
    seen = torch.tensor([[True, False, True, True]])
    shift, spread, z = forecasts(joint, error, seen)
    kept = [0, 2, 3]
    alone = forecasts(joint[:, kept][:, :, kept], error[:, kept], seen[:, kept])
    assert torch.allclose(shift[:, kept], alone[0])
    assert torch.allclose(spread[:, kept], alone[1])
    assert z[0, 1] == 0
    weight = joint[0, 1, 0] / (joint[0, 0, 0] + 1)
    assert torch.allclose(shift[0, 1, 0], weight)
    assert torch.allclose(spread[0, 1], 1 + joint[0, 1, 1] - weight * joint[0, 1, 0])


def clusters(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (1, count), generator=draw)
    x = torch.randn(1, count, 4, generator=draw).double()
    x[..., 0] += 2 * y
    return x, y


def twin(**options: object) -> BayesClassifier:
    chosen = BayesClassifierOptions(body=SMALL, size=2, **options)  # type: ignore[arg-type]
    learner = moved(BayesClassifier(Spec(4, 3), chosen).double())
    assert isinstance(learner, BayesClassifier)
    return learner


def test_the_twin_is_the_predictive_density_of_gaussian_classes() -> None:
    learner, (x, y) = twin(), clusters(10)
    query, _ = clusters(4, seed=1)
    with torch.no_grad():
        z, q = learner.embed(x)[0], learner.embed(query)[0]
        score = torch.zeros(4, 3).double()
        for c in range(3):
            mine = z[y[0] == c]
            cover = torch.eye(len(mine) + 1).double() + 1 / learner.strength
            for row in range(4):
                for axis in range(2):  # the joint normal of the class's rows and the query
                    joint = torch.cat([mine[:, axis], q[row : row + 1, axis]])
                    cov = cover * learner.within[axis]
                    normal = torch.distributions.MultivariateNormal
                    whole = normal(torch.zeros(len(joint)).double(), cov).log_prob(joint)
                    less = 0.0
                    if len(mine):
                        less = normal(torch.zeros(len(mine)).double(), cov[:-1, :-1]).log_prob(
                            joint[:-1]
                        )
                    score[row, c] += whole - less
            score[:, c] += (learner.log_prior.exp() + len(mine)).log()
        said = learner.predict(learner.learn(learner.begin(1), x, y), query)
    assert isinstance(said, Classes)
    assert torch.allclose(said.marginal()[0], torch.log_softmax(score, 1), atol=1e-8)


def test_the_twin_with_noise_of_a_task_is_the_integral_over_it() -> None:
    """The evidence with and without the query, by quadrature over the variance."""
    learner, (x, y) = twin(within="task", frequencies=False), clusters(6)
    query, _ = clusters(1, seed=1)
    grid = torch.linspace(-9, 9, 4001).double()  # log of the variance
    with torch.no_grad():
        z, q = learner.embed(x)[0], learner.embed(query)[0, 0]
        assert learner.log_shape is not None
        shape = learner.log_shape.exp()
        score = torch.zeros(3).double()
        for c in range(3):
            for axis in range(2):
                rate = shape * learner.within[axis]
                prior = shape * rate.log() - torch.lgamma(shape) - shape * grid - rate / grid.exp()
                total = prior
                for k in range(3):
                    values = z[y[0] == k][:, axis]
                    if k == c:
                        values = torch.cat([values, q[axis : axis + 1]])
                    cover = torch.eye(len(values)).double() + 1 / learner.strength
                    square = values @ torch.linalg.solve(cover, values) / grid.exp()
                    total = total - 0.5 * (
                        square + len(values) * (grid + math.log(2 * math.pi)) + cover.logdet()
                    )
                score[c] += total.logsumexp(0)
        said = learner.predict(learner.learn(learner.begin(1), x, y), query)
    assert isinstance(said, Classes)
    assert torch.allclose(said.marginal()[0, 0], torch.log_softmax(score, 0), atol=1e-6)


def test_the_twin_does_not_mind_order_or_blocks() -> None:
    learner, (x, y) = twin(within="task"), clusters(12)
    whole = learner.learn(learner.begin(1), x, y)
    state = learner.begin(1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    for piece in order.split([5, 1, 6]):
        state = learner.learn(state, x[:, piece], y[:, piece])
    assert all(torch.allclose(whole[name], state[name], atol=1e-9) for name in whole)
