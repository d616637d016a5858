"""Robots that reach: experience, meta-training of dynamics, and the planar arm as it is shipped."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from agent.control.controller import Controller, Noticed
from agent.control.dynamics import Dynamics, Scaling
from agent.learners.base import State
from agent.learners.context_window import ContextWindow, ContextWindowOptions
from agent.nets.body import BodySettings
from agent.robot.controllers import RobotSpec, drivers, find
from agent.robot.experience import Experience, Wander, gather
from agent.robot.make_reaching import PlanOptions
from agent.robot.meta_dynamics import MetaSettings, Windows, meta_train
from agent.robot.reaching import REACHING
from agent.robot.reaching_models import MODELS, slug
from agent.robot.trained import every_part
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS

ARM = RobotSpec("PlanarArm", 13, 3, 0.04)
SHORT = Wander(steps=40, restarts=2)


@pytest.fixture(scope="module")
def experience() -> Experience:
    """A few arms that wander."""
    return gather("PlanarArm", [Body(), Body.parse("invert:elbow")] * 4, 3, SHORT)


@pytest.fixture(scope="module")
def windows(experience: Experience) -> Windows:
    """Their rows."""
    view = REACHING["PlanarArm"].view
    before, after = view.read(experience.obs_NTO), view.read(experience.next_NTO)
    return Windows.of(experience, Dynamics(view, Scaling.of(before, after)))


def drive(
    controller: Controller, fleet: Fleet, state: State, steps: int, seed: int = 0
) -> tuple[State, Tensor, list[Noticed]]:
    """Let robots act; give the state after, centimetres from the target, what was noticed."""
    draw, noticed, apart = torch.Generator().manual_seed(seed), [], []
    obs = torch.from_numpy(fleet.observe())
    for _ in range(steps):
        state, action = controller.act(state, obs, draw)
        seen, reward, _ = fleet.step(action.numpy())
        after = torch.from_numpy(seen)
        state, one = controller.learn(state, obs, action, after)
        obs = after
        noticed.append(one)
        apart.append(-100 * torch.from_numpy(reward))
    return state, torch.stack(apart), noticed


def test_experience_is_runs_without_gaps_and_the_same_for_the_same_seed(
    experience: Experience,
) -> None:
    assert experience.obs_NTO.shape == (16, 20, 13)
    assert torch.equal(experience.next_NTO[:, :-1], experience.obs_NTO[:, 1:])
    again = gather("PlanarArm", [Body(), Body.parse("invert:elbow")] * 4, 3, SHORT)
    assert torch.equal(again.next_NTO, experience.next_NTO)
    assert experience.action_NTA.abs().max() <= 1


def test_rewired_motors_change_actions_and_nothing_else(windows: Windows) -> None:
    plain = MetaSettings(tasks=8, window=6, rewired=0.0)
    x, y = windows.draw(plain, 6, torch.Generator().manual_seed(0))
    other, same = windows.draw(replace(plain, rewired=1.0), 6, torch.Generator().manual_seed(0))
    assert torch.equal(same, y)
    assert torch.equal(other[..., :-3], x[..., :-3])
    factor = x[..., -3:] / other[..., -3:]
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), rtol=1e-3)  # one a body
    assert factor.abs().min() >= 0.999
    assert factor.abs().max() <= 2.02


def test_mixed_windows_begin_on_another_body(windows: Windows) -> None:
    settings = MetaSettings(tasks=64, window=8, rewired=0.0, mixed=1.0)
    x, _ = windows.draw(settings, 8, torch.Generator().manual_seed(0))
    plain, _ = windows.draw(replace(settings, mixed=0.0), 8, torch.Generator().manual_seed(0))
    early = (x != plain).any(2)
    assert bool(early[:, :7].any())
    assert not bool(early[:, 8:].any())  # what is asked is of one body


def test_meta_training_foresees_better_and_the_same_seed_gives_the_same_bits(
    windows: Windows,
) -> None:
    spec = REACHING["PlanarArm"].view.spec
    body = BodySettings(hidden=(16, 16), activation="gelu")
    options = ContextWindowOptions(memory=8, recent=4, encoder=(16,), code=4, body=body)
    settings = MetaSettings(updates=50, tasks=16, window=8, queries=4, warm=5, rate=0.01)
    found = []
    for _ in range(2):
        learner = ContextWindow(spec, options)
        first = meta_train(learner, windows, replace(settings, updates=1), torch.Generator())
        last = meta_train(learner, windows, settings, torch.Generator().manual_seed(1))
        assert last < first - 0.2
        found.append(learner.state_dict())
    assert all(torch.equal(leaf, found[1][name]) for name, leaf in found[0].items())


@pytest.mark.parametrize("robot", sorted(REACHING))
def test_columns_are_what_the_robot_says_they_are(robot: str) -> None:
    labels, reaching = ROBOTS[robot].labels, REACHING[robot]
    assert reaching.view.actions == ROBOTS[robot].actions
    for cosine, sine in reaching.view.circles:
        assert labels[cosine].split() == ["cos", labels[sine].split()[1]]
        assert labels[sine].startswith("sin ")
    goals = reaching.objective.goal + tuple(goal for _, goal in reaching.view.from_goal)
    assert all("target" in labels[column] for column in goals)
    assert all("velocity" in labels[column] for column in reaching.objective.speed)
    left = set(range(len(labels))) - set(reaching.view.body)
    assert all("target" in labels[column] for column in left)


def test_every_model_of_the_arm_is_a_part_to_train_and_has_a_controller() -> None:
    assert {slug("PlanarArm", model) for model in MODELS} <= set(every_part())
    assert slug("Reacher", "context") == "reacher-context"
    assert drivers("PlanarArm")[0] == "plan/context"
    assert {f"plan/{model}" for model in MODELS} <= set(drivers("PlanarArm"))


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_drives_the_arm(model: str) -> None:
    controller = find(f"plan/{model}")(ARM)
    fleet = Fleet("PlanarArm", [Body()] * 2, seed=1)
    fleet.reset()
    state, apart, noticed = drive(controller, fleet, controller.begin(2), 6)
    assert bool(apart.isfinite().all())
    assert all(bool(one.surprise_N.isfinite().all()) for one in noticed)
    assert {name: leaf.shape for name, leaf in state.items()} == {
        name: leaf.shape for name, leaf in controller.begin(2).items()
    }


def test_the_arm_finds_out_that_its_motors_turn_the_other_way() -> None:
    """Held-out: all three at once. Within a second, nobody tells, nothing is reset."""
    controller = find("plan/context")(ARM)
    fleet = Fleet("PlanarArm", [Body()] * 4, seed=2)
    fleet.reset()
    state, apart, noticed = drive(controller, fleet, controller.begin(4), 100)
    assert float(apart[-25:].median()) < 0.6
    assert not any(any(one.change) for one in noticed)
    fleet.embody(range(4), [Body.parse("invert:shoulder,elbow,wrist")] * 4)
    state, apart, noticed = drive(controller, fleet, state, 50)
    assert float(apart[:15].max()) > 3  # it went astray
    assert float(apart[25:].median()) < 1.0
    assert sum("new" in one.change for one in noticed) >= 1


def test_a_reacher_reaches_with_a_motor_turned_round() -> None:
    controller = find("plan/context")(RobotSpec("Reacher", 10, 2, 0.02))
    fleet = Fleet("Reacher", [Body(), Body.parse("invert:joint0,joint1")], seed=2)
    fleet.reset()
    drive(controller, fleet, controller.begin(2), 80)
    assert float(torch.from_numpy(fleet.observe())[:, 8:].norm(dim=1).max()) < 0.03


def test_a_copy_of_the_state_goes_on_bit_for_bit() -> None:
    fleet = Fleet("PlanarArm", [Body.parse("dead:wrist")] * 2, seed=4)
    fleet.reset()
    controller = find("plan/context")(ARM)
    state, _, _ = drive(controller, fleet, controller.begin(2), 40)
    world, kept = fleet.state(), {name: leaf.clone() for name, leaf in state.items()}
    _, one, _ = drive(controller, fleet, state, 15, seed=7)
    fleet.restore(world)
    _, two, _ = drive(find("plan/context")(ARM), fleet, kept, 15, seed=7)
    assert torch.equal(one, two)


def test_what_makes_no_sense_is_refused() -> None:
    for make in (
        lambda: PlanOptions(bodies=-1),
        lambda: MetaSettings(shortest=9, window=8),
        lambda: MetaSettings(mixed=2.0),
        lambda: Wander(least=0.0),
    ):
        with pytest.raises(ValueError, match=r"give|must"):
            make()
