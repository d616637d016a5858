"""Values that are odd but legal: no answer is spoilt by them for long, and no voice breaks."""

import math

import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.prequential import Prequential
from agent.service.reach import Reach
from streams.labels import PendingSettings
from streams.records import ClassPrediction, Event, NumberPrediction, Prediction
from streams.schema import Goal, Schema

AGENT = AgentSettings(device="cpu", slots=128, bank=64, hidden=16)
WILD = [1e30, -1e30, 1e300, -1.7e308, 5e-324, 0.0]


def learner(goal: Goal) -> Prequential:
    schema = Schema({"a": "numeric", "b": "numeric", "word": "categorical"}, goal)
    return Prequential.build(schema, AGENT, EncoderSettings(), PendingSettings())


def events(goal: Goal, count: int, seed: int = 0) -> list[Event]:
    draw, made = np.random.default_rng(seed), []
    for at in range(count):
        a, b = draw.normal(size=2).tolist()
        y = 2 * a - b
        truth = y if goal == "number" else "high" if y > 0 else "low"
        made.append(Event(f"{seed}-{at}", "k", float(at), (a, b, "w" * (at % 3)), truth))
    return made


def sound(said: list[Prediction]) -> bool:
    numbers: list[float] = []
    for one in said:
        if isinstance(one, NumberPrediction):
            numbers += [one.mean, one.deviation, one.low, one.high]
        elif isinstance(one, ClassPrediction):
            numbers += one.probabilities.values()
    return bool(numbers) and all(math.isfinite(one) for one in numbers)


def missed(one: Prequential, records: list[Event]) -> float:
    """Typical error, or share of wrong classes."""
    fed = one.feed(records)
    assert sound(fed.predictions)
    return float(np.median(np.abs(fed.scores.truth - fed.scores.guess)))


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_wild_features_break_no_voice_and_are_soon_forgotten(goal: Goal) -> None:
    one = learner(goal)
    missed(one, events(goal, 320))
    before = missed(one, events(goal, 160, 1))
    wild = [
        Event(f"wild {at}", "k", 500.0, (value, -value, "\x00\ufffd" * 99), event.label)
        for at, (value, event) in enumerate(zip(WILD, events(goal, len(WILD), 2), strict=True))
    ]
    assert sound(one.feed(wild).predictions)
    assert missed(one, events(goal, 160, 3)) < 3 * before + 0.1
    assert one.faults() == {}


def test_wild_labels_break_no_voice_and_are_soon_forgotten() -> None:
    one = learner("number")
    missed(one, events("number", 320))
    wild = [
        Event(f"wild {at}", "k", 500.0, (0.1, 0.2, "w"), value) for at, value in enumerate(WILD)
    ]
    fed = one.feed(wild)
    assert sound(fed.predictions)
    assert np.isfinite(fed.scores.loss).all()
    assert fed.scores.truth.tolist() == WILD  # what is scored is what came
    missed(one, events("number", 640, 4))
    assert missed(one, events("number", 160, 5)) < 1.0  # of labels with a deviation of 2.2
    assert one.faults() == {}
    arrays, _ = one.snapshot()
    floats = [torch.as_tensor(leaf) for name, leaf in arrays.items() if name.startswith("learner")]
    assert all(bool(leaf.isfinite().all()) for leaf in floats)


@pytest.mark.parametrize("first", WILD[:4])
def test_wild_first_labels_are_answered_with_numbers(first: float) -> None:
    one = learner("number")
    one.feed([Event("wild", "k", 0.0, (0.1, 0.2, "w"), first)])
    for seed in range(3):
        assert sound(one.feed(events("number", 64, seed)).predictions)
    assert one.faults() == {}


def test_numbers_that_move_for_good_are_learned_as_they_are_within_a_hundred_labels() -> None:
    reach, draw = Reach(), np.random.default_rng(0)
    still = [reach.cut(one) for one in draw.normal(5, 1, 1000)]
    assert np.abs(np.array(still) - 5).max() < 6
    moved = [reach.cut(one) for one in draw.normal(1e12, 1, 200)]
    assert moved[0] < 1100
    assert moved[150:] == pytest.approx(np.full(50, 1e12))


def test_rare_large_numbers_among_noughts_are_learned_as_they_are() -> None:
    reach = Reach()
    told = [0.0] * 5000 + [900.0] + [0.0] * 60_000 + [900.0]
    assert [reach.cut(one) for one in told] == told


def test_a_fault_is_counted_over_a_restart() -> None:
    one, other = learner("classes"), learner("classes")
    one.feed(events("classes", 200))
    leaves, rest = one.snapshot()
    broken = {
        **leaves,
        "learner/ridge.weight": np.full_like(leaves["learner/ridge.weight"], np.nan),
    }
    other.restore(broken, rest)
    assert sound(other.feed(events("classes", 200, 1)).predictions)
    assert other.faults() == {"ridge": 1}
    third = learner("classes")
    third.restore(*other.snapshot())
    assert third.faults() == {"ridge": 1}
    assert third.fingerprint() == other.fingerprint()
