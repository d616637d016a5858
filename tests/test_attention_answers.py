"""Attention over a bank: what it answers, in blocks, late, and before anything is known."""

import pytest
import torch
from torch import Tensor

from agent.learners.attention import Attention, learned
from agent.learners.base import Classes, Numbers, Said, Spec
from agent.nets.starts import AttentionStart
from tests.banks import draw, some, taught


def said_of(said: Said) -> Tensor:
    if isinstance(said, Classes):
        return said.logp_TBVC
    return torch.stack([said.mean_TBV, said.scale_TBV], 3)


@pytest.mark.parametrize("spec", [Spec(3, 3), Spec(3, 0)], ids=["classes", "number"])
def test_a_block_is_answered_as_if_its_rows_had_come_one_by_one(spec: Spec) -> None:
    """Also with a full bank, as long as none of the rows sends events there."""
    learner = Attention(spec, slots=64, bank=32, rate=0.0, start=AttentionStart())
    state = taught(learner, 9)
    x, y = draw(spec, 99, rows=6)
    for _ in range(16):  # until there is room in the ring
        if bool((state["born"] < 0).sum() >= 6):
            break
        state = learner.learn(state, x[:, :1], y[:, :1])
    assert bool((state["bank.born"] >= 0).all())
    whole = said_of(learner.predict_then_learn(state, x, y)[0])
    norm, close = state["norm"], 2e-2 if spec.regression else 1e-3
    for row in range(6):
        cut = slice(row, row + 1)
        said, after = learner.predict_then_learn(state, x[:, cut], y[:, cut])
        assert torch.allclose(said_of(said)[:, 0], whole[:, row], rtol=close, atol=1e-4)
        state = {**after, "norm": norm}


@pytest.mark.parametrize("classes", [3, 0])
def test_rows_of_no_lateness_are_answered_as_if_lateness_were_not_there(classes: int) -> None:
    plain = Attention(Spec(4, classes), slots=64, bank=32)
    dated = Attention(Spec(5, classes, dated=True), slots=64, bank=32)
    one, two = plain.begin(1), dated.begin(1)
    for seed in range(6):
        x, y = draw(plain.spec, seed)
        seen = torch.rand(1, 32, generator=some(seed)) > 0.2
        late = torch.nn.functional.pad(x, (0, 1))
        said, one = plain.predict_then_learn(one, x, y, seen)
        also, two = dated.predict_then_learn(two, late, y, seen)
        assert torch.equal(said_of(said), said_of(also))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("ahead", [0, 5, 11])
def test_a_late_row_is_answered_as_when_it_was_asked(classes: int, ahead: int) -> None:
    """Twenty labels came meanwhile, so many of them in the very block of the label."""
    spec = Spec(5, classes, dated=True)
    learner = Attention(spec, slots=128, bank=32, rate=0.0)
    state = taught(learner, 2)
    x, y = draw(spec, 50, rows=1)
    asked = said_of(learner.predict(state, x))
    norm = state["norm"]
    more = draw(spec, 51, rows=20)
    state = {**learner.learn(state, *(leaf[:, : 20 - ahead] for leaf in more)), "norm": norm}
    x[..., -1] = 20.0
    block = [
        torch.cat([old[:, 20 - ahead :], new], 1) for old, new in zip(more, (x, y), strict=True)
    ]
    found = said_of(learner.predict_then_learn(state, block[0], block[1])[0])[:, -1:]
    # A number's scale has a floor by the ring's variance of today.
    close = 3e-2 if not classes else 1e-4
    assert torch.allclose(found, asked, rtol=close, atol=1e-3 if not classes else 1e-5)
    now = said_of(learner.predict(state, torch.nn.functional.pad(x[..., :-1], (0, 1))))
    assert not torch.allclose(now, asked, rtol=close, atol=1e-3)


def test_a_row_asked_before_the_first_label_knows_nothing() -> None:
    spec = Spec(3, 2, dated=True)
    learner = Attention(spec, slots=16, bank=8)
    state = taught(learner, 1)
    x, _ = draw(spec, 9, rows=2)
    x[0, :, -1] = torch.tensor([32.0, 31.0])
    said = learner.predict(state, x)
    assert isinstance(said, Classes)
    assert torch.allclose(said.logp_TBVC[0, 0].exp(), torch.tensor(0.5))


def test_codes_of_words_are_not_looked_at() -> None:
    learner = Attention(Spec(6, 2, codes=2, dated=True), slots=16, bank=8)
    x = torch.randn(1, 32, 6, generator=some(0))
    x[..., 3:5], x[..., 5] = 7.0, 0.0
    y, other = (x[..., 0] > 0).long(), x.clone()
    other[..., 3:5] = torch.randint(1, 999, (1, 32, 2), generator=some(1)).float()
    one, two = (learner.predict_then_learn(learner.begin(1), rows, y)[0] for rows in (x, other))
    assert torch.equal(said_of(one), said_of(two))


def test_a_start_comes_back_from_a_state() -> None:
    start = AttentionStart((0.2, 0.7), (0.0, 0.05), (0.25, 1.0))
    learner = Attention(Spec(3, 2), start=start)
    again = learned(learner.begin(2))
    assert learner.voices == ("attention 0.2 0", "attention 0.7 0.05")
    for name, values in again.items():
        assert values == pytest.approx(getattr(start, name), rel=1e-5)
    moved = learned(taught(learner, 3))
    assert AttentionStart(**moved) != AttentionStart(**again)
    assert moved["recencies"][0] == 0


def test_a_long_run_of_huge_and_plain_numbers_leaves_finite_answers() -> None:
    learner = Attention(Spec(2, 0), slots=16, bank=16)
    state = learner.begin(1)
    for block in range(12):
        x, y = draw(learner.spec, block)
        state = learner.learn(state, x * 10.0 ** (block % 3 * 3), y * 10.0 ** (block % 4 * 2))
        said = learner.predict(state, x)
        assert isinstance(said, Numbers)
        assert bool(said_of(said).isfinite().all())
