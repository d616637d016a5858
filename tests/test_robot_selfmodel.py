"""The self-model on a body of three motors that pull on three speeds: exact, and fast to fit."""

from functools import cache

import pytest
import torch
from torch import Tensor

from agent.control.forward import FitSettings, Forward, fit
from agent.control.gain_learner import GainLearner
from agent.control.gains import Through, gauss_newton, likelihood, signs, sizes, sparse
from agent.control.selfmodel import Learned, SelfModel, SelfSettings
from agent.control.suspicion import Steps, SuspicionSettings, slopes
from agent.control.tail import Tail
from agent.learners.base import Spec, State
from agent.nets.body import seeded

MOTORS = 3
PULL = torch.tensor([[1.0, 0.4, 0.0], [-0.3, 1.0, 0.2], [0.1, 0.0, 1.0]])


def moved(obs: Tensor, action: Tensor, gain: Tensor, draw: torch.Generator) -> Tensor:
    """Give the next observation: speeds decay, motors pull, and a little noise."""
    noise = 0.02 * torch.randn(obs.shape, generator=draw)
    return 0.8 * obs + (gain * action) @ PULL.T + 0.1 * torch.tanh(obs) + noise


@cache
def through() -> Through:
    draw = torch.Generator().manual_seed(0)
    obs = torch.randn(4000, MOTORS, generator=draw)
    action = 2 * torch.rand(4000, MOTORS, generator=draw) - 1
    change = moved(obs, action, torch.ones(MOTORS), draw) - obs
    with seeded(0):
        model = Forward(MOTORS, MOTORS, hidden=(48, 48))
    fit(model, (obs, action, change), FitSettings(steps=1500, batch=256, rate=5e-3), draw)
    return Through(model, tuple(range(MOTORS)))


class Robots:
    """Robots under random commands, followed by a self-model."""

    def __init__(self, robots: int = 4, settings: SelfSettings | None = None) -> None:
        self.model = SelfModel(through(), settings)
        self.state: State = self.model.begin(robots)
        self.draw = torch.Generator().manual_seed(1)
        self.obs, self.told = torch.zeros(robots, MOTORS), list[Learned]()

    def go(self, gain: list[float], steps: int) -> list[Learned]:
        began = len(self.told)
        for _ in range(steps):
            action = 2 * torch.rand(self.obs.shape, generator=self.draw) - 1
            after = moved(self.obs, action, torch.tensor(gain), self.draw)
            self.state, told = self.model.learn(self.state, self.obs, action, after)
            self.obs = after
            self.told.append(told)
        return self.told[began:]


def changes(told: list[Learned], robot: int = 0) -> list[str]:
    return [one.change[robot] for one in told if one.change[robot]]


