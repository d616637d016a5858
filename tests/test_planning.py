"""Planning through learned dynamics: views, objectives, planners, and the controller of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.control.cem import Cem, CemSettings
from agent.control.dynamics import Dynamics, Scaling, View
from agent.control.mppi import Mppi, MppiSettings
from agent.control.objectives import Forwards, Reach
from agent.control.planned import Planned
from agent.control.planner import Planner, shifted, two_pieces
from agent.learners.base import Blockwise, Said, Spec, State
from agent.learners.meta import numbers
from agent.nets.surprise import Surprise, SurpriseSettings


class Slide(Blockwise):
    """A point on a line, x' = x + g u: the gain g is the last one that was seen."""

    voices = ("one",)
    spec = Spec(2, 0, 2)

    def begin(self, tasks: int) -> State:
        return {"gain": torch.ones(tasks, 1)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        change = state["gain"].unsqueeze(1) * x_TBF[..., -1:]
        mean = torch.cat([change, 0 * change], 2)
        return numbers(self.spec, mean, torch.full_like(mean, 0.1))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        moved = y_TB[:, -1, :1] / x_TBF[:, -1, -1:]
        return {"gain": torch.where(x_TBF[:, -1, -1:].abs() > 0.01, moved, state["gain"])}

    def widen(self, state: State, classes: int) -> State:
        del classes
        return state


class Line(Slide):
    """The same with one number."""

    spec = Spec(2, 0, 1)

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        mean = state["gain"].unsqueeze(1) * x_TBF[..., -1:]
        return numbers(self.spec, mean, torch.full_like(mean, 0.1))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        return super().learn(state, x_TBF, y_TB.unsqueeze(2), seen_TB)


def unit(numbers_of: int) -> Scaling:
    """No scaling."""
    return Scaling(torch.zeros(numbers_of), torch.ones(numbers_of), torch.ones(numbers_of))


def controller(planner: Planner) -> Planned:
    """Drives a point (column 0) to a goal (column 1)."""
    dynamics = Dynamics(View((0,), actions=1), unit(1))
    watch = Surprise(SurpriseSettings(false_alarms=1e-3, settle=5), torch.linspace(-2, 0, 256))
    return Planned(Line(), dynamics, Reach(point=(0,), goal=(1,)), planner, watch)


PLANNERS: list[Callable[[], Planner]] = [
    lambda: Mppi(MppiSettings(candidates=64, horizon=5)),
    lambda: Cem(CemSettings(candidates=48, horizon=5)),
]


@pytest.mark.parametrize("make", PLANNERS, ids=["mppi", "cem"])
def test_a_point_gets_to_its_goal_and_there_again_when_its_motor_turns_round(
    make: Callable[[], Planner],
) -> None:
    mind = controller(make())
    state, draw = mind.begin(2), torch.Generator().manual_seed(0)
    obs = torch.tensor([[0.0, 2.0], [0.0, -1.0]])
    for step in range(40):
        gain = -1.0 if step >= 20 else 1.0
        if step == 20:
            obs = torch.stack([obs[:, 0], -obs[:, 1]], 1)
        state, action = mind.act(state, obs, draw)
        after = torch.stack([obs[:, 0] + gain * action[:, 0], obs[:, 1]], 1)
        state, _ = mind.learn(state, obs, action, after)
        obs = after
        if step in {19, 39}:
            assert bool((obs[:, 0] - obs[:, 1]).abs().max() < 0.1)


@pytest.mark.parametrize("make", PLANNERS, ids=["mppi", "cem"])
def test_robots_do_not_touch_each_other_and_the_same_seed_gives_the_same_actions(
    make: Callable[[], Planner],
) -> None:
    mind = controller(make())
    obs = torch.tensor([[0.0, 2.0], [0.5, -1.0]])
    one, two = (mind.act(mind.begin(2), obs, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one[1], two[1])
    other = torch.stack([obs[0], torch.tensor([0.0, 7.0])])
    apart = mind.act(mind.begin(2), other, torch.Generator().manual_seed(3))
    assert torch.equal(apart[1][0], one[1][0])
    assert not torch.equal(apart[1][1], one[1][1])


def test_a_plan_is_carried_on_and_a_reset_forgets_it_but_not_the_model() -> None:
    mind = controller(Mppi(MppiSettings(horizon=4)))
    obs = torch.tensor([[0.0, 3.0], [0.0, 3.0]])
    state, _ = mind.act(mind.begin(2), obs, torch.Generator().manual_seed(0))
    assert bool((state["planner.plan"][:, 0] > 0.2).all())
    assert bool((state["planner.plan"][:, -1] == 0).all())
    state = {**state, "learner.gain": torch.tensor([[2.0], [3.0]])}
    fresh = mind.reset(state, torch.tensor([True, False]))
    assert bool((fresh["planner.plan"][0] == 0).all())
    assert torch.equal(fresh["planner.plan"][1], state["planner.plan"][1])
    assert torch.equal(fresh["learner.gain"], state["learner.gain"])


@pytest.mark.parametrize("anew", [0.0, 0.25])
def test_plans_made_anew_lead_out_of_where_every_small_change_is_worse(anew: float) -> None:
    planner = Mppi(MppiSettings(candidates=64, horizon=4, noise=(0.2,), anew=anew))

    def worth(action_NCHA: Tensor) -> Tensor:
        mean_NC = action_NCHA.mean((2, 3))
        return torch.maximum(-mean_NC.abs(), 5 * (mean_NC - 0.7))

    state, draw = planner.begin(3, 2), torch.Generator().manual_seed(0)
    for _ in range(20):
        state = planner.improve(state, worth, draw)
    gone_N = state["plan"].mean((1, 2)) > 0.7
    assert gone_N.tolist() == [anew > 0] * 3


def test_plans_in_two_pieces_change_once_at_the_most() -> None:
    plan_NCHA = two_pieces((2, 50, 6, 3), torch.Generator().manual_seed(0), torch.device("cpu"))
    changed_NCH = (plan_NCHA[:, :, 1:] != plan_NCHA[:, :, :-1]).any(3)
    assert plan_NCHA.shape == (2, 50, 6, 3)
    assert int(changed_NCH.sum(2).max()) == 1
    assert 0 < int(changed_NCH.any(2).sum()) < 100


def test_a_plan_shifts_by_one_step() -> None:
    plan = torch.arange(3.0).view(1, 3, 1)
    assert shifted({"plan": plan})["plan"].flatten().tolist() == [1.0, 2.0, 0.0]


def test_acting_does_not_change_the_learner_and_learning_not_the_plan() -> None:
    mind = controller(Mppi(MppiSettings(horizon=4)))
    obs = torch.tensor([[0.0, 3.0]])
    before = mind.begin(1)
    acted, action = mind.act(before, obs, torch.Generator().manual_seed(0))
    assert torch.equal(acted["learner.gain"], before["learner.gain"])
    after, noticed = mind.learn(acted, obs, action, obs + 0.5)
    assert torch.equal(after["planner.plan"], acted["planner.plan"])
    assert noticed.surprise_N.shape == (1,)


def test_a_view_told_from_its_goal_takes_no_moving_goal_for_a_change() -> None:
    view = View((0, 1), actions=1, from_goal=((1, 2),))
    dynamics = Dynamics(view, unit(2))
    before = torch.tensor([[0.3, 1.0, 2.0]])  # the point is at 3
    after = torch.tensor([[0.3, -1.0, 4.0]])  # still there; the goal went on
    assert torch.equal(dynamics.targets(before, after), torch.zeros(1, 2))
    rows = [dynamics.rows(one, torch.zeros(1, 1)) for one in (before, after)]
    assert torch.equal(rows[0], rows[1])


def test_a_step_moves_the_body_leaves_the_goal_and_keeps_angles_on_their_circle() -> None:
    view = View((0, 1), actions=1, circles=((0, 1),))
    dynamics = Dynamics(view, unit(2))
    learner = Slide()
    learner.spec = view.spec
    obs = torch.tensor([[[1.0, 0.0, 9.0]]])
    after = dynamics.step(learner, learner.begin(1), obs, torch.tensor([[[-0.5]]]))
    assert after[0, 0, 2] == 9.0
    assert after[0, 0, :2].norm() == pytest.approx(1.0)
    assert after[0, 0, 0] == pytest.approx(1.0)


def test_scaling_is_read_back_from_its_tensors() -> None:
    draw = torch.Generator().manual_seed(0)
    body = 3 + 2 * torch.randn(50, 40, 2, generator=draw)
    scaling = Scaling.of(body, body + 0.1 * torch.randn(50, 40, 2, generator=draw))
    assert scaling.spread_B.tolist() == pytest.approx([2.0, 2.0], rel=0.1)
    assert scaling.change_B.tolist() == pytest.approx([0.1, 0.1], rel=0.1)
    assert torch.equal(Scaling.read(scaling.tensors()).mean_B, scaling.mean_B)


def test_reaching_wants_to_be_near_and_slow_and_idle() -> None:
    wants = Reach(point=(0,), goal=(1,), speed=(2,), metre=100.0, slow=0.1, effort=0.01)
    obs = torch.tensor([[[50.0, 0.0, 0.0], [10.0, 0.0, 0.0], [10.0, 0.0, 2.0]]])
    still, push = torch.zeros(1, 3, 1), torch.ones(1, 3, 1)
    worth = wants(obs, still, 1)[0]
    assert worth.tolist() == pytest.approx([-0.5, -0.1, -0.5])
    assert bool((wants(obs, push, 1)[0] < worth).all())


def test_going_forwards_is_worth_its_speed_less_its_effort() -> None:
    worth = Forwards(speed=1, effort=0.1)(torch.tensor([[[0.0, 2.0]]]), torch.ones(1, 1, 3), 0)
    assert worth.item() == pytest.approx(1.7)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MppiSettings(candidates=0),
        lambda: MppiSettings(noise=()),
        lambda: MppiSettings(anew=1.0),
        lambda: CemSettings(elites=80),
        lambda: CemSettings(narrowest=0.0),
        lambda: View((), actions=1),
        lambda: View((1, 1), actions=1),
        lambda: Reach(point=()),
        lambda: Reach(point=(0, 1), goal=(2,)),
        lambda: SurpriseSettings(false_alarms=0.0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"give|must"):
        make()
