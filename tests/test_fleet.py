"""Shards of one process, learned in one call: each as if it were alone, to the last bit."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.learners.base import Blockwise, Classes, Said, Spec, State
from agent.learners.ridge import Ridge
from agent.service import fleet
from agent.service.agreement import bits_agree
from agent.service.calls import Call, Came, abreast
from agent.service.fleet import feed_all
from agent.service.prequential import Prequential
from agent.service.probes import ProbeSettings
from streams.labels import PendingSettings
from streams.records import Event, Label, Record, Refused
from streams.schema import Goal, Schema

FIELDS = Schema({"a": "numeric", "b": "numeric", "word": "categorical"}).fields
CPU = torch.device("cpu")
needs_mkl = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="no MKL here: products may round by company"
)


def learner(goal: Goal, agent: AgentSettings, classes: Sequence[str] = ()) -> Prequential:
    schema = Schema(FIELDS, goal, classes=tuple(classes))
    probes = ProbeSettings(every=150, rows=16, segment=100)
    return Prequential.build(
        schema, agent, EncoderSettings(), PendingSettings(most=60, ttl=50.0), probes=probes
    )


def shard(goal: Goal, number: int, size: int) -> list[Record]:
    """A stream of its own kind, by its number.

    0: labels ride along. 1: most do, the others come late, some doubled. 2: few are ever labelled.
    3: none is. 4: all labels come much later. The odd ones meet more classes than others.
    """
    draw = np.random.default_rng(number)
    records: list[Record] = []
    late: list[Label] = []
    for at in range(size):
        a, b = draw.normal(size=2)
        y = a - b * (-1) ** number
        kind = "far" if number % 2 and y > 1.5 else "high" if y > 0 else "low"
        kind = f"odd {number}" if number % 2 and y < -2 else kind
        truth = float(10 * y) if goal == "number" else kind
        told = draw.random() < (1.0, 0.6, 0.1, 0.0, 0.0)[number]
        name = f"{number}-{at}"
        values = (float(a), float(b), "w" * (at % 3))
        records.append(Event(name, "k", float(at), values, truth if told else None))
        if draw.random() < 0.03:
            records.append(records[-1])
        if number in {1, 4}:
            late.append(Label(name, at + 9.0, truth))
        if draw.random() < (0.2 if number == 1 else 0.02):
            records += [one for one in late if draw.random() < 0.7]
            late = []
    records.insert(7, Refused("undecodable", "not JSON", "here", b"{"))
    return records


def turns(shards: dict[str, list[Record]], seed: int) -> Iterator[dict[str, list[Record]]]:
    """Cuts of all shards, some of them empty or left out, until all have come."""
    draw, at, first = np.random.default_rng(seed), dict.fromkeys(shards, 0), True
    while any(at[name] < len(shards[name]) for name in shards):
        turn = {}
        for name in [*shards][first:]:  # one of them comes later
            some = int(draw.integers(0, 120))
            if some % 5:
                turn[name] = shards[name][at[name] : at[name] + some]
                at[name] += some
        first = False
        yield turn


@needs_mkl
@pytest.mark.parametrize("tasks", [False, True], ids=["without tasks", "with tasks"])
@pytest.mark.parametrize("goal", ["classes", "number"])
def test_each_shard_is_what_it_would_be_alone(
    goal: Goal, *, tasks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = AgentSettings(device="cpu", slots=64, bank=32, hidden=16, tasks=tasks, batched="on")
    shards = {f"{number:04d}": shard(goal, number, 150 + 20 * number) for number in range(5)}
    companies: list[int] = []

    def noted(calls: Sequence[Call]) -> list[Came]:
        companies.append(len(calls))
        return abreast(calls)

    monkeypatch.setattr(fleet, "abreast", noted)
    alone = {name: learner(goal, agent) for name in shards}
    joint = {name: learner(goal, agent) for name in shards}
    for turn in turns(shards, 1):
        fed = feed_all(joint, turn)
        assert fed.keys() == turn.keys()
        for name, records in turn.items():
            one = alone[name].feed(records)
            assert (fed[name].predictions, fed[name].refused) == (one.predictions, one.refused)
            pairs = zip(fed[name].scores.columns(), one.scores.columns(), strict=True)
            assert all(np.array_equal(column, other) for column, other in pairs)
    for name in shards:
        assert joint[name].fingerprint() == alone[name].fingerprint()
    assert max(companies) >= 4
    assert sum(companies) > 2 * len(companies)  # most calls were made for several


@needs_mkl
def test_this_machine_learns_shards_in_one_call() -> None:
    made = learner("classes", AgentSettings(device="cpu"))
    assert made.abreast()


def test_shards_are_fed_one_by_one_where_so_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "abreast", None)  # would fail if it were called
    agent = AgentSettings(device="cpu", slots=16, bank=0, hidden=8, batched="off")
    shards = {name: shard("classes", at, 60) for at, name in enumerate("ab")}
    joint = {name: learner("classes", agent) for name in shards}
    fed = feed_all(joint, shards)
    events = [sum(isinstance(one, Event) for one in some) for some in shards.values()]
    assert [len(one.predictions) for one in fed.values()] == events


@pytest.mark.parametrize("goal", ["classes", "number"])
def test_a_restart_between_any_two_feeds_changes_no_bit(goal: Goal) -> None:
    """Leaves come back as they lay in memory, an axis of one included."""
    agent = AgentSettings(device="cpu", slots=32, bank=16, hidden=8)
    whole, broken = learner(goal, agent), learner(goal, agent)
    records = shard(goal, 1, 70)
    for start in range(0, len(records), 10):
        whole.feed(records[start : start + 10])
        broken.feed(records[start : start + 10])
        arrays, rest = broken.snapshot()
        broken = learner(goal, agent)
        broken.restore({name: torch.as_tensor(leaf).numpy() for name, leaf in arrays.items()}, rest)
        assert broken.fingerprint() == whole.fingerprint()


class Sociable(Blockwise):
    """Counts, beside the rows, the tasks in its company: what no learner may do."""

    voices = ("sociable",)

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def begin(self, tasks: int) -> State:
        """Nothing has come."""
        return {"count": torch.zeros(tasks, 1)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        even = x_TBF.new_zeros(*x_TBF.shape[:2], 1, self.spec.classes)
        return Classes(even[..., 0], even.log_softmax(3))

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        return {"count": state["count"] + len(y_TB)}

    def widen(self, state: State, classes: int) -> State:
        """As it was."""
        del classes
        return state


def test_company_that_moves_a_bit_is_found_out() -> None:
    spec = Spec(4, 2)
    assert not bits_agree(Sociable(spec), 8, CPU)
    assert bits_agree(Ridge(spec), 32, CPU)


def test_the_seconds_of_a_feed_are_told_by_stage_and_none_twice() -> None:
    ticks = count()
    clock = lambda: float(next(ticks))  # noqa: E731 - a clock that counts how often it is asked
    agent = AgentSettings(device="cpu", slots=16, bank=0, hidden=8)
    schema = Schema(FIELDS, classes=("low", "high"))
    one = Prequential.build(schema, agent, EncoderSettings(), PendingSettings(), clock)
    fed = one.feed([record for record in shard("classes", 2, 100) if isinstance(record, Event)])
    assert set(fed.seconds) == {"encode", "predict", "learn"}
    assert min(fed.seconds.values()) > 0
    assert sum(fed.seconds.values()) <= next(ticks)
    empty = one.feed([])
    assert (empty.seconds["predict"], empty.seconds["learn"]) == (0, 0)
