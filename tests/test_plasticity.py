"""The online network: its gradients, its step sizes, its gates, and how it stays able to learn."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Spec, State
from agent.learners.network import OnlineNetwork
from agent.nets import Layout
from agent.nets.autostep import autostep, autostep_begin
from agent.nets.plasticity import Plasticity, effective_rank, plasticity
from agent.nets.renewal import draw, renew
from agent.nets.starts import NetworkStart
from tests.draws import drawn

PLAIN = Plasticity(guard=0.0, bound=0.0, renew=0)
ADAM = Plasticity(rule="adam", start=NetworkStart(1, 1, 1, 1), norm=False, renew=0)
BUSY = torch.ones(1, dtype=torch.bool)


def spread(state: State) -> dict[str, Tensor]:
    """The state with weights far from their start, in double precision."""
    fast = state["fast"].double()
    moved = fast + 0.3 * drawn(*fast.shape, seed=9).double()
    return {name: leaf.double() for name, leaf in state.items()} | {"fast": moved}


@pytest.mark.parametrize("norm", [True, False], ids=["normalised", "plain"])
def test_the_written_gradient_is_that_of_autograd(norm: bool) -> None:  # noqa: FBT001 - a case
    network = OnlineNetwork(Spec(4, 3), votes=2, hidden=6, how=Plasticity(norm=norm))
    state = spread(network.begin(2))
    x, votes = drawn(2, 7, 4).double(), drawn(2, 7, 2, 3, seed=1).double()
    y = torch.arange(14).view(2, 7).remainder(3)
    seen = torch.arange(14).view(2, 7).remainder(4) > 0
    trace = network.forward(state, x, votes)
    written = network.gradient(state, trace, network.output_gradient(state, trace, y, seen))
    weight = state["fast"].clone().requires_grad_()
    logp = torch.log_softmax(network.forward({**state, "fast": weight}, x, votes).out_TB2O, 3)
    each = -logp.gather(3, y[:, :, None, None].expand(-1, -1, 2, 1)).squeeze(3).sum(2)
    loss = ((each * seen).sum(1) / seen.sum(1)).sum()
    (expected,) = torch.autograd.grad(loss, weight)
    assert torch.allclose(written, expected, atol=1e-7)


def tracked(how: Plasticity, blocks: int = 1500) -> Tensor:
    """Sutton's problem: of 20 inputs the first 5 matter, and one of their signs flips now and then.

    Gives the final step sizes, shape 20. One row a block, squared error.
    """
    weight = torch.zeros(1, 20)
    start = torch.full((1, 20), 0.02).log()
    state = autostep_begin("w", weight, start)
    sign = torch.ones(5)
    x_B20 = drawn(blocks, 1, 20)
    for block in range(blocks):
        if block % 20 == 0:
            sign[block // 20 % 5] *= -1
        x = x_B20[block]
        miss = (state["w"] * x).sum(1) - (x[:, :5] * sign).sum(1)
        grad = miss.unsqueeze(1) * x
        state |= autostep(state, "w", grad, miss.abs(), BUSY, how, start)
    return state["w.step"][0].exp()


def test_step_sizes_of_inputs_that_matter_grow_and_those_of_others_shrink() -> None:
    steps = tracked(replace(PLAIN, tune=0.02, leak=0.0))
    assert float(steps[:5].min()) > 0.02
    assert float(steps[5:].log().mean().exp()) < 0.02
    assert float(steps[:5].mean()) > 3 * float(steps[5:].mean())


def test_step_sizes_return_to_their_start_where_nothing_speaks_for_a_change() -> None:
    start = torch.full((1, 4), 0.01).log()
    state = autostep_begin("w", torch.zeros(1, 4), start) | {"w.step": start + 2}
    for _ in range(300):
        nothing = torch.zeros(1, 4)
        state |= autostep(
            state, "w", nothing, torch.zeros(1), BUSY, replace(PLAIN, leak=0.02), start
        )
    assert torch.allclose(state["w.step"], start, atol=0.01)


def stepped(how: Plasticity, errors: list[float], grad: Tensor) -> tuple[Tensor, Tensor]:
    """Weights before and after the last of a run of steps whose errors have these sizes."""
    start = torch.full_like(grad, 0.1).log()
    state = autostep_begin("w", torch.zeros_like(grad), start)
    before = state["w"]
    for error in errors:
        before = state["w"]
        state |= autostep(state, "w", grad, torch.tensor([error]), BUSY, how, start)
    return before, state["w"]


def test_a_step_takes_away_at_most_its_share_of_the_error() -> None:
    grad = 1e6 * drawn(1, 8)
    for kappa in (0.5, 2.0):
        before, after = stepped(replace(PLAIN, bound=kappa), [1.0], grad)
        fall = -((after - before) * grad).sum()
        assert float(fall) == pytest.approx(1 / kappa, rel=1e-4)
    before, after = stepped(PLAIN, [1.0], grad)
    assert float(-((after - before) * grad).sum()) > 1e3


def test_important_weights_are_held_back_while_calm_and_let_go_in_surprise() -> None:
    grad = torch.tensor([[1.0, 0.1]])
    free, held = replace(PLAIN, tune=0.0), replace(PLAIN, tune=0.0, guard=0.8)

    def share(errors: list[float]) -> list[float]:
        moves = [
            after - before for before, after in (stepped(how, errors, grad) for how in (held, free))
        ]
        return list((moves[0] / moves[1])[0].tolist())

    calm = share([1.0] * 40)
    assert calm[0] < 0.8
    assert calm[1] > 0.95
    assert share([1.0] * 40 + [9.0] * 3) == pytest.approx([1.0, 1.0])


def marked(network: OnlineNetwork, state: State, unit: int, hidden: int) -> dict[str, Tensor]:
    """The state with one unit of each task born anew."""
    mark = torch.zeros(state["fast"].shape[0], hidden, dtype=torch.bool)
    mark[:, unit] = True
    layout = network._layout(state["known"].shape[1])
    first = network._first_steps(state["known"].shape[1], torch.device("cpu"))
    return {**state, **renew(state, layout, mark, first, 0)}


def taught(network: OnlineNetwork, blocks: int = 8, tasks: int = 1) -> State:
    state = network.begin(tasks)
    for block in range(blocks):
        x = drawn(tasks, 32, network.spec.features, seed=block)
        state = network.learn(state, x, (x[..., 0] > 0).long())
    return state


def moved(layout: Layout, one: State, two: State, leaf: str) -> dict[str, Tensor]:
    parts = (layout.split(state[leaf]) for state in (one, two))
    before, after = parts
    return {name: (before[name] != after[name])[0] for name in before}


def test_renewal_resets_exactly_one_unit() -> None:
    network = OnlineNetwork(Spec(4, 2), hidden=6)
    state = taught(network)
    after, layout = marked(network, state, 2, 6), network._layout(2)
    weights, steps = (moved(layout, state, after, leaf) for leaf in ("fast", "fast.step"))
    trace = moved(layout, state, after, "fast.trace")
    others = [0, 1, 3, 4, 5]
    assert bool(weights["W"][:, 2].all())
    assert not bool(layout.split(after["fast"])["Z"][0, 2].any())
    assert bool(weights["Z"][-1].any())  # the bias takes over the mean of what is lost
    for changed in (weights, steps, trace):
        assert not bool(changed["W"][:, others].any())
        assert not bool(changed["Z"][others].any())
        assert not bool(changed["A"].any())
    assert after["hidden.age"][0].tolist() == [8, 8, 0, 8, 8, 8, 0]
    assert int(after["hidden.renewed"]) == 1


def test_renewal_of_a_unit_that_is_silent_or_constant_leaves_answers_as_they_were() -> None:
    network = OnlineNetwork(Spec(4, 2), hidden=6, how=Plasticity(norm=False, renew=0))
    for bias in (-100.0, 2.0):
        state = {name: leaf.clone() for name, leaf in network.begin(1).items()}
        parts = network._layout(2).split(state["fast"])
        parts["W"][0, :, 2] = torch.tensor([0.0, 0, 0, 0, bias])
        parts["Z"].copy_(drawn(1, 7, 2))
        state["hidden.second"][0, 2, -1] = max(bias, 0.0)
        state["hidden.second"][0, -1, -1] = 1.0
        x = drawn(1, 32, 4)
        before, after = (network.predict(s, x) for s in (state, marked(network, state, 2, 6)))
        assert isinstance(before, Classes)
        assert isinstance(after, Classes)
        assert torch.allclose(before.logp_TBVC, after.logp_TBVC, atol=1e-5)


def test_the_least_useful_mature_unit_is_renewed_and_the_same_again_from_the_same_state() -> None:
    how = Plasticity(renew=4, mature=4)
    network = OnlineNetwork(Spec(4, 2), hidden=6, how=how)
    state = dict(taught(network, 3, tasks=2))
    state["hidden.age"] = torch.tensor([[9.0, 9, 0, 9, 9, 9, 3], [9.0, 9, 9, 9, 9, 9, 0]])
    outer = network._layout(2).split(state["fast"])["Z"].clone()
    outer[:, 2], outer[:, 4] = 0.0, 1e-4  # 2 is the least useful, but too young in task 0
    state["fast"] = network._layout(2).join({**network._layout(2).split(state["fast"]), "Z": outer})
    x, y = drawn(2, 32, 4, seed=5), torch.zeros(2, 32, dtype=torch.int64)
    after, again = network.learn(state, x, y), network.learn(state, x, y)
    assert after["hidden.age"].tolist() == [[10, 10, 1, 10, 0, 10, 0], [10] * 6 + [1]]
    assert after["hidden.renewed"].flatten().tolist() == [1, 0]
    assert torch.equal(after["fast"], again["fast"])


def test_draws_of_a_renewal_are_spread_evenly_and_differ_from_one_to_the_next() -> None:
    many = draw(torch.arange(200.0).unsqueeze(1), 50, 0)
    assert abs(float(many.mean())) < 0.02
    assert float(many.std()) == pytest.approx(3**-0.5, abs=0.02)
    assert abs(float((many[1:] * many[:-1]).mean())) < 0.02
    assert not torch.equal(many, draw(torch.arange(200.0).unsqueeze(1), 50, 1))


def test_the_report_tells_a_worn_layer_from_a_fresh_one() -> None:
    assert float(effective_rank(torch.eye(8).unsqueeze(0))) == pytest.approx(8)
    assert float(effective_rank(torch.ones(1, 8, 8))) == pytest.approx(1, abs=1e-4)
    network = OnlineNetwork(Spec(4, 2), hidden=8)
    state = {f"stack.network.{name}": leaf for name, leaf in taught(network).items()}
    report = plasticity(state)
    second = state["stack.network.hidden.second"]
    second[:, :4, :], second[:, :, :4] = 0.0, 0.0
    worn = plasticity(state)
    assert report["dormant_units"] <= 0.25
    assert worn["dormant_units"] >= 0.5
    assert 1 <= worn["effective_rank"] <= 4
    assert 0.001 < report["effective_step"] < 0.2
    assert plasticity({"recency.count": second}) == {}


def test_the_running_moments_of_the_layer_are_decayed_sums_over_the_seen_rows() -> None:
    network = OnlineNetwork(Spec(3, 2), hidden=5)
    state = network.begin(1)
    x, y = drawn(1, 32, 3), torch.zeros(1, 32, dtype=torch.int64)
    seen = torch.arange(32).unsqueeze(0) < 20
    row = network.forward(state, x, x.new_zeros(1, 32, 0, 2)).hidden_TBH[0, :20]
    after = network.learn(state, x, y, seen)["hidden.second"][0]
    assert torch.allclose(after, row.T @ row / 1000 / 1.02, atol=1e-5)


def relabelled(how: Plasticity, tasks: int = 60, rows: int = 1504) -> tuple[float, float]:
    """Log loss of the hidden voice over the first ten and the last ten of so many tasks.

    The same 40 clusters, each time with new labels.
    """
    draws = torch.Generator().manual_seed(3)
    middle = torch.randn(40, 10, generator=draws)
    network = OnlineNetwork(Spec(10, 4), hidden=32, how=how)
    state, losses = network.begin(1), torch.zeros(tasks)
    for task in range(tasks):
        label = torch.randint(4, (40,), generator=draws)
        for _ in range(rows // 32):
            cluster = torch.randint(40, (1, 32), generator=draws)
            x = middle[cluster] + 0.3 * torch.randn(1, 32, 10, generator=draws)
            y = label[cluster]
            said, state = network.predict_then_learn(state, x, y)
            assert isinstance(said, Classes)
            losses[task] -= said.logp_TBVC[:, :, 1].gather(2, y.unsqueeze(2)).mean() / (rows // 32)
    return float(losses[:10].mean()), float(losses[-10:].mean())


def test_sixty_tasks_later_a_new_one_is_learned_as_well_as_the_first_and_adam_is_worn_out() -> None:
    with torch.inference_mode():
        first, last = relabelled(Plasticity())
        adams_first, adams_last = relabelled(ADAM)
    assert last <= first * 1.02
    assert adams_last > adams_first * 1.05
    assert last < 0.7 * adams_last


@pytest.mark.parametrize(
    ("name", "bad"), [("tune", 2.0), ("memory", 1.0), ("bound", -1.0), ("renew", -1)]
)
def test_settings_out_of_range_are_refused_by_name(name: str, bad: float) -> None:
    settings: dict[str, Any] = {name: bad}
    with pytest.raises(ValueError, match=name):
        Plasticity(**settings)
    with pytest.raises(ValueError, match="votes"):
        NetworkStart(votes=0.0)
