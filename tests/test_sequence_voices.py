"""Voices that read the order of events: transitions of classes, autoregression of numbers."""

import pytest
import torch
from torch import Tensor

from agent.learners.autoregression import Autoregression, AutoregressionOptions
from agent.learners.base import Classes, Numbers, Spec
from agent.learners.bayes import Bayes
from agent.learners.ridge import Ridge
from agent.learners.transitions import Transitions, TransitionsOptions
from agent.nets import EPSILON
from tests.voices import drawn, log_losses, masked, run

SLOTS, MEMORY = 24, 50.0


def means(said: list[Classes | Numbers]) -> Tensor:
    return torch.cat([one.mean_TBV for one in said if isinstance(one, Numbers)], 1)


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
