"""Late labels: the voices are judged by what they said when the row was asked."""

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.blend import Blend, BlendSettings
from agent.continual.recall import MOST, Recalls, ToldClasses, ToldNumbers, read, width, written
from agent.continual.share import fixed_share
from agent.encode import Encoder, EncoderSettings
from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.service.prequential import Prequential
from streams.labels import Joined, Pending, PendingSettings
from streams.pool import Words
from streams.records import Event, Label, Record
from streams.schema import Schema

GOALS = pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
VOICES, LANES = 4, 8


class Turncoat(Exact):
    """Says what a row's columns hold, and, when asked with a lateness, the very opposite."""

    def __init__(self, classes: int) -> None:
        self.spec = Spec(VOICES * max(classes, 1) + 1, classes, dated=True)
        self.voices = tuple(f"voice {at}" for at in range(VOICES))

    def begin(self, tasks: int) -> State:
        """Nothing is kept."""
        return {"nothing": torch.zeros(tasks, 1)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Read the row, turned about if it is late."""
        del state
        x = torch.where(x_TBF[..., -1:] > 0, -x_TBF, x_TBF)[..., :-1]
        if self.spec.regression:
            return Numbers(torch.zeros_like(x), x, torch.ones_like(x))
        logp = x.unflatten(2, (VOICES, -1)).log_softmax(3)
        return Classes(torch.zeros_like(logp[..., 0]), logp)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        return self.predict(state, x_TBF), state

    def widen(self, state: State, classes: int) -> State:
        """Never asked for."""
        raise NotImplementedError


def turncoats(classes: int, rate: float = 0.002) -> Blend:
    one = Turncoat(classes)
    return Blend(one.spec, {"turncoat": one}, BlendSettings(rate=rate))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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


def late(x: Tensor) -> Tensor:
    x = x.clone()
    x[..., -1] = 5
    return x


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


class Witness(Turncoat):
    """Speaks of itself only; keeps which words came back, and says the lane's first column."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes)
        self.spec, self.voices = Spec(features, classes, dated=True), ("one",)
        self.back: list[float] = []

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Nothing but even chances; the words are two: the first column, and then one a class."""
        del state
        logp = torch.zeros(*x_TBF.shape[:2], 1, self.spec.classes).log_softmax(3)
        words = torch.stack([x_TBF[..., 0]] * (1 + self.spec.classes), 2)
        return ToldClasses(torch.zeros_like(logp[..., 0]), logp, words.half)

    def unsaid(self, classes: int) -> Tensor:
        """One word, and one a class."""
        return torch.full((1 + classes,), torch.nan, dtype=torch.float16)

    @override
    def foresee(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> Said:
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None = None,
        then_TBW: Tensor | None = None,
    ) -> tuple[Said, State]:
        assert seen_TB is not None
        then = torch.full((1, LANES, 1), torch.nan) if then_TBW is None else then_TBW
        assert bool(then[..., 0][~seen_TB].isnan().all())
        for x, word in zip(x_TBF[0], then[0, :, 0].tolist(), strict=True):
            if x[-1] > 0 and not np.isnan(word):
                assert word == pytest.approx(float(x[0]), abs=1e-2)
            self.back.append(word)
        return self.predict(state, x_TBF), state

    @override
    def widen(self, state: State, classes: int) -> State:
        self.spec = Spec(self.spec.features, classes, dated=True)
        return state


SCHEMA = Schema({"a": "numeric"})


def daemon(growth: float = 0.25) -> tuple[Prequential, Witness]:
    encoder = Encoder(SCHEMA.fields, EncoderSettings())
    learner = Witness(2, encoder.width + 1)
    some = (SCHEMA, learner, encoder, PendingSettings(), LANES)
    return Prequential(*some, growth=growth), learner


def story(count: int = 60, late: int = 13) -> list[Record]:
    """Each label comes thirteen events late; classes are met on the way."""
    some: list[Record] = []
    draw = np.random.default_rng(0).normal(size=count)
    for i in range(count + late):
        if i < count:
            some.append(Event(f"e{i}", "", float(i), (float(draw[i]),)))
        if i >= late:
            some.append(Label(f"e{i - late}", float(i), f"class {(i - late) // 8}"))
    return some


def test_every_late_label_brings_the_words_of_its_own_event() -> None:
    one, learner = daemon()
    one.feed(story())
    assert sum(not np.isnan(word) for word in learner.back) >= 60 - LANES
    assert one.pending.counts["joined"] == 60


def test_words_outlive_a_restart_and_no_cut_of_feeds_is_seen() -> None:
    some = story()
    whole, learner = daemon()
    whole.feed(some)
    for cut in (3, 20, 37, 55, 90):
        (first, early), (second, rest) = daemon(), daemon()
        first.feed(some[:cut])
        rest.spec = early.spec
        second.restore(*first.snapshot())
        second.feed(some[cut:])
        assert second.fingerprint() == whole.fingerprint()
        both = np.array([*early.back, *rest.back])
        assert np.array_equal(both, np.array(learner.back), equal_nan=True)


def test_a_label_of_the_open_block_asks_again() -> None:
    one, learner = daemon(growth=0.0)
    events = [Event(f"e{i}", "", float(i), (float(i),)) for i in range(3)]
    one.feed(events)
    one.feed([Label("e1", 3.0, "up"), *(Event(f"f{i}", "", 4.0, (0.0,)) for i in range(8))])
    assert np.isnan(learner.back).all()
    one.feed([Label("e0", 9.0, "up"), *(Event(f"g{i}", "", 9.0, (0.0,)) for i in range(8))])
    assert sum(not np.isnan(word) for word in learner.back) == 1


def test_a_doubled_event_in_the_last_lane_brings_the_label_of_one_not_answered_yet() -> None:
    some: list[Record] = [Event("old", "", 0.0, (0.0,), "up"), Event("new", "", 0.0, (0.0,), "no")]
    some += [Event(f"e{i}", "", 1.0, (float(i),)) for i in range(5)]
    some.append(Event("e4", "", 2.0, (4.0,), "up"))
    for cut in (0, 7):
        one, _ = daemon()
        scores = [one.feed(part).scores for part in (some[:cut], some[cut:])]
        guesses = [guess for score in scores for guess in score.guess.tolist()]
        assert guesses == [-1, 0, 0]  # nothing was known; one class; two


def test_the_store_keeps_words_by_event_and_drops_them_when_there_are_too_many() -> None:
    nothing: Words = np.full(2, np.nan, np.float16)
    store = Pending(1, 1, PendingSettings(most=3), nothing)
    row = np.zeros(1, np.float32)
    for name in "abcd":
        store.add(name, 0.0, row, row)
        store.keep(name, np.array([ord(name), 1], np.float16))
    again = Pending(1, 1, PendingSettings(most=3), nothing)
    again.restore(*store.snapshot())
    again.widen(2, np.full(3, np.nan, np.float16))
    kept = again.take(Label("b", 0.0, "up"))
    assert isinstance(kept, Joined)
    assert kept.words[:2].tolist() == [ord("b"), 1]
    assert np.isnan(kept.words[2])
    again.keep("a", np.zeros(3, np.float16))  # gone
    again.widen(4)
    kept = again.take(Label("c", 0.0, "up"))
    assert isinstance(kept, Joined)
    assert not len(kept.words)
