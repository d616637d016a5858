"""Attention's kernel and its long bank: who shares it, what stays in it and what goes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.learners.attention import Attention, AttentionOptions
from agent.learners.base import Classes, Spec, State
from agent.nets import bank, part
from agent.nets.bank import EVERY, GOLDEN, Leavers, bank_begin, bank_take
from agent.nets.kernel import FAR, Keys, Knobs, apart, attention, attention_gradient
from agent.nets.starts import AttentionStart
from tests.banks import draw, some, taught

ONE = AttentionStart((0.3,), (0.0,), (1.0,))


def leavers(x: Tensor, y: Tensor, first: int = 0, group: float = 0.0) -> Leavers:
    born = torch.arange(first, first + x.shape[1], dtype=torch.float64).expand(len(x), -1)
    seen = torch.ones(x.shape[:2], dtype=torch.bool)
    return Leavers(x, y.float(), born, torch.full_like(born, group).float(), seen)


Stream = Callable[[int], tuple[Tensor, Tensor, float]]


def filled(stream: Stream, chunks: int, slots: int = 64, classes: int = 2) -> dict[str, Tensor]:
    """A bank after chunks of 16 events of two features, which `stream` makes by their number."""
    state = bank_begin(1, slots, 2)
    for chunk in range(chunks):
        x, y, group = stream(chunk)
        leaving = leavers(x, y, 16 * chunk, group)
        state = bank_take(state, leaving, torch.ones(1, 2), classes)
    return state


def noise(chunk: int) -> Tensor:
    return torch.randn(1, 16, 2, generator=some(chunk))


def test_votes_weigh_distance_age_and_mass_as_the_equation_says() -> None:
    spec = Spec(3, 3)
    start = AttentionStart((0.5, 0.2), (0.0, 0.01), (1.0, 0.3))
    learner = Attention(spec, slots=32, bank=16, rate=0.0, start=start)
    state = taught(learner, 6)
    assert bool((state["bank.mass"] > 2).any())
    query = torch.randn(1, 1, 3, generator=some(77))
    said = learner.predict(state, query)
    assert isinstance(said, Classes)
    key, y, born = (torch.cat([state[f"bank.{k}"], state[k]], 1)[0] for k in ("key", "y", "born"))
    mass = torch.cat([state["bank.mass"][0], torch.ones(32)]).double()
    distance = (query[0] - key).double().square().sum(1) / state["norm"].item()
    for voice, (h, tau, mu) in enumerate(((0.5, 0.0, 1.0), (0.2, 0.01, 0.3))):
        age = state["count"].item() - born
        weight = mass**mu * torch.exp(-distance / h**2 - tau * age) * (born >= 0)
        share = torch.stack([weight[y == c].sum() for c in range(3)]) / weight.sum()
        assert torch.allclose(said.logp_TBVC[0, 0, voice].exp().double(), share, atol=2e-3)


def test_the_gradient_of_attention_is_that_of_autograd() -> None:
    def real(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=some(sum(shape)))

    key, query, beside, payload = real(2, 9, 3), real(2, 4, 3), real(2, 2, 9), real(2, 5, 9)
    upstream = real(2, 6, 4, 5)
    log_s, log_h, about = (
        leaf.requires_grad_(True)  # noqa: FBT003 - torch's own signature
        for leaf in (real(2, 3), real(2, 6), real(2, 6, 2))
    )
    knobs = Knobs((2 * log_s).exp(), (-2 * log_h).exp(), about)
    keys = Keys(key, key.square(), beside, payload)
    length = (key.square() * knobs.weight_TF.unsqueeze(1)).sum(2)
    distance = apart(query, key, length, knobs.weight_TF)
    later = torch.ones(4, 4, dtype=torch.bool).triu()
    distance = torch.cat([distance[..., :5], distance[..., 5:].masked_fill(later, FAR)], 2)
    weight, moment = attention(knobs, keys, distance)
    expected = torch.autograd.grad((moment * upstream).sum(), (log_s, log_h, about))
    found = attention_gradient(knobs, keys, (query, distance, weight), moment, upstream)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6 * float(other.abs().max()))


def test_copies_take_one_slot_and_count() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    def stream(_: int) -> tuple[Tensor, Tensor, float]:
        pick = torch.tensor([0] * 8 + [1] * 6 + [2] * 2)
        return points[pick].unsqueeze(0), (pick == 1).unsqueeze(0), 0.0

    state = filled(stream, 3)
    there = state["born"][0] >= 0
    assert int(there.sum()) == 3
    order = state["key"][0, there] @ torch.tensor([1.0, 2.0])
    assert state["mass"][0, there][order.argsort()].tolist() == pytest.approx([24, 18, 6], rel=0.1)


def test_classes_share_the_bank_evenly_and_masses_keep_their_frequencies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bank, "REACH", 1e9)  # nothing fades
    rare = torch.arange(16).eq(5).unsqueeze(0)
    state = filled(lambda chunk: (noise(chunk), rare, 0.0), 100)
    of_rare = state["y"][0] == 1
    assert 24 <= int(of_rare.sum()) <= 40
    assert state["mass"][0, of_rare].sum().item() == pytest.approx(100, rel=0.35)
    assert state["mass"].sum().item() == pytest.approx(1600, rel=0.05)


def test_groups_share_the_bank_evenly() -> None:
    """The second group brings a tenth of the events, and none at the end."""
    label = torch.zeros(1, 16)
    state = filled(lambda chunk: (noise(chunk), label, float(20 <= chunk < 30)), 100)
    assert 20 <= int((state["group"][0] == 1).sum()) <= 40


def test_a_region_that_nobody_visits_any_more_keeps_its_slots() -> None:
    def stream(chunk: int) -> tuple[Tensor, Tensor, float]:
        return noise(chunk) * 0.5 + (6 if chunk < 20 else 0), torch.zeros(1, 16), 0.0

    there = filled(stream, 220)["key"][0].mean(1) > 3
    assert 10 < int(there.sum()) < 54


def test_a_slot_that_a_later_event_came_near_goes_first() -> None:
    points = torch.tensor([[[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]]])
    number = next(n for n in range(4, 99) if n * GOLDEN % 1 < 1 / EVERY)  # one that enters
    late, label = torch.tensor([[[4.1, 0.0]]]), torch.zeros(1, 4)
    state = bank_take(bank_begin(1, 4, 2), leavers(points, label), torch.ones(1, 2), 2)
    state = bank_take(state, leavers(late, label[:, :1], number), torch.ones(1, 2), 2)
    there = {tuple(round(v, 1) for v in key) for key in state["key"][0].tolist()}
    assert there == {(0.0, 0.0), (0.0, 4.0), (4.1, 0.0), (4.0, 4.0)}


def test_a_crowded_class_gives_way_to_one_whose_events_lie_close() -> None:
    """However far apart the slots of the crowded one are."""

    def stream(chunk: int) -> tuple[Tensor, Tensor, float]:
        late = chunk >= 10
        return noise(chunk) * (0.1 if late else 5), torch.full((1, 16), int(late)), 0.0

    assert 20 <= int((filled(stream, 20)["y"][0] == 1).sum()) <= 44


def test_a_class_of_many_loses_only_its_share_to_a_new_one() -> None:
    """16 events of a new class come at once: no other class is wiped out."""
    sixteen = torch.arange(16).unsqueeze(0)
    state = filled(
        lambda chunk: (noise(chunk), sixteen if chunk < 60 else torch.full((1, 16), 16), 0.0),
        61,
        classes=17,
    )
    sizes = torch.bincount(state["y"][0].long(), minlength=17)
    assert int(sizes.min()) >= 3
    assert int(sizes.max()) <= 6


def test_tasks_do_not_share_a_bank_and_unseen_rows_leave_it_as_it_is() -> None:
    learner = Attention(Spec(3, 3), slots=32, bank=48)
    state = taught(learner, 8, tasks=2)
    x, y = draw(learner.spec, 99, tasks=2)
    seen = torch.tensor([True, False]).unsqueeze(1).expand(-1, 32)
    after = learner.learn(state, x, y, seen)
    assert not torch.equal(after["bank.key"][0], state["bank.key"][0])
    for name, leaf in state.items():
        assert torch.equal(after[name][1], leaf[1]), name


def test_padding_does_not_change_a_bank() -> None:
    state = filled(lambda chunk: (noise(chunk), torch.zeros(1, 16), 0.0), 20)
    leaving = leavers(noise(99), torch.ones(1, 16), 320)
    none = Leavers(
        leaving.key_TLF, leaving.y_TL, leaving.born_TL, leaving.group_TL, leaving.valid_TL & False
    )
    after = bank_take(state, none, torch.ones(1, 2), 2)
    assert all(torch.equal(after[name], leaf) for name, leaf in state.items())


def test_attention_with_a_bank_knows_an_old_task_when_it_returns() -> None:
    """The two tasks lie apart; the ring alone forgets the first one's labels."""
    spec, right = Spec(2, 2), {}

    def block(seed: int, centre: float) -> tuple[Tensor, Tensor]:
        x = torch.randn(1, 32, 2, generator=some(seed))
        return x + centre, (x[..., 0] > 0).long() if centre else (x[..., 0] < 0).long()

    for slots in (0, 64):
        learner = Attention(spec, slots=64, bank=slots, rate=0.0, start=ONE)
        state = learner.begin(1)
        for seed in range(80):
            state = learner.learn(state, *block(seed, 8.0 if seed < 10 else 0.0))
        x, y = block(500, 8.0)
        said = learner.predict(state, x)
        assert isinstance(said, Classes)
        right[slots] = (said.marginal().argmax(2) == y).float().mean().item()
    assert right[64] > 0.85
    assert right[64] > right[0] + 0.2


def test_groups_go_into_the_bank() -> None:
    learner = Attention(Spec(3, 3), slots=32, bank=64)
    state: State = taught(learner, 5)
    state = learner.grouped(state, torch.tensor([2]))
    for seed in range(4):
        state = learner.learn(state, *draw(learner.spec, seed))
    assert {0.0, 2.0} == set(part("bank", state)["group"].unique().tolist())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AttentionStart((0.1,), (0.1, 0.2), (0.5,)), "one of each"),
        (lambda: AttentionStart((0.0,), (0.1,), (0.5,)), "above 0"),
        (lambda: AttentionStart((0.1,), (2.0,), (0.5,)), "recencies"),
        (lambda: AttentionOptions(slots=0), "slots is 0"),
        (lambda: AttentionOptions(bank=-1), "bank is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
