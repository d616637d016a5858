"""Voices in closed form agree with loops in double precision, forget, and are calibrated."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.learners.autoregression import AutoregressionOptions
from agent.learners.base import Classes, Numbers, Spec
from agent.learners.bayes import Bayes, BayesOptions
from agent.learners.ridge import JITTER, Ridge, RidgeOptions
from agent.learners.transitions import TransitionsOptions
from agent.nets import EPSILON
from agent.nets.calibration import UNSEEN, Calibration, gradient
from agent.nets.fading import Fading
from tests.voices import drawn, log_losses, masked, run


def test_fading_agrees_with_a_loop() -> None:
    seen = masked(9, 2)
    weight, whole = Fading([0.9, 0.5])(seen)
    for task in range(2):
        for voice, keep in enumerate((0.9, 0.5)):
            stood, each = 1.0, [0.0] * 9
            for row in range(9):
                if seen[task, row]:
                    stood, each = stood * keep, [one * keep for one in each]
                    each[row] = 1.0
            assert torch.allclose(weight[task, voice], torch.tensor(each))
            assert whole[task, voice].item() == pytest.approx(stood)


def test_slope_and_curvature_of_calibration_are_those_of_autograd() -> None:
    phi = torch.randn(1, 6, 1, 2, 4, generator=drawn(), dtype=torch.float64)
    y = torch.randint(4, (1, 6), generator=drawn())
    weight = torch.rand(1, 6, 1, generator=drawn(), dtype=torch.float64)
    theta = torch.tensor([1.3, -0.4], dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        logp = torch.log_softmax((at[:, None] * phi[0, :, 0]).sum(1), 1)
        return -(weight[0, :, 0] * logp.gather(1, y.T).squeeze(1)).sum()

    known = torch.ones(1, 1, 4, dtype=torch.bool)
    logp = Calibration((1.0, 1.0), (1.0, 1.0)).logp(theta[None, None], phi, known)
    slope, curve = gradient(phi, logp, y, weight)
    expected = torch.autograd.functional.hessian(loss, theta)
    assert torch.allclose(curve[0, 0], expected, atol=1e-6)
    assert torch.allclose(slope[0, 0], torch.autograd.functional.jacobian(loss, theta), atol=1e-6)


def test_calibration_finds_the_temperature_of_overconfident_scores() -> None:
    one = Calibration((1.0,), (0.5,))
    state = one.begin(1, 1)
    logit = torch.randn(1, 640, 1, 1, 5, generator=drawn())
    share = torch.softmax(logit[0, :, 0, 0], 1)
    y = torch.multinomial(share, 1, generator=drawn(1)).T
    known, seen = torch.ones(1, 1, 5, dtype=torch.bool), torch.ones(1, 32, dtype=torch.bool)
    for start in range(0, 640, 32):
        phi = 4 * logit[:, start : start + 32]
        logp = one.logp(state["theta"], phi, known)
        state = one.learned(state, phi, logp, known, y[:, start : start + 32], seen)
    assert state["theta"].item() == pytest.approx(0.25, abs=0.05)


def test_labels_of_unknown_classes_do_not_move_the_calibration() -> None:
    one = Calibration((1.0,), (0.5,))
    state, phi = one.begin(1, 1), torch.randn(1, 4, 1, 1, 3, generator=drawn())
    known = torch.tensor([[[True, True, False]]])
    logp = one.logp(state["theta"], phi, known)
    assert bool((logp[..., 2] < UNSEEN / 2).all())
    y, seen = torch.full((1, 4), 2), torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(one.learned(state, phi, logp, known, y, seen)["theta"], state["theta"])


def brute_ridge(x: Tensor, target: Tensor, seen: Tensor, keep: float, noise: float) -> Tensor:
    """Weights by a weighted least squares over all that came, in double precision."""
    rows = torch.nn.functional.pad(x, (0, 1), value=1.0).double()[seen]
    weight = keep ** torch.arange(len(rows) - 1, -1, -1, dtype=torch.float64)
    gram = (rows * weight[:, None]).T @ rows
    prior = torch.full((rows.shape[1],), RidgeOptions().prior, dtype=torch.float64)
    prior[-1] *= 0.01
    prior *= noise
    cross = (rows * weight[:, None]).T @ target.double()[seen]
    found: Tensor = torch.linalg.solve(gram + torch.diag(prior + JITTER * gram.diagonal()), cross)
    return found


@pytest.mark.parametrize(("voice", "keep"), [(0, 1 - 1e-5), (1, 0.9)])
def test_ridge_for_classes_agrees_with_weighted_least_squares(voice: int, keep: float) -> None:
    x, seen = torch.randn(1, 40, 3, generator=drawn()), masked(40)
    y = torch.randint(4, (1, 40), generator=drawn())
    _, state = run(Ridge(Spec(3, 4), RidgeOptions(forget=(1.0, 0.9))), x, y, seen)
    target = torch.nn.functional.one_hot(y[0], 4)
    expected = brute_ridge(x[0], target, seen[0], keep, 1.0)
    assert torch.allclose(state["weight"][0, voice].double(), expected, atol=1e-4)


@pytest.mark.parametrize(("voice", "keep"), [(0, 1 - 1e-5), (1, 0.9)])
def test_ridge_for_large_numbers_agrees_with_least_squares_about_their_mean(
    voice: int, keep: float
) -> None:
    x, seen = torch.randn(1, 40, 3, generator=drawn()), masked(40)
    y = 1e5 + x[..., 0] - 2 * x[..., 1] + 0.1 * torch.randn(1, 40, generator=drawn(1))
    learner = Ridge(Spec(3, 0), RidgeOptions(forget=(1.0, 0.9), prior=1.0))
    _, state = run(learner, x, y, seen)
    weight = keep ** torch.arange(int(seen.sum()) - 1, -1, -1, dtype=torch.float64)
    middle = (y[seen].double() * weight).sum() / weight.sum()
    noise = learner._noise(state)[0, voice].item() / RidgeOptions().prior
    away = (y[0].double() - middle).unsqueeze(1)
    expected = brute_ridge(x[0], away, seen[0], keep, noise)
    found = state["weight"][0, voice].double()
    assert torch.allclose(found, expected, atol=2e-2)
    assert abs(state["middle"][0, voice].item() - middle.item()) < 0.02
    answer = learner.predict(state, x)
    assert isinstance(answer, Numbers)
    assert float((answer.mean_TBV[0, :, voice] - y[0]).abs().max()) < 1.5


def test_the_scale_of_ridge_is_the_size_of_its_errors() -> None:
    x = torch.randn(1, 1600, 3, generator=drawn())
    y = 50 + 20 * x[..., 0] + 3 * torch.randn(1, 1600, generator=drawn(1))
    said, _ = run(Ridge(Spec(3, 0)), x, y, block=32)
    assert isinstance(said[-1], Numbers)
    assert said[-1].scale_TBV[0, -1].tolist() == pytest.approx([3, 3], rel=0.25)


def test_ridge_that_forgets_follows_a_rule_that_turns_round() -> None:
    x = torch.randn(1, 1600, 3, generator=drawn())
    y = (x[..., 0] > 0).long()
    y[:, 800:] = 1 - y[:, 800:]
    loss = log_losses(run(Ridge(Spec(3, 2)), x, y, block=32)[0], y)[0, 1200:].mean(0)
    assert loss[1] < 0.5 * loss[0]


def test_wide_rows_are_projected_and_solved_for_in_some_blocks_only() -> None:
    x = torch.randn(1, 48 * 8, 90, generator=drawn())
    y = (x[..., 0] > 0).long()
    learner = Ridge(Spec(90, 2), RidgeOptions(most=60))
    state, moved = learner.begin(1), []
    for start in range(0, x.shape[1], 8):
        cut = slice(start, start + 8)
        _, after = learner.predict_then_learn(state, x[:, cut], y[:, cut])
        moved.append(not torch.equal(after["weight"], state["weight"]))
        state = after
    assert state["gram"].shape == (1, 2, 61, 61)
    assert all(moved[:31])
    assert sum(moved[32:]) == 4


def test_weights_stay_when_they_cannot_be_solved_for() -> None:
    learner = Ridge(Spec(3, 2))
    x, y = torch.randn(1, 8, 3, generator=drawn()), torch.ones(1, 8, dtype=torch.int64)
    state = learner.learn(learner.begin(1), x, y)
    broken = {**state, "gram": -state["gram"] * 10}
    assert torch.equal(learner.learn(broken, x, y)["weight"], state["weight"])


def brute_bayes(x: Tensor, y: Tensor, keep: float, ask: Tensor, classes: int) -> Tensor:
    """Log p(x | c) by the formulas of the head of the file, in double precision."""
    one = BayesOptions()
    weight = keep ** torch.arange(len(x) - 1, -1, -1, dtype=torch.float64)
    rows, out = x.double(), []
    middle = (rows * weight[:, None]).sum(0) / weight.sum()
    spread = ((rows - middle) ** 2 * weight[:, None]).sum(0) / weight.sum()
    mean, about, count = [], [], []
    for c in range(classes):
        own = weight * (y == c)
        count.append(own.sum())
        mean.append((rows * own[:, None]).sum(0) / own.sum())
        about.append(((rows - mean[c]) ** 2 * own[:, None]).sum(0))
    shared = torch.stack(about).sum(0) / weight.sum()
    for c in range(classes):
        at = (count[c] * mean[c] + one.centre * middle) / (count[c] + one.centre)
        v = (about[c] + one.width * shared) / (count[c] + one.width)
        v = v.maximum(one.least * spread + 1e-3) * (1 + 1 / (count[c] + one.centre))
        out.append((-0.5 * (ask.double() - at) ** 2 / v - 0.5 * v.log()).sum(1))
    return torch.stack(out, 1)


def test_naive_bayes_agrees_with_its_formulas() -> None:
    x = torch.randn(1, 40, 3, generator=drawn())
    y = torch.randint(3, (1, 40), generator=drawn())
    learner = Bayes(Spec(3, 3), BayesOptions(forget=(0.95,)))
    _, state = run(learner, x, y)
    state = {**state, "theta": torch.tensor([[[1.0, 0.0]]])}
    said = learner.predict(state, x)
    assert isinstance(said, Classes)
    expected = torch.softmax(brute_bayes(x[0], y[0], 0.95, x[0], 3) / 3**0.5, 1)
    found = said.logp_TBVC[0, :, 0].double().exp() * (1 + EPSILON) - EPSILON / 3
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", [Ridge, Bayes])
def test_calibration_lowers_the_log_loss(kind: Callable[[Spec], Ridge | Bayes]) -> None:
    """Scores that are believed far too much are soon believed less."""
    source = torch.randn(1, 1600, 1, generator=drawn())
    y = (source[..., 0] + 1.5 * torch.randn(1, 1600, generator=drawn(1)) > 0).long()
    x = source + 0.1 * torch.randn(1, 1600, 40, generator=drawn(2))
    learner, frozen = kind(Spec(40, 2)), kind(Spec(40, 2))
    for one, spread in ((learner, 0.5), (frozen, 1e-6)):
        one._calibration = Calibration((10.0, 0.5), (10 * spread, spread))
    loss = [log_losses(run(one, x, y, block=32)[0], y)[0, 800:].mean() for one in (learner, frozen)]
    assert loss[0] < loss[1] - 0.02


def test_naive_bayes_that_forgets_follows_clouds_that_change_places() -> None:
    y = torch.randint(2, (1, 1600), generator=drawn())
    side = (2.0 * y - 1).unsqueeze(2)
    side[:, 800:] *= -1
    x = side + torch.randn(1, 1600, 2, generator=drawn(1))
    loss = log_losses(run(Bayes(Spec(2, 2)), x, y, block=32)[0], y)[0, 1100:1200].mean(0)
    assert loss[1] < 0.6 * loss[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RidgeOptions(forget=()),
        lambda: RidgeOptions(forget=(1.1,)),
        lambda: RidgeOptions(prior=0),
        lambda: RidgeOptions(most=0),
        lambda: BayesOptions(forget=(0.0,)),
        lambda: BayesOptions(centre=0),
        lambda: TransitionsOptions(orders=(0,)),
        lambda: TransitionsOptions(orders=(9,), slots=8),
        lambda: TransitionsOptions(memory=10),
        lambda: TransitionsOptions(strength=0),
        lambda: AutoregressionOptions(memory=1),
        lambda: AutoregressionOptions(held=0),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="give"):
        make()
