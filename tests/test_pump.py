"""The loop: a crash anywhere changes nothing; only what is covered is committed."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.checkpoint import CheckpointSettings, CheckpointStore
from agent.service.prequential import Prequential
from agent.service.pump import Clocks, Pump
from agent.service.report import Scores, Step
from agent.service.settings import ServiceSettings
from streams.labels import PendingSettings
from streams.memory import Crash, Crashed, End, Item, MemorySink, MemorySource, Stall
from streams.records import ClassPrediction, Event, Label, NumberPrediction, Record, Refused
from streams.schema import Goal, Schema
from streams.source import Position

AGENT = AgentSettings(device="cpu", block=8, slots=32, hidden=8)


def learner(goal: Goal = "classes", agent: AgentSettings = AGENT) -> Prequential:
    schema = Schema({"a": "numeric", "b": "numeric", "word": "categorical"}, goal)
    return Prequential.build(schema, agent, EncoderSettings(), PendingSettings(most=40, ttl=20.0))


def events(count: int, *, riding: bool) -> list[Event]:
    draw = np.random.default_rng(5)
    numbers = draw.normal(size=(count, 2))
    return [
        Event(
            f"e{i}",
            "k",
            float(i),
            (float(a), float(b), "w" * (i % 3)),
            _class(a) if riding else None,
        )
        for i, (a, b) in enumerate(numbers)
    ]


def _class(a: float) -> str:
    return "high" if a > 1 else "low" if a < -1 else "middle"


def story(count: int = 60) -> list[Record]:
    """Riding labels, late ones, early ones, doubled ones, orphans, a new class and a refusal."""
    records: list[Record] = []
    late: list[Label] = []
    for i, event in enumerate(events(count, riding=False)):
        truth = _class(float(event.values[0] or 0.0))  # type: ignore[arg-type]
        if i % 3 == 0:
            records.append(Event(event.id, event.key, event.time, event.values, truth))
            continue
        label = Label(event.id, event.time + 5, truth if i != 40 else "a fourth class")
        if i % 7 == 1:
            records.append(label)
        else:
            late.append(label)
        records.append(event)
        if i % 5 == 4:
            records += [*reversed(late), *late[:1]]
            late = []
    records.insert(20, Refused("undecodable", "not JSON", "script:20", b"{"))
    records.insert(30, Label("nobody", 3.0, "low"))
    return records


class Life:
    """One daemon's life over crashes: the source, the sink and the folder outlive it."""

    def __init__(self, script: Iterable[Item], folder: Path, every: int, batch: int) -> None:
        self.source, self.sink = MemorySource(script), MemorySink()
        self._folder, self._every = folder, every
        self._service = ServiceSettings(max_batch=batch, poll_wait=0.0)
        self.steps: list[Step] = []
        self.learner = learner()

    def run(self) -> "Life":
        while not self._lived():
            self.sink.crash()
            self.source.seek({})
        return self

    def _lived(self) -> bool:
        self.learner = learner()
        pump = Pump.over(
            self.source,
            self.sink,
            self.learner,
            CheckpointStore(self._folder, 2, {}, lambda: 0.0),
            CheckpointSettings(str(self._folder), self._every, 1e9),
            self._service,
            watchers=(self.steps.append,),
        )
        try:
            pump.restore()
            pump.run(lambda: False)
        except Crashed:
            return False
        finally:
            pump.close()
        return True


def live(script: Sequence[Item], every: int = 10, batch: int = 16) -> Life:
    with TemporaryDirectory() as folder:
        return Life(script, Path(folder), every, batch).run()


def table(scores: Sequence[Scores]) -> list[list[float]]:
    """All scores in order, whatever the step in which they came."""
    rows: list[list[float]] = []
    for one in scores:
        rows += np.stack(one.columns(), 1).tolist()
    return rows


STORY = story()
WHOLE = live([*STORY, End()])


@settings(max_examples=40, deadline=None)
@given(
    at=st.integers(0, len(STORY)),
    then=st.integers(0, len(STORY)),
    every=st.sampled_from([1, 7, 20, 1000]),
    batch=st.sampled_from([1, 5, 64]),
)
@example(at=9, then=39, every=1, batch=5)  # leaves that lie otherwise in memory after a restart
def test_a_crash_anywhere_changes_no_answer_and_no_bit_of_the_state(
    at: int, then: int, every: int, batch: int
) -> None:
    first, second = sorted((at, then))
    script: list[Item] = [
        *STORY[:first],
        Crash(),
        *STORY[first:second],
        Crash(),
        *STORY[second:],
        End(),
    ]
    life = live(script, every, batch)
    assert life.sink.said == WHOLE.sink.said
    assert life.sink.letters == WHOLE.sink.letters
    assert life.learner.fingerprint() == WHOLE.learner.fingerprint()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_the_cut_into_micro_batches_never_matters(cuts: list[int]) -> None:
    one, said, at = learner(), [], 0
    scores: list[Scores] = []
    for cut in itertools.cycle(cuts):
        fed = one.feed(STORY[at : at + cut])
        said += fed.predictions
        scores.append(fed.scores)
        at += cut
        if at >= len(STORY):
            break
    assert said == WHOLE.sink.said
    assert table(scores) == table([step.scores for step in WHOLE.steps])
    assert one.fingerprint() == WHOLE.learner.fingerprint()


