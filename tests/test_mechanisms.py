"""Each learner's mechanism against a brute-force computation of what it claims to be.

Shapes as in the learners: T tasks, B rows, F features, V voices, C classes.
"""

import math

import pytest
import torch
from torch import Tensor

from agent.continual.share import Share
from agent.continual.stack import Stack
from agent.learners.attention import Attention
from agent.learners.base import Classes, Numbers, Said, Spec, State
from agent.learners.network import OnlineNetwork
from agent.learners.recency import Recency
from agent.nets import all_seen, normal_log_density, part, prefixed

SPECS = [Spec(4, 3), Spec(4, 0)]
ROWS = 12


def draw(spec: Spec, seed: int, tasks: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, labels that depend on them, and a mask with some rows unseen."""
    one = torch.Generator().manual_seed(seed)
    x = torch.randn(tasks, ROWS, spec.features, generator=one)
    y = 3 * x[..., 0] + torch.randn(tasks, ROWS, generator=one)
    if not spec.regression:
        y = (y > 0).long() + (y > 2).long()
    return x, y, torch.rand(tasks, ROWS, generator=one) > 0.25


def answers(said: Said) -> Tensor:
    if isinstance(said, Classes):
        return said.logp_TBVC
    return torch.stack([said.mean_TBV, said.scale_TBV], 3)


def log_loss(said: Said, y: Tensor) -> Tensor:
    """What each voice lost on each row, shape TBV."""
    if isinstance(said, Classes):
        index = y[..., None, None].expand(*said.logp_TBVC.shape[:3], 1)
        return -said.logp_TBVC.gather(3, index).squeeze(3)
    assert isinstance(said, Numbers)
    return -normal_log_density(y.unsqueeze(2), said.mean_TBV, said.scale_TBV)


def taught(learner: Attention | Stack | OnlineNetwork, spec: Spec, blocks: int = 4) -> State:
    state = learner.begin(2)
    for seed in range(blocks):
        state = learner.learn(state, *draw(spec, seed))
    return state


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number"])
def test_attention_answers_a_block_as_if_its_rows_had_come_one_by_one(spec: Spec) -> None:
    soft, recencies = (0.3, 0.3, 0.6), (1e-4, 1e-2, 1e-1)
    learner = Attention(spec, slots=256, bandwidths=soft, recencies=recencies, rate=0.0)
    state = dict(taught(learner, spec))
    x, y, seen = draw(spec, 9)
    whole = answers(learner.predict_then_learn(state, x, y, seen)[0])
    # A number's scale has a floor, a thousandth of the ring's variance, that stands still as well.
    close = 1e-2 if spec.regression else 1e-4
    norm = state["norm"]
    for row in range(ROWS):
        cut = slice(row, row + 1)
        said, after = learner.predict_then_learn(state, x[:, cut], y[:, cut], seen[:, cut])
        assert torch.allclose(answers(said)[:, 0], whole[:, row], rtol=close, atol=1e-5)
        state = {**after, "norm": norm}  # the norm stands still inside a call


def test_attention_weighs_labels_by_distance_and_age_as_its_equation_says() -> None:
    spec = Spec(2, 2)
    learner = Attention(spec, slots=8, bandwidths=(0.7,), recencies=(0.2,), rate=0.0)
    keys, y = torch.randn(1, 5, 2), torch.tensor([[0, 1, 1, 0, 1]])
    state = learner.learn(learner.begin(1), keys, y)
    query = torch.randn(1, 1, 2)
    said = learner.predict(state, query)
    assert isinstance(said, Classes)
    norm = keys.square().sum(2).mean()
    distance = (query - keys).square().sum(2)[0] / norm
    age = torch.arange(5.0, 0.0, -1.0)
    weight = torch.softmax(-distance / 0.49 - 0.2 * age, 0)
    vote = weight[y[0] == 1].sum()
    assert said.marginal().exp()[0, 0, 1].item() == pytest.approx(vote.item(), abs=2e-3)


def test_attention_remembers_the_last_labels_and_no_more() -> None:
    spec = Spec(1, 2)
    learner = Attention(spec, slots=8, bandwidths=(1e3,), recencies=(1e-6,), rate=0.0, bank=0)
    state = learner.learn(learner.begin(1), torch.zeros(1, 30, 1), torch.ones(1, 30).long())
    state = learner.learn(state, torch.zeros(1, 6, 1), torch.zeros(1, 6).long())
    said = learner.predict(state, torch.zeros(1, 1, 1))
    assert isinstance(said, Classes)
    assert said.marginal().exp()[0, 0, 0].item() == pytest.approx(6 / 8, abs=1e-2)


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number"])
def test_attention_steps_along_the_gradient_of_its_own_loss(spec: Spec) -> None:
    learner = Attention(spec, slots=64)
    state = taught(learner, spec)
    x, y, seen = draw(spec, 9)
    fast = state["fast"].clone().requires_grad_(True)  # noqa: FBT003 - torch's own signature
    trace = learner.attend({**state, "fast": fast}, x, y, seen)
    busy = (seen & trace.known_TB).float()
    share = busy / busy.sum(1, keepdim=True)
    loss = log_loss(learner.said({**state, "fast": fast}, trace), y)
    (expected,) = torch.autograd.grad((loss.sum(2) * share).sum(), fast)
    found = learner.pull(state, trace, learner.own_gradient(state, trace, y, seen)).detach()
    assert torch.allclose(found, expected, rtol=2e-2, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number"])
def test_the_network_steps_along_the_gradient_of_its_loss(spec: Spec) -> None:
    learner = OnlineNetwork(spec)
    state = taught(learner, spec)
    x, y, seen = draw(spec, 9)
    votes = x.new_zeros(*x.shape[:2], 0, max(spec.classes, 1))
    fast = state["fast"].clone().requires_grad_(True)  # noqa: FBT003 - torch's own signature
    out = learner.forward({**state, "fast": fast}, x, votes).out_TB2O
    share = seen / seen.sum(1, keepdim=True)
    if spec.regression:
        middle, spread = learner.target(state)
        target = ((y - middle) / spread)[..., None, None].expand_as(out)
        each = torch.nn.functional.huber_loss(out, target, reduction="none", delta=3.0).sum(3)
    else:
        each = -torch.log_softmax(out, 3).gather(3, y[..., None, None].expand(-1, -1, 2, 1))[..., 0]
    (expected,) = torch.autograd.grad((each.sum(2) * share).sum(), fast)
    trace = learner.forward(state, x, votes)
    found = learner.gradient(state, trace, learner.output_gradient(state, trace, y, seen))
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number"])
def test_the_stack_teaches_attention_through_the_network(spec: Spec) -> None:
    attention, recency = Attention(spec, slots=64), Recency(spec)
    votes = len(attention.voices) + len(recency.voices)
    network = OnlineNetwork(spec, votes=votes)
    stack = Stack(attention, recency, network, own=0.0)
    state = taught(stack, spec)
    x, y, seen = draw(spec, 9)
    near, net = part("attention", state), part("network", state)
    fast = near["fast"].clone().requires_grad_(True)  # noqa: FBT003 - torch's own signature
    live = {**state, **prefixed("attention", {**near, "fast": fast})}
    heard = stack._hear(live, x, y, all_seen(y, seen))
    grad = network.output_gradient(net, heard.trace, y, seen).detach()
    (expected,) = torch.autograd.grad((heard.trace.out_TB2O * grad).sum(), fast)
    _, after = stack.predict_then_learn(state, x, y, seen)
    found = (after["attention.fast.m"] - 0.9 * near["fast.m"]) / 0.1
    assert torch.allclose(
        found, expected, rtol=1e-2, atol=1e-4 * float(expected.abs().max()) + 1e-6
    )


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number"])
def test_recency_is_a_running_mean_with_forgetting(spec: Spec) -> None:
    learner = Recency(spec, horizons=(4.0,))
    _, y, seen = draw(spec, 3, tasks=1)
    said, _ = learner.predict_then_learn(learner.begin(1), torch.zeros(1, ROWS, 4), y, seen)
    total, mass = 0.0 * torch.zeros(3), 0.0
    for row in range(ROWS):
        if mass > 0:
            expected = total / mass
            if isinstance(said, Classes):
                found = said.logp_TBVC[0, row, 0].exp()
                assert torch.allclose(found, (expected + 1e-3 / 3) / 1.001, atol=1e-4)
            else:
                assert said.mean_TBV[0, row, 0].item() == pytest.approx(
                    expected[0].item(), abs=1e-4
                )
        if seen[0, row]:
            fresh = torch.eye(3)[y[0, row]] if not spec.regression else y[0, row].expand(3)
            total, mass = 0.75 * total + 0.25 * fresh, 0.75 * mass + 0.25


class Fixed:
    """Says the same distribution for ever: an expert for the regret's sake."""

    def __init__(self, spec: Spec, logp_C: Tensor, name: str) -> None:
        self.spec, self._logp_C, self.voices = spec, logp_C, (name,)

    def begin(self, tasks: int) -> State:
        return {"nothing": torch.zeros(tasks, 1)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        del state
        shape = (*x_TBF.shape[:2], 1)
        return Classes(torch.zeros(shape), self._logp_C.expand(*shape, -1))

    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        del x_TBF, y_TB, seen_TB
        return state

    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        del y_TB, seen_TB
        return self.predict(state, x_TBF), state

    def widen(self, state: State, classes: int) -> State:
        del classes
        return state


def test_share_is_never_far_behind_its_best_sequence_of_experts() -> None:
    """The bound of Herbster and Warmuth, with the switching rate that the share was made with."""
    spec, rate, switches, rows = Spec(1, 2), 0.01, 4, 500
    experts = {
        name: Fixed(spec, torch.tensor([p, 1 - p]).log(), name)
        for name, p in (("a", 0.9), ("b", 0.1), ("c", 0.5))
    }
    share = Share({**experts}, switch=rate, floor=1e-9)
    segment = torch.arange(rows) * (switches + 1) // rows
    y = (segment % 2).unsqueeze(0)
    said, _ = share.predict_then_learn(share.begin(1), torch.zeros(1, rows, 1), y)
    assert isinstance(said, Classes)
    lost = -said.marginal().gather(2, y.unsqueeze(2)).sum().item()
    best = rows * -math.log(0.9)
    stay, move = -math.log1p(-rate * 2 / 3), -math.log(rate / 3)
    bound = math.log(3) + switches * move + (rows - 1 - switches) * stay
    assert lost - best <= bound
    worst_single = min(
        sum(-math.log(p if c == 0 else 1 - p) for c in y[0].tolist()) for p in (0.9, 0.1, 0.5)
    )
    assert lost < worst_single


def test_share_moves_weight_to_the_expert_that_is_right_now() -> None:
    spec = Spec(1, 2)
    experts = {
        "zero": Fixed(spec, torch.tensor([0.9, 0.1]).log(), "zero"),
        "one": Fixed(spec, torch.tensor([0.1, 0.9]).log(), "one"),
    }
    share = Share({**experts})
    state = share.begin(1)
    for truth in (0, 1):
        state = share.learn(state, torch.zeros(1, 30, 1), torch.full((1, 30), truth))
        assert state["weight"][0, truth].item() > 0.95
        assert state["weight"].sum().item() == pytest.approx(1.0)


def test_a_large_number_with_a_small_spread_keeps_its_digits() -> None:
    spec = Spec(1, 0)
    learner = Attention(spec, bandwidths=(1e3,), recencies=(1e-6,), rate=0.0)
    draw_y = 1e6 + 4 * torch.randn(1, 200, generator=torch.Generator().manual_seed(0))
    state = learner.begin(1)
    for start in range(0, 200, 20):
        state = learner.learn(state, torch.zeros(1, 20, 1), draw_y[:, start : start + 20])
    said = learner.predict(state, torch.zeros(1, 1, 1))
    assert isinstance(said, Numbers)
    assert said.scale_TBV.item() == pytest.approx(4.0, rel=0.2)
