"""Voices in closed form agree with loops in double precision, forget, and are calibrated."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.learners.autoregression import Autoregression, AutoregressionOptions
from agent.learners.base import Classes, Learner, Numbers, Spec, State
from agent.learners.bayes import Bayes, BayesOptions
from agent.learners.ridge import JITTER, Ridge, RidgeOptions
from agent.learners.transitions import Transitions, TransitionsOptions
from agent.nets import EPSILON
from agent.nets.calibration import UNSEEN, Calibration, gradient
from agent.nets.fading import Fading

SLOTS, MEMORY = 24, 50.0


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(
    learner: Learner, x: Tensor, y: Tensor, seen: Tensor | None = None, block: int = 8
) -> tuple[list[Classes | Numbers], State]:
    state, said = learner.begin(x.shape[0]), []
    for start in range(0, x.shape[1], block):
        cut = slice(start, start + block)
        told = None if seen is None else seen[:, cut]
        one, state = learner.predict_then_learn(state, x[:, cut], y[:, cut], told)
        said.append(one)
    return said, state


def log_losses(said: list[Classes | Numbers], y: Tensor) -> Tensor:
    logp = torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 1)
    return -logp.gather(3, y[..., None, None].expand(*logp.shape[:3], 1)).squeeze(3)


def means(said: list[Classes | Numbers]) -> Tensor:
    return torch.cat([one.mean_TBV for one in said if isinstance(one, Numbers)], 1)


def masked(rows: int, tasks: int = 1) -> Tensor:
    return torch.rand(tasks, rows, generator=drawn(7)) < 0.7


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


def brute_transitions(y: Tensor, seen: Tensor, late: Tensor, classes: int) -> Tensor:
    """Row by row, shape B V C, from the last `SLOTS` labels and what stood before each."""
    keep, said = 1 - 1 / MEMORY, []
    labels: list[int] = []
    contexts: list[tuple[int, ...]] = []
    window = 0
    for row in range(len(y)):
        if row % 8 == 0:  # what falls out of the window falls out between blocks
            window = max(len(labels) - SLOTS, 0)
        end = len(labels) - int(late[row])
        own = tuple(labels[end - k] if end - k >= window else -1 for k in (1, 2))
        share = torch.full((classes,), 1.0 / classes, dtype=torch.float64)
        voices = []
        for order in range(3):
            count = torch.zeros(classes, dtype=torch.float64)
            for place in range(window, max(end, window)):
                if -1 not in own[:order] and contexts[place][:order] == own[:order]:
                    count[labels[place]] += keep ** (end - 1 - place)
            lean = EPSILON if order == 0 else TransitionsOptions().strength * int((count > 0).sum())
            if lean > 0:
                share = (count + lean * share) / (count.sum() + lean)
            voices.append((share + EPSILON / classes) / (1 + EPSILON))
        said.append(torch.stack(voices[1:]))
        if seen[row]:
            labels.append(int(y[row]))
            contexts.append(own)
    return torch.stack(said)


@pytest.mark.parametrize("most", [0, 6, 60])
def test_transitions_agree_with_a_loop_also_for_late_rows(most: int) -> None:
    y, seen = torch.randint(3, (1, 80), generator=drawn()), masked(80)
    late = torch.randint(most + 1, (80,), generator=drawn(1)).clamp(max=SLOTS)
    x = torch.cat([torch.zeros(1, 80, 2), late.view(1, -1, 1).float()], 2)
    options = TransitionsOptions(memory=MEMORY, slots=SLOTS)
    said, _ = run(Transitions(Spec(3, 3, dated=True), options), x, y, seen)
    found = torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 1)
    expected = brute_transitions(y[0], seen[0], late, 3)
    assert torch.allclose(found[0].double().exp(), expected, atol=1e-5)


def test_the_second_order_learns_what_the_first_cannot() -> None:
    y = torch.zeros(1, 320, dtype=torch.int64)
    y[0, :2] = torch.tensor([0, 1])
    for row in range(2, 320):  # the sum of the last two, modulo three
        y[0, row] = (y[0, row - 1] + y[0, row - 2]) % 3
    said, _ = run(Transitions(Spec(2, 3)), torch.zeros(1, 320, 2), y, block=32)
    first, second = log_losses(said, y)[0, 160:].mean(0).tolist()
    assert first > 0.5
    assert second < 0.1


def test_a_late_row_is_answered_as_it_was_when_it_was_asked() -> None:
    learner = Transitions(Spec(2, 3, dated=True))
    y = torch.randint(3, (1, 64), generator=drawn())
    state = learner.learn(learner.begin(1), torch.zeros(1, 64, 2), y)
    then = learner.predict(state, torch.zeros(1, 1, 2))
    later = learner.learn(state, torch.zeros(1, 32, 2), (y[:, :32] + 1) % 3)
    now = learner.predict(later, torch.tensor([[[0.0, 32.0]]]))
    assert isinstance(then, Classes)
    assert isinstance(now, Classes)
    assert torch.allclose(then.logp_TBVC, now.logp_TBVC, atol=1e-5)


def brute_slopes(y: Tensor, keep: float, held: float) -> Tensor:
    """Slopes of the regression on (y_1, y_1 - y_2), in double precision."""
    t, u = y[2:] - y[1:-1], torch.stack([y[1:-1], y[1:-1] - y[:-2]], 1)
    weight = keep ** torch.arange(len(t) - 1, -1, -1, dtype=torch.float64)
    share = weight / weight.sum()
    u, t = u - (share[:, None] * u).sum(0), t - (share * t).sum()
    spread = (share[:, None] * u).T @ u
    spread = spread + torch.diag(spread.diagonal() * held / weight.sum())
    slopes: Tensor = torch.linalg.solve(spread, (share[:, None] * u).T @ t)
    return slopes


def wave(rows: int, seed: int = 0) -> Tensor:
    y, noise = torch.zeros(rows, dtype=torch.float64), torch.randn(rows, generator=drawn(seed))
    for row in range(2, rows):
        y[row] = 1.6 * y[row - 1] - 0.8 * y[row - 2] + noise[row]
    return y


def test_autoregression_agrees_with_least_squares_about_the_means() -> None:
    y = 1000 + wave(64)
    learner = Autoregression(Spec(2, 0), AutoregressionOptions(memory=MEMORY))
    _, state = run(learner, torch.zeros(1, 64, 2), y.float().unsqueeze(0))
    _, slope = learner._coefficients(state)
    expected = brute_slopes(y.float().double(), 1 - 1 / MEMORY, 4.0)
    assert torch.allclose(slope[0, :, 2], expected, rtol=1e-3, atol=1e-4)


def test_autoregression_beats_the_last_number_and_knows_by_how_much() -> None:
    y = wave(1600).float().unsqueeze(0)
    said, _ = run(Autoregression(Spec(2, 0)), torch.zeros(1, 1600, 2), y, block=32)
    error = (means(said) - y.unsqueeze(2))[0, 800:].square().mean(0).sqrt()
    assert error[2] < error[1] < error[0]
    assert error[2].item() == pytest.approx(1.0, abs=0.1)
    assert isinstance(said[-1], Numbers)
    assert said[-1].scale_TBV[0, -1, 2].item() == pytest.approx(1.0, rel=0.3)


def test_a_late_row_goes_on_from_the_number_that_stood_there_then() -> None:
    learner = Autoregression(Spec(1, 0, dated=True))
    y = torch.arange(64.0).unsqueeze(0)
    state = learner.learn(learner.begin(1), torch.zeros(1, 64, 1), y)
    said = learner.predict(state, torch.tensor([[[0.0], [10.0]]]))
    assert isinstance(said, Numbers)
    assert said.mean_TBV[0, :, 0].tolist() == pytest.approx([64, 54], abs=0.1)


def test_the_codes_of_words_are_not_taken_for_quantities() -> None:
    y = torch.randint(2, (1, 32), generator=drawn())
    x = torch.randn(1, 32, 4, generator=drawn())
    other = torch.cat([x[..., :2], x[..., 2:] * 100], 2)
    for kind in (Ridge, Bayes):
        learner = kind(Spec(4, 2, codes=1, dated=True))
        one, two = (learner.predict(learner.learn(learner.begin(1), z, y), z) for z in (x, other))
        assert isinstance(one, Classes)
        assert isinstance(two, Classes)
        assert torch.equal(one.logp_TBVC, two.logp_TBVC)


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
