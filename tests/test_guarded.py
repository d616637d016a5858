"""Surprise with a set rate of false alarms, and task inference over several numbers under guard."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.continual.belief import MixtureSettings
from agent.continual.guarded import Guarded, GuardedSettings
from agent.continual.mixture import Mixture
from agent.continual.recent import Recent
from agent.continual.still import Still
from agent.learners.alpaca import Alpaca, AlpacaOptions
from agent.learners.base import Learner, Numbers, Spec, State
from agent.learners.inferring import Inferring
from agent.nets.body import BodySettings
from agent.nets.surprise import Surprise, SurpriseSettings

SPEC = Spec(4, 0, 3)
SMALL = AlpacaOptions(BodySettings(hidden=(16,), activation="tanh"), size=16, forgetting=0.98)
QUICK = MixtureSettings(tasks=4, spans=(8.0, 24.0), by_inputs=False)


def noise(kind: str, shape: tuple[int, int]) -> Tensor:
    """Surprises of bodies that do not change: logs of squared errors of these kinds."""
    draw = np.random.default_rng(5)
    found: NDArray[Any] = {
        "normal": lambda: draw.normal(size=(*shape, 4)),
        "heavy": lambda: draw.standard_t(3, size=(*shape, 4)),
        "skewed": lambda: draw.exponential(size=(*shape, 4)),
    }[kind]()
    return torch.from_numpy(np.log((found**2).mean(2)).astype(np.float32))


def heard(detector: Surprise, surprise_TN: Tensor) -> Tensor:
    """At which steps alarms are raised, TN."""
    state, raised = detector.begin(surprise_TN.shape[1]), []
    for one_N in surprise_TN:
        state, alarm_N = detector.hear(state, one_N)
        raised.append(alarm_N)
    return torch.stack(raised)


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_false_alarms_come_at_their_set_rate_at_most_whatever_errors_are_like(kind: str) -> None:
    rate = 0.003
    alarms = heard(Surprise(SurpriseSettings(false_alarms=rate)), noise(kind, (1500, 64)))
    assert alarms.float().mean().item() < 1.5 * rate


def test_a_change_is_told_within_a_few_steps_and_once() -> None:
    surprise = noise("normal", (1000, 16))
    surprise[800:815] += 8
    alarms = heard(Surprise(SurpriseSettings(false_alarms=1e-5)), surprise)
    assert bool((alarms[800:803].sum(0) == 1).all())
    assert alarms[803:].sum() == 0


def test_with_what_is_usual_at_hand_it_judges_as_soon_as_it_has_settled() -> None:
    usual, settings = noise("normal", (1, 4000))[0], SurpriseSettings(settle=10)
    alarms = heard(Surprise(settings, usual), torch.full((20, 2), 9.0))
    assert not bool(alarms[:10].any())
    assert bool(alarms[10:].any(0).all())
    assert not bool(heard(Surprise(settings), torch.full((20, 2), 9.0)).any())


def linear(gain: float, rows: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A motor with a gain: rows of three numbers and an action, and three changes."""
    x = torch.randn(2, rows, 4, generator=draw).clamp(-2, 2)
    y = 0.3 * x[..., :3] + gain * x[..., 3:] + 0.05 * torch.randn(2, rows, 3, generator=draw)
    return x, y


def lived(learner: Learner, gains: list[float], rows: int = 80) -> list[State]:
    """States at the end of each stretch of one gain, row by row."""
    state, draw, states = learner.begin(2), torch.Generator().manual_seed(1), []
    with torch.no_grad():
        for gain in gains:
            x, y = linear(gain, rows, draw)
            for row in range(rows):
                state = learner.learn(state, x[:, row : row + 1], y[:, row : row + 1])
            states.append(state)
    return states


@pytest.mark.parametrize("guarded", [False, True])
def test_a_body_that_returns_is_known_again_and_a_new_one_is_new(*, guarded: bool) -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    settings = GuardedSettings(QUICK, SurpriseSettings(1e-3, every=1))
    learner = Guarded(inner, settings) if guarded else Mixture(inner, QUICK)
    assert isinstance(learner, Inferring)
    states = lived(learner, [1.0, -1.0, 1.0, -1.0], 160)
    believed = [learner.believed(state) for state in states]
    assert believed[0].number_T.tolist() == [0, 0]
    assert bool((believed[1].number_T > 0).all())
    assert believed[2].number_T.tolist() == [0, 0]
    assert torch.equal(believed[3].number_T, believed[1].number_T)
    assert torch.equal(believed[3].new_T, believed[1].new_T)


def test_what_is_planned_with_is_what_answers_best() -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    learner = Mixture(inner, QUICK)
    state = lived(learner, [1.0, -1.0])[-1]
    model, best = learner.foremost(state)
    x, y = linear(-1.0, 40, torch.Generator().manual_seed(9))
    said = model.predict(best, x)
    assert isinstance(said, Numbers)
    right, wrong = ((said.moments()[0] - one).abs().mean() for one in (y, -y))
    assert right < 0.3 * wrong
    mixed = learner.predict(state, x).moments()[0]  # type: ignore[union-attr] # numbers
    assert mixed.shape == y.shape


def test_under_guard_no_task_changes_where_nothing_does() -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    learner = Guarded(inner, GuardedSettings(QUICK, SurpriseSettings(1e-4, every=1)))
    state = lived(learner, [1.0], 500)[-1]
    assert learner.believed(state).changes_T.tolist() == [0, 0]


def test_where_no_alarm_lasts_the_body_told_is_believed_for_sure() -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    learner = Guarded(inner, GuardedSettings(QUICK, SurpriseSettings(1e-3, every=1)))
    for state in lived(learner, [1.0, -1.0, 1.0], 160):
        believed = learner.believed(state)
        own_TM = believed.ids_TM == believed.number_T.unsqueeze(1)
        assert torch.equal(believed.posterior_TM[own_TM], torch.ones(2, dtype=torch.float64))
        assert believed.posterior_TM.sum(1).tolist() == [1.0, 1.0]


def test_a_body_met_only_shortly_is_no_part_of_the_next_one_unless_it_may_be() -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    new = {}
    for young in (48.0, 400.0):
        settings = GuardedSettings(replace(QUICK, young=young), SurpriseSettings(1e-3, every=1))
        states = lived(Guarded(inner, settings), [1.0, -1.0, 3.0], 160)
        new[young] = Guarded(inner, settings).believed(states[-1]).new_T.tolist()
    assert new == {48.0: [2, 2], 400.0: [1, 1]}


def test_recent_forgets_all_but_the_last_and_rehearsing_goes_on() -> None:
    inner = Alpaca(SPEC, SMALL).eval().requires_grad_(requires_grad=False)
    draw = torch.Generator().manual_seed(0)
    (x_a, y_a), (x_b, y_b) = linear(1.0, 30, draw), linear(-1.0, 16, draw)
    for anew in (True, False):
        learner = Recent(inner, 16, anew=anew)
        state = learner.learn(learner.learn(learner.begin(2), x_a, y_a), x_b, y_b)
        alone = learner.learn(learner.begin(2), x_b, y_b)
        same = torch.allclose(
            learner.predict(state, x_b).moments()[0],  # type: ignore[union-attr] # numbers
            learner.predict(alone, x_b).moments()[0],  # type: ignore[union-attr] # numbers
        )
        assert same == anew


def test_a_still_learner_learns_nothing() -> None:
    learner = Still(Alpaca(SPEC, SMALL))
    before = learner.begin(2)
    assert learner.learn(before, *linear(1.0, 8, torch.Generator().manual_seed(0))) is before
