"""Words of old answers in the daemon: they come with their labels and outlive a restart."""

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.recall import ToldClasses
from agent.encode import Encoder, EncoderSettings
from agent.learners.base import Said, Spec, State
from agent.service.prequential import Prequential
from streams.labels import Joined, Pending, PendingSettings
from streams.pool import Words
from streams.records import Event, Label, Record
from streams.schema import Schema
from tests.recalls import LANES, Turncoat


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
