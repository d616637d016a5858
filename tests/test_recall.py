"""Late labels: the voices are judged by what they said when the row was asked."""

import pytest
import torch
from torch import Tensor

from agent.continual.blend import Blend, BlendSettings
from agent.continual.recall import MOST, Recalls, ToldClasses, ToldNumbers, read, width, written
from agent.continual.share import fixed_share
from agent.learners.base import Numbers, Said, State
from tests.draws import drawn
from tests.recalls import LANES, VOICES, Turncoat, late

GOALS = pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])


def turncoats(classes: int, rate: float = 0.002) -> Blend:
    one = Turncoat(classes)
    return Blend(one.spec, {"turncoat": one}, BlendSettings(rate=rate))


def rows(blend: Blend, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows that are not late, of which the second voice knows the label."""
    classes = blend.spec.classes
    x = drawn(1, count, blend.spec.features, seed=seed)
    x[..., -1] = 0
    y = torch.arange(count)[None] * 5 // 3 % 3
    if classes:
        x[..., classes : 2 * classes] = 4 * torch.nn.functional.one_hot(y, classes).float()
        return x, y
    x[..., 1] = y.float()
    return x, y.float()


def warmed(blend: Blend) -> State:
    """A state in which all classes are known."""
    x, y = rows(blend, 2 * LANES, seed=9)
    return blend.learn(blend.begin(1), x, y)


def words_of(blend: Blend, state: State, x: Tensor, y: Tensor) -> Tensor:
    """What is kept of rows that are asked without their labels."""
    said = blend.foresee(state, x, y, torch.zeros_like(y).bool())
    assert isinstance(said, ToldClasses | ToldNumbers)
    return said.words()


def _gained(said: Said, y_TB: Tensor) -> Tensor:
    """Log-probability of the truth, or density up to a constant."""
    if isinstance(said, Numbers):
        return -0.5 * (y_TB.unsqueeze(2) - said.mean_TBV) ** 2
    index = y_TB[..., None, None].expand(*said.logp_TBVC.shape[:3], 1)
    return said.logp_TBVC.gather(3, index).squeeze(3)


def test_words_are_read_as_they_were_written() -> None:
    length, trail, said = drawn(2, 5), drawn(2, 5, 4, 3, seed=1), drawn(2, 5, 6, 7, seed=2)
    words = written(length, trail, said)
    assert words.shape == (2, 5, width(4, 3, 7))
    then = read(words, 4, 3)
    assert bool(then.late_TB.all())
    for one, other in (
        (length, then.length_TB),
        (trail, then.trail_TBVH),
        (said, then.said_TBUZ),
    ):
        assert torch.equal(one, other)


def test_more_words_than_are_kept_are_not() -> None:
    blend = turncoats(3)
    assert isinstance(blend, Recalls)
    assert blend.unsaid(3).shape == words_of(blend, blend.begin(1), *rows(blend, 2)).shape[2:]
    many = MOST // (VOICES + 2)
    assert blend.unsaid(many).shape == (0,)
    assert bool(blend.unsaid(many - 3).isnan().all())


@GOALS
def test_without_words_nothing_changes_to_the_bit(classes: int) -> None:
    blend = turncoats(classes)
    state, (x, y) = warmed(blend), rows(blend, LANES)
    unsaid = blend.unsaid(classes).expand(1, LANES, -1)
    said, plain = blend.predict_then_learn(state, x, y)
    other, recalled = blend.predict_then_learn(state, x, y, None, unsaid)
    for name in plain:
        assert torch.equal(plain[name], recalled[name]), name
    leaf = "logp_TBVC" if classes else "mean_TBV"
    assert torch.equal(getattr(said, leaf), getattr(other, leaf))


@GOALS
def test_the_answers_are_judged_by_what_they_said_then(classes: int) -> None:
    blend = turncoats(classes, rate=0.0)
    even = torch.full((1, 2), 0.5, dtype=torch.float64)
    state, (x, y) = {**warmed(blend), "trust": even}, rows(blend, LANES)
    words = words_of(blend, state, x, y)
    _, at_once = blend.predict_then_learn(state, x[:, 1:2], y[:, 1:2])
    _, recalled = blend.predict_then_learn(state, late(x[:, 1:2]), y[:, 1:2], None, words[:, 1:2])
    _, asked_again = blend.predict_then_learn(state, late(x[:, 1:2]), y[:, 1:2])
    assert torch.allclose(recalled["trust"], at_once["trust"], atol=2e-3)
    assert not torch.allclose(asked_again["trust"], at_once["trust"], atol=1e-2)


@GOALS
def test_losses_go_by_what_is_said_now_and_of_classes_shares_go_half_by_then(classes: int) -> None:
    blend = turncoats(classes)
    state, (x, y) = warmed(blend), rows(blend, LANES)
    words = words_of(blend, state, x, y)
    _, recalled = blend.predict_then_learn(state, late(x), y, None, words)
    _, asked_again = blend.predict_then_learn(state, late(x), y)
    for name in ("loss", "known", "count"):
        assert torch.equal(recalled[name], asked_again[name])
    said = [one.predict({}, row) for one in blend.experts.values() for row in (x, late(x))]
    gained = torch.stack([_gained(one, y) for one in said]).mean(0)
    expected = fixed_share(state["weight"], gained, torch.ones_like(y).bool(), 0.01, 0.05)[1]
    if classes:
        assert torch.allclose(recalled["weight"], expected, atol=2e-3)
        assert not torch.allclose(asked_again["weight"], expected, atol=1e-2)
    else:
        assert torch.equal(recalled["weight"], asked_again["weight"])
    assert not torch.equal(recalled["mixer"], asked_again["mixer"])


@GOALS
def test_the_mixer_learns_from_the_mean_of_then_and_now_as_it_saw_the_voices_then(
    classes: int,
) -> None:
    blend = turncoats(classes)
    state, (x, y) = warmed(blend), rows(blend, LANES)
    seen = torch.ones(1, LANES, dtype=torch.bool)
    words = words_of(blend, state, x, y)
    other = {**state, "loss": state["loss"] + drawn(1, 3, VOICES, seed=5).abs()}
    heard = blend.hear(other, [blend.experts["turncoat"].predict({}, late(x))], y, seen, words)
    fresh = blend.hear(state, [blend.experts["turncoat"].predict({}, x)], y, ~seen)
    again = blend.hear(other, [blend.experts["turncoat"].predict({}, late(x))], y, ~seen)
    assert torch.allclose(heard.sight_TBVZ[..., :6], fresh.sight_TBVZ[..., :6], atol=1e-2)
    assert not torch.allclose(heard.sight_TBVZ[..., :6], again.sight_TBVZ[..., :6], atol=1e-1)
    middle = (fresh.logp_TBVC + again.logp_TBVC) / 2
    assert torch.allclose(heard.logp_TBVC, middle, atol=1e-2)
    assert torch.allclose(heard.about_TBA[..., 0], fresh.about_TBA[..., 0], atol=1e-2)


def test_a_class_that_was_not_known_then_is_asked_of_again() -> None:
    blend = turncoats(3)
    x, y = rows(blend, LANES)
    words = words_of(blend, blend.begin(1), x, y)  # nothing is known
    assert bool(words[..., -3 * (VOICES + 2) :].isnan().all())
    state = warmed(blend)
    _, recalled = blend.predict_then_learn(state, late(x), y, None, words)
    _, asked_again = blend.predict_then_learn(state, late(x), y)
    for name in asked_again:
        assert torch.equal(recalled[name], asked_again[name]), name


def test_words_of_a_time_with_fewer_classes_serve_when_there_are_more() -> None:
    few, many = turncoats(3), turncoats(4)
    state, (x, y) = warmed(few), rows(few, LANES)
    words = words_of(few, state, x, y)
    wide = many.unsaid(4).repeat(1, LANES, 1)
    wide[..., : words.shape[2]] = words
    then, now = read(wide, VOICES, 3), read(words, VOICES, 3)
    assert torch.equal(then.said_TBUZ[..., :3], now.said_TBUZ)
    assert bool(then.said_TBUZ[..., 3].isnan().all())
    assert torch.equal(then.trail_TBVH, now.trail_TBVH)