def test_every_event_is_answered_once_and_before_its_label_is_learned() -> None:
    ids = [event.id for event in STORY if isinstance(event, Event)]
    assert [one.id for one in WHOLE.sink.said] == ids
    first = WHOLE.sink.said[0]
    assert isinstance(first, ClassPrediction)
    assert (first.label, first.probabilities) == (None, {})


def test_labels_are_counted_by_what_became_of_them() -> None:
    counts = WHOLE.learner.pending.counts
    labels = [
        one.id for one in STORY if isinstance(one, Label) or (isinstance(one, Event) and one.label)
    ]
    assert counts["joined"] == len(set(labels) - {"nobody"})
    assert counts["duplicate"] == len(labels) - len(set(labels))
    assert sum(step.labels["joined"] for step in WHOLE.steps) == counts["joined"]
    assert (counts["orphan"], WHOLE.learner.pending.waiting) == (1, 0)  # nobody's, once it is old


def test_classes_are_found_on_the_fly_and_more_than_there_was_room_for() -> None:
    assert set(WHOLE.learner.classes) == {"low", "middle", "high", "a fourth class"}
    last = WHOLE.sink.said[-1]
    assert isinstance(last, ClassPrediction)
    assert sum(last.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_classes_known_beforehand_are_named_from_the_first_answer() -> None:
    schema = Schema({"a": "numeric"}, classes=("genuine", "fraud", "disputed"), target="truth")
    one = Prequential.build(schema, AGENT, EncoderSettings(), PendingSettings())
    fed = one.feed([Event("1", "", 1.0, (0.5,)), Label("1", 2.0, "fraud")])
    first = fed.predictions[0]
    assert isinstance(first, ClassPrediction)
    assert first.label == "genuine"
    assert list(first.probabilities) == ["genuine", "fraud", "disputed"]
    assert fed.scores.truth.tolist() == [1.0]
    assert fed.scores.loss[0] == pytest.approx(np.log(3), abs=1e-3)


def test_a_doubled_event_is_answered_twice_and_learned_once() -> None:
    stream = events(30, riding=True)
    doubled, plain = learner(), learner()
    twice = doubled.feed([*stream, stream[3]])
    once = plain.feed(stream)
    assert len(twice.predictions) == len(once.predictions) + 1
    assert len(twice.scores) == len(once.scores)
    assert doubled.pending.counts["duplicate_event"] == 1


def test_numbers_are_predicted_as_distributions() -> None:
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(600, 2))
    stream = [
        Event(str(i), "", float(i), (float(a), float(b), "x"), float(100 + 20 * a + draw.normal()))
        for i, (a, b) in enumerate(rows)
    ]
    fed = learner("number", AgentSettings(device="cpu")).feed(stream)
    late = fed.scores.truth[300:], fed.scores.guess[300:]
    assert np.abs(late[0] - late[1]).mean() < 0.3 * np.abs(late[0] - late[0].mean()).mean()
    answers = [one for one in fed.predictions[300:] if isinstance(one, NumberPrediction)]
    inside = [one.low <= truth <= one.high for one, truth in zip(answers, late[0], strict=True)]
    assert 0.8 < np.mean(inside) <= 1.0


def test_a_lone_event_from_the_far_future_expires_nothing() -> None:
    stream = events(10, riding=False)
    one = learner()
    one.feed([*stream[:5], Event("wild", "", 1e12, (0.0, 0.0, "x")), *stream[5:]])
    assert len(one.pending) == 11


class Auditor(MemorySource):
    """Looks into the newest checkpoint at every commit."""

    folder: Path

    @override
    def commit(self, position: Position) -> None:
        found = CheckpointStore(self.folder, 2, {}, lambda: 0.0).load()
        assert found is not None
        assert position["script"] <= found[1]["source"]["script"]
        super().commit(position)


def test_only_what_a_checkpoint_covers_is_committed(tmp_path: Path) -> None:
    life = Life([], tmp_path, every=20, batch=10)
    life.source = Auditor([*events(50, riding=True), End()])
    life.source.folder = tmp_path
    life.run()
    committed = [position["script"] for position in life.source.committed]
    assert committed == sorted(committed)
    assert committed[-1] == 50
    assert life.sink.flushes >= len(committed) - 1  # before the first, nothing was answered


def test_answers_that_cannot_be_flushed_hold_the_loop_and_lose_nothing() -> None:
    naps: list[float] = []
    clocks = Clocks(now=lambda: 0.0, wall=lambda: 0.0, sleep=naps.append)
    source, sink = (
        MemorySource([*events(40, riding=True), Stall(), End()]),
        MemorySink(broken_flushes=3),
    )
    with TemporaryDirectory() as folder:
        store = CheckpointStore(Path(folder), 2, {}, lambda: 0.0)
        every = CheckpointSettings(folder, 10, 1e9)
        pump = Pump.over(source, sink, learner(), store, every, clocks=clocks)
        pump.run(lambda: False)
        pump.close()
    assert len(sink.said) == 40
    assert naps[:2] == [0.5, 1.0]


def test_a_restored_learner_goes_on_to_the_bit(tmp_path: Path) -> None:
    del tmp_path
    whole, first, second = learner(), learner(), learner()
    whole.feed(STORY)
    first.feed(STORY[:33])
    arrays, rest = first.snapshot()
    before = first.fingerprint()
    for _ in range(2):
        second.restore(arrays, rest)
        assert second.fingerprint() == before
        second.feed(STORY[33:])
        assert second.fingerprint() == whole.fingerprint()
    assert first.fingerprint() == before
