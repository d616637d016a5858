"""The baseline that says the last label known, against a plain walk over the labels."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service import together
from agent.service.figures import TallySettings
from agent.service.nochange import LastLabel, NoChange, over_no_change
from agent.service.prequential import Prequential
from agent.service.report import Scores, Step
from agent.service.scorecard import Card
from agent.service.tally import Tally
from streams.labels import PendingSettings
from streams.records import Event, Label, Record
from streams.schema import Schema

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=60)


def walked(truth: Sequence[float], late: Sequence[int]) -> list[float]:
    """What the last label known said, one by one; NaN where none was known."""
    known = [at - 1 - passed for at, passed in enumerate(late)]
    return [truth[at] if at >= 0 else math.nan for at in known]


def scores(truth: Sequence[float], last: Sequence[float] | None = None) -> Scores:
    true, zeros = np.array(truth, np.float64), np.zeros(len(truth))
    given = None if last is None else np.array(last, np.float64)
    return Scores(true, zeros, zeros, zeros, zeros, given)


@given(labels=LABELS, cut=st.integers(1, 9))
def test_it_says_the_last_label_that_was_known_however_labels_are_cut(
    labels: list[tuple[int, int]], cut: int
) -> None:
    truth, late = [float(one) for one, _ in labels], [passed for _, passed in labels]
    last = LastLabel(100)
    found = np.concatenate(
        [
            last.said(np.array(truth[i : i + cut]), np.array(late[i : i + cut], np.int64))
            for i in range(0, len(truth), cut)
        ]
    )
    assert found.tolist() == pytest.approx(walked(truth, late), nan_ok=True)


@given(labels=LABELS)
def test_its_errors_are_misses_or_distances(labels: list[tuple[int, int]]) -> None:
    truth, late = [float(one) for one, _ in labels], [passed for _, passed in labels]
    said = walked(truth, late)
    known = [(true, one) for true, one in zip(truth, said, strict=True) if not math.isnan(one)]
    classes, number = NoChange("classes"), NoChange("number")
    for goal in (classes, number):
        errors = goal.errors(np.array(truth), np.array(said))
        assert np.isnan(errors).tolist() == np.isnan(said).tolist()
        assert goal.run() == pytest.approx(goal.figure(errors), nan_ok=True)
    if known:
        assert classes.run() == pytest.approx(np.mean([true == one for true, one in known]))
        assert number.run() == pytest.approx(np.mean([abs(true - one) for true, one in known]))
    else:
        assert math.isnan(classes.run())


@given(cut=st.integers(1, 40), room=st.integers(1, 9))
def test_of_labels_later_than_it_remembers_it_says_nothing(cut: int, room: int) -> None:
    truth, late = np.arange(40.0), np.arange(40, dtype=np.int64) % 11
    last = LastLabel(room)
    found = [last.said(truth[i : i + cut], late[i : i + cut]) for i in range(0, 40, cut)]
    expected = np.where(late < room, walked(truth.tolist(), late.tolist()), math.nan)
    assert np.concatenate(found).tolist() == pytest.approx(expected.tolist(), nan_ok=True)


def test_the_tally_keeps_it_over_the_window_and_the_run() -> None:
    tally = Tally("classes", TallySettings(window=4, rare_window=10))
    tally(Step(0, 0, scores=scores([0, 1, 0, 1]), classes=("a", "b")))
    tally(Step(1, 1, scores=scores([1, 1, 1, 1]), classes=("a", "b")))
    figures = tally.figures()
    assert figures is not None
    assert figures.window.no_change == 1
    assert figures.run.no_change == pytest.approx(4 / 7)


def test_a_late_label_is_held_against_what_was_known_when_its_event_was_asked() -> None:
    told = []
    truth = [float(i) for i in range(9)]
    for last in (None, walked(truth, [0] * 9), walked(truth, [3] * 9)):
        tally = Tally("number")
        tally(Step(0, 0, scores=scores(truth, last)))
        figures = tally.figures()
        assert figures is not None
        told.append(figures.run.no_change)
    assert told == [1, 1, 4]


def test_the_learner_tells_what_was_known_when_each_event_was_asked() -> None:
    schema = Schema({"a": "numeric"}, goal="number")
    learner = Prequential.build(
        schema, AgentSettings(device="cpu"), EncoderSettings(), PendingSettings()
    )
    events = [Event(f"e{i}", "k", float(i), (0.1 * i,), None) for i in range(20)]
    labels = [Label(one.id, one.time, 10.0 + one.time) for one in events]
    told: list[float] = []
    fed: list[list[Record]] = [
        [*events[:3]],
        [*labels[:2]],
        [events[3], labels[2], labels[3]],
        [Event("f", "k", 9.0, (1.0,), 5.0)],  # its label rides on it
    ]
    for records in fed:
        last = learner.feed(records).scores.last
        assert last is not None
        told += last.tolist()
    # The first three were asked before any label; the fourth after two of them.
    assert told == pytest.approx([math.nan] * 3 + [11.0, 13.0], nan_ok=True)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (Card(9, accuracy=0.9, no_change=0.8), 0.5),
        (Card(9, mae=3, no_change=2), 1.5),
        (Card(9, accuracy=0.9, no_change=1), math.inf),
        (Card(9, accuracy=1, no_change=1), math.nan),
        (Card(9, mae=0.5), math.nan),
        (Card(), math.nan),
    ],
)
def test_errors_are_held_against_its_own(card: Card, expected: float) -> None:
    assert over_no_change(card) == pytest.approx(expected, nan_ok=True)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths"):
        scores([1, 2], [1])


def test_shards_that_met_their_classes_in_other_orders_are_told_as_one() -> None:
    one, other = scores([0, 1], [math.nan, 0]), scores([0, 0, 1], [math.nan, 0, 0])
    names = (("no", "yes"), ("yes", "no"))
    joined = together.scores(list(zip((one, other), names, strict=True)), together.classes(names))
    assert joined.truth.tolist() == [0, 1, 1, 1, 0]
    assert joined.last is not None
    assert joined.last.tolist() == pytest.approx([math.nan, 0, math.nan, 1, 1], nan_ok=True)
    silent = together.scores([(one, names[0]), (scores([1]), names[0])], names[0])
    assert silent.last is None
