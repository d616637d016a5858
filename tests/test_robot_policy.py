"""Policies, who of them acts, and the drill and the descent by which they are trained."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.control.context_policy import Policies, ThroughSelf
from agent.control.forward import Forward
from agent.control.gains import Through, signs
from agent.control.guard import GuardSettings, trusted
from agent.control.policy import Actor, Bank
from agent.control.selfmodel import SelfModel
from agent.nets.body import seeded
from agent.robot.ppo import Learner, PpoSettings, Trained, advantages, built, collect, train
from agent.robot.ppo_drill import Drill, DrillSettings, Seen, Stepped, described
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS

ROBOT, OBS, ACTIONS = "HalfCheetah", 17, 6


def actor(seed: int = 0, context: int = ACTIONS) -> Actor:
    with seeded(seed):
        made = Actor(OBS, ACTIONS, context, angles=(1,), hidden=(16,))
    last = list(made.net.parameters())[-2]
    torch.nn.init.normal_(last, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_(requires_grad=False)


def seen(robots: int = 3) -> Tensor:
    return torch.randn(robots, OBS, generator=torch.Generator().manual_seed(5))


def test_a_turn_of_the_trunk_by_a_whole_round_is_no_other_pose() -> None:
    obs = seen()
    turned = obs.clone()
    turned[:, 1] += 2 * np.pi
    told = torch.zeros(3, ACTIONS)
    assert torch.allclose(actor()(obs, told), actor()(turned, told), atol=1e-5)
    turned[:, 1] += np.pi
    assert not torch.allclose(actor()(obs, told), actor()(turned, told), atol=1e-2)


def test_an_actor_is_built_again_from_its_tensors() -> None:
    first = actor(3)
    first.senses.look(10 * seen(50) + 2)
    again, told = Actor.of(first.state_dict()), torch.rand(3, ACTIONS)
    assert torch.equal(again(seen(), told), first(seen(), told))


def test_a_bank_gives_each_robot_its_own_actor() -> None:
    some, told = [actor(seed) for seed in range(3)], torch.zeros(3, ACTIONS)
    acts = Bank(some)(seen(), told, torch.tensor([2, 0, 2]))
    assert torch.allclose(acts[0], some[2](seen(), told)[0])
    assert torch.allclose(acts[1], some[0](seen(), told)[1])


def test_the_guard_trusts_what_training_has_had() -> None:
    gain = torch.ones(5, ACTIONS)
    gain[1, 2] = -1.0  # turned round: its size is the intact one's
    gain[2, :3] = 0.0
    gain[3, 0] = 1.25
    odd = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0])
    assert trusted(gain, odd, GuardSettings()).tolist() == [True, True, False, False, False]


def controller(gain: Tensor, odd: float = 1.0) -> tuple[ThroughSelf, dict[str, Tensor]]:
    with seeded(0):
        model = SelfModel(Through(Forward(OBS, ACTIONS, hidden=(8,)), (8, 9)))
    dead: dict[tuple[int, ...], Actor] = {(0,): actor(7)}
    made = ThroughSelf(Policies(actor(1), actor(2, 0), dead), model)
    state = dict(made.begin(1)) | {"gain": gain, "odd": torch.tensor([odd])}
    return made, state


def acted(gain: Tensor, odd: float = 1.0) -> Tensor:
    made, state = controller(gain, odd)
    return made.act(state, seen(1), torch.Generator())[1]


def test_commands_to_inverted_motors_are_turned_round() -> None:
    turned = torch.ones(1, ACTIONS)
    turned[0, 3] = -1.0
    intact = acted(torch.ones(1, ACTIONS))
    assert torch.allclose(acted(turned), intact * turned)


def test_a_dead_motor_calls_its_specialist() -> None:
    gain = torch.ones(1, ACTIONS)
    gain[0, 0] = 0.02
    told = gain.abs() - 1
    assert torch.allclose(acted(gain), actor(7)(seen(1), told).clamp(-1, 1))


def test_the_robust_policy_acts_where_nothing_is_explained() -> None:
    assert torch.allclose(acted(torch.ones(1, ACTIONS), odd=6.0), actor(2, 0)(seen(1)).clamp(-1, 1))


class Rises:
    """Takes a robot whose pitch is above 1 for fallen, and holds all motors at a half."""

    def fallen(self, obs_NO: Tensor, before_N: Tensor) -> Tensor:
        return (obs_NO[:, 1] > 1) | before_N & (obs_NO[:, 1] > 0.5)

    def __call__(self, obs_NO: Tensor, down_N: Tensor, gain_NA: Tensor) -> Tensor:
        assert bool((down_N >= 1).all())
        assert gain_NA.shape == (len(obs_NO), ACTIONS)
        return torch.full((len(obs_NO), ACTIONS), 0.5)


def test_who_has_been_down_for_a_while_is_made_to_get_up_through_its_own_motors() -> None:
    gain = torch.ones(1, ACTIONS)
    gain[0, 2] = -1.0
    made, first = controller(gain)
    made.policies = replace(made.policies, rise=Rises(), patience=2)
    obs, state = seen(1), dict[str, Tensor](first)
    obs[0, 1] = 2.0
    acts = []
    for _ in range(3):
        after, action = made.act(state, obs, torch.Generator())
        state = dict(after)
        acts.append(action)
    assert not torch.equal(acts[1], acts[2])
    assert torch.equal(acts[2], 0.5 * signs(gain))
    obs[0, 1] = 0.0
    assert not torch.equal(made.act(state, obs, torch.Generator())[1].abs(), acts[2].abs())


def drill(body: str, episode: int) -> Drill:
    told = DrillSettings(robots=4, episode=episode, moment=0.0, change=0.0, told=False)
    return Drill(ROBOT, [Body.parse(body)], told, 0, (1,))


def test_a_drilled_motor_does_what_the_body_with_that_motor_does() -> None:
    body = Body.parse("invert:bthigh+dead:ffoot+weak:bshin=0.4")
    fleet, own = Fleet(ROBOT, [body] * 4, seed=0), drill(body.name, 1_000_000)
    obs, draw = torch.from_numpy(fleet.reset()), torch.Generator().manual_seed(0)
    began = own.begin().obs
    own_fleet = own._fleet
    state = fleet.state()
    own_fleet.restore(state | {"bodies": own_fleet.state()["bodies"]})
    assert torch.equal(began, obs)
    for _ in range(10):
        action = 2 * torch.rand(4, ACTIONS, generator=draw) - 1
        after, reward, _ = fleet.step(action.numpy())
        now, same, _, _, _ = own.step(action)
        assert torch.allclose(now.obs, torch.from_numpy(after), atol=1e-4)
        assert torch.allclose(same, torch.from_numpy(reward), atol=1e-4)


def test_episodes_of_a_drill_end_by_the_clock_and_begin_again() -> None:
    own, ends = drill("intact", 30), 0
    for _ in range(60):
        ends += int(own.step(torch.zeros(4, ACTIONS)).ended_N.sum())
    assert ends == 4 * 2


def test_the_context_of_a_drill_is_the_size_of_gains() -> None:
    body = Body.parse("invert:bthigh+dead:ffoot")
    settings = DrillSettings(robots=2, blur=0.0, moment=0.0, change=0.0)
    context = Drill(ROBOT, [body], settings, 0).begin().context
    assert context[0].tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]


def test_models_are_described_by_how_they_differ_from_the_first() -> None:
    kind = ROBOTS[ROBOT]
    models = [kind.model(Body.parse(one)) for one in ("intact", "intact", "mass=1.3", "mass=0.8")]
    rows = described(models)
    assert np.allclose(rows[0], 0)
    assert np.sign(rows[1, 0]) == -np.sign(rows[2, 0])


def test_advantages_are_those_of_the_paper() -> None:
    settings = PpoSettings(discount=0.9, trace=0.8)
    reward, value = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.5], [0.4], [0.3]])
    ended = torch.tensor([[False], [True], [False]])
    ends = torch.tensor([[0.0], [5.0], [0.0]])
    none = torch.zeros(3, 1, 1)
    rows = {"value": value, "reward": reward, "ended": ended, "ends": ends,
            "after": torch.tensor([[0.2]])}  # fmt: skip
    rows |= dict.fromkeys(("obs", "context", "privileged", "action", "logp"), none)
    last = 3.0 + 0.9 * 0.2 - 0.3
    middle = 2.0 + 0.9 * 5.0 - 0.4  # ends there, bootstrapped
    first = 1.0 + 0.9 * 0.4 - 0.5 + 0.72 * middle
    found = advantages(rows, 1.0, settings)["advantage"]
    assert found.tolist() == pytest.approx([first, middle, last], abs=1e-5)


class Falls:
    """Stands in for a drill of two robots: one ends by a fall, the other by the clock."""

    robots = 2

    def step(self, action: torch.Tensor) -> Stepped:
        del action
        now, ended = seen_of(0.0), torch.tensor([True, True])
        return Stepped(now, torch.tensor([3.0, 3.0]), ended, ~torch.tensor([False, True]), now)


def seen_of(value: float) -> Seen:
    return Seen(torch.full((2, 1), value), torch.zeros(2, 0), torch.zeros(2, 0))


def test_a_fall_is_worth_nothing_beyond_it_and_the_clock_cuts_what_would_go_on() -> None:
    settings = PpoSettings(horizon=1, discount=0.9)
    learner = Learner(Actor(1, 1, hidden=(4,)), 0, settings).requires_grad_(requires_grad=False)
    torch.nn.init.constant_(list(learner.critic.parameters())[-1], 5.0)  # worth 5 at rest
    own = cast("Drill", Falls())
    rows, _ = collect(learner, own, seen_of(0.0), settings, torch.Generator().manual_seed(0))
    found = advantages(rows, 1.0, settings)
    assert found["target"].tolist() == pytest.approx([3.0, 3.0 + 0.9 * 5.0])
    assert found["advantage"].tolist() == pytest.approx([-2.0, 2.5])


def test_a_robot_that_falls_in_a_drill_begins_anew_on_its_body() -> None:
    settings = DrillSettings(robots=4, episode=1_000_000, told=False, change=0.0, moment=0.0)
    own = Drill("Hopper", [Body.parse("mass=1.2")], settings, 0)
    draw, falls = torch.Generator().manual_seed(0), 0
    for _ in range(200):
        now = own.step(2 * torch.rand(4, own.actions, generator=draw) - 1)
        assert torch.equal(now.ended_N, now.fallen_N)
        assert (now.seen.obs[now.fallen_N, 1].abs() < 0.01).all()  # upright again
        falls += int(now.fallen_N.sum())
    assert falls > 4
    assert {body.name for body in own._fleet.bodies} == {"mass=1.2"}


def trained(seed: int, updates: int = 3) -> Trained:
    settings = DrillSettings(robots=16)
    own = Drill(ROBOT, [Body(), Body.parse("dead:bfoot")], settings, seed, (1,))
    return train(own, updates, PpoSettings(hidden=(16,), batch=128), seed, lambda _: None)


def test_training_gives_the_same_bits_for_the_same_seed() -> None:
    one, other, third = trained(1), trained(1), trained(2)
    assert all(torch.equal(one.tensors[name], part) for name, part in other.tensors.items())
    assert not torch.equal(one.tensors["spread_A"], third.tensors["spread_A"])


def test_training_goes_on_from_what_was_trained() -> None:
    tensors = trained(1).tensors
    own = Drill(ROBOT, [Body()], DrillSettings(robots=16), 1, (1,))
    again = train(own, 1, PpoSettings(hidden=(16,), rate=1e-9), 1, lambda _: None, tensors)
    for name, one in again.tensors.items():
        assert torch.allclose(one, tensors[name], atol=1e-6), name
    fresh = built(tensors, 1, PpoSettings(hidden=(16,)), fresh=True)
    assert torch.equal(fresh.actor.senses.mean_O, tensors["actor.senses.mean_O"])
    assert not torch.equal(fresh.state_dict()["actor.net.0.weight"], tensors["actor.net.0.weight"])