INTACT, TURNED, WEAK = [1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [0.4, 1.0, 0.0]


def test_an_inverted_motor_is_known_within_five_steps() -> None:
    robots = Robots()
    robots.go(INTACT, 30)
    robots.go(TURNED, 5)
    assert torch.allclose(robots.state["gain"], torch.tensor(TURNED).expand(4, -1), atol=0.15)


def test_a_change_is_told_once_as_new_and_as_returned_when_it_comes_back() -> None:
    robots = Robots()
    robots.go(INTACT, 30)
    assert [changes(robots.go(gain, 40), robot) for gain in (TURNED,) for robot in (0,)] == [
        ["new"]
    ]
    assert changes(robots.go(INTACT, 40)) == ["returned"]
    assert changes(robots.go(WEAK, 40)) == ["new"]
    assert changes(robots.go(TURNED, 40)) == ["returned"]
    assert robots.model.number(robots.state).tolist() == [1] * 4


def test_nothing_is_told_of_a_body_that_stays() -> None:
    told = Robots(16).go(INTACT, 400)
    assert not any(kind for one in told for kind in one.change)


def test_the_memory_is_bounded_and_the_intact_body_stays_in_it() -> None:
    robots = Robots(2, SelfSettings(slots=4))
    for motor in range(MOTORS):
        for gain in (-1.0, 0.0, 0.5):
            robots.go([gain if one == motor else 1.0 for one in range(MOTORS)], 30)
    assert (robots.state["used"] >= 0).sum(1).tolist() == [4, 4]
    assert changes(robots.go(INTACT, 30)) == ["returned"]
    assert robots.model.number(robots.state).tolist() == [0, 0]


def test_learning_leaves_its_state_alone() -> None:
    robots = Robots()
    robots.go(INTACT, 20)
    before = {name: one.clone() for name, one in robots.state.items()}
    kept = robots.state
    robots.go(TURNED, 20)
    assert all(torch.equal(kept[name], one) for name, one in before.items())


def test_a_body_that_is_not_explained_is_known_to_be_odd() -> None:
    robots = Robots()
    robots.go(INTACT, 30)
    assert robots.state["odd"].max() < 1.5
    for _ in range(60):  # a wind that no motor makes
        action = 2 * torch.rand(robots.obs.shape, generator=robots.draw) - 1
        gust = torch.randn(robots.obs.shape, generator=robots.draw)
        after = moved(robots.obs, action, torch.tensor(INTACT), robots.draw) + gust
        robots.state, _ = robots.model.learn(robots.state, robots.obs, action, after)
        robots.obs = after
    assert robots.state["odd"].min() > 2.5


def test_steps_before_a_reset_tell_nothing_after_it() -> None:
    robots = Robots(2)
    robots.go(INTACT, 20)
    fresh = robots.model.forget_steps(robots.state, torch.tensor([True, False]))
    assert fresh["seen"].any(1).tolist() == [False, True]


def test_fewer_false_alarms_ask_for_more_evidence() -> None:
    draw = torch.Generator().manual_seed(0)
    tail = Tail.measured(-2 * torch.rand(2, 100_000, generator=draw).log())
    assert tail.scale == pytest.approx(2.0, rel=0.25)
    assert tail.threshold(1e-6) - tail.threshold(1e-4) == pytest.approx(
        tail.scale * 4.605, rel=1e-3
    )


def test_one_bad_contact_hardly_moves_an_estimate() -> None:
    steps = rows(24)
    bad = steps._replace(next_NWO=steps.next_NWO.clone())
    bad.next_NWO[:, 5] += 30.0
    ridge, pull, seen = 0.1 * torch.eye(MOTORS).unsqueeze(0), torch.zeros(1, MOTORS), torch.ones(1)
    found = [
        gauss_newton(slopes(through(), one, torch.ones(1, MOTORS)), ridge, pull, seen.expand(1, 24))
        for one in (steps, bad)
    ]
    assert (found[0] - found[1]).abs().max() < 0.1


def test_a_sparse_step_changes_only_the_motor_that_changed() -> None:
    around = slopes(through(), rows(4, TURNED), torch.ones(1, MOTORS))
    step = sparse(around, torch.ones(1, 4))[0]
    assert step[1] == pytest.approx(-2.0, abs=0.4)
    assert step[[0, 2]].abs().max() < 0.1


def test_a_wider_body_takes_large_errors_for_likelier() -> None:
    error, log = torch.full((1, 3), 6.0), torch.zeros(1, 3)
    assert likelihood(error, log, 4.0) > likelihood(error, log, 1.0)
    assert likelihood(0 * error, log, 4.0) < likelihood(0 * error, log, 1.0)


def test_what_a_policy_is_told_of_gains() -> None:
    gain = torch.tensor([[1.0, -1.0, 0.0, -0.1]])
    assert torch.allclose(sizes(gain), torch.tensor([[0.0, 0.0, -1.0, -0.9]]))
    assert signs(gain).tolist() == [[1.0, -1.0, 1.0, 1.0]]


def rows(count: int, gain: list[float] = INTACT) -> Steps:
    draw = torch.Generator().manual_seed(3)
    obs = torch.randn(1, count, MOTORS, generator=draw)
    action = 2 * torch.rand(1, count, MOTORS, generator=draw) - 1
    after = moved(obs, action, torch.tensor(gain), draw)
    return Steps(obs, action, after, torch.ones(1, count, dtype=torch.bool))


def test_as_a_learner_it_predicts_better_once_it_has_seen_the_body() -> None:
    learner = GainLearner(Spec(2 * MOTORS, 0, MOTORS), SelfModel(through()))
    steps = rows(40, WEAK)
    x, y = torch.cat([steps.obs_NWO, steps.action_NWA], -1), steps.next_NWO
    start = learner.begin(1)
    early, late = learner.predict(start, x), learner.predict(learner.learn(start, x, y), x)
    wrong = [(one.moments()[0] - y).square().mean() for one in (early, late)]
    assert wrong[1] < 0.1 * wrong[0]


def test_as_a_learner_it_learns_nothing_from_what_was_not_seen() -> None:
    learner = GainLearner(Spec(2 * MOTORS, 0, MOTORS), SelfModel(through()))
    steps = rows(10, WEAK)
    x, y = torch.cat([steps.obs_NWO, steps.action_NWA], -1), steps.next_NWO
    start = learner.begin(1)
    after = learner.learn(start, x, y, torch.zeros(1, 10, dtype=torch.bool))
    assert all(torch.equal(after[name], start[name]) for name in start)


def test_a_learner_of_another_robot_is_refused() -> None:
    with pytest.raises(ValueError, match="3 observations and 3 actions"):
        GainLearner(Spec(4, 0, 2), SelfModel(through()))


@pytest.mark.parametrize("windows", [(), (3, 2), (0, 2)])
def test_windows_must_ascend(windows: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="windows"):
        SuspicionSettings(windows=windows)
